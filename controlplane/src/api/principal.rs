//! Who asks, and what they may do.

use std::fmt;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Code, Problem};

/// What a principal may do; each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Reads figures and settings.
    Viewer,
    /// Also pauses, resumes, acknowledges, silences.
    Operator,
    /// Also users, keys, configuration, backups.
    Admin,
}

impl Role {
    /// All roles, least first.
    pub(crate) const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

    /// Stable text, as in the store and in JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    /// Reads the stable text.
    pub(crate) fn parse(text: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a principal showed who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// An access token of a session.
    Session(String),
    /// An API key.
    Key(String),
    /// A token of another issuer.
    Issuer(String),
    /// The one-time token of the first start.
    Bootstrap,
}

/// Who asks. An extractor: routes that need a role always have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    /// Name in the audit log: `ada`, `key:ci`, `https://issuer|subject`, `bootstrap`.
    pub(crate) name: String,
    /// What it may do.
    pub(crate) role: Role,
    /// How it showed who it is.
    pub(crate) proof: Proof,
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Principal, Problem> {
        // Set by the guard for every route with a role; a route without one has nobody.
        parts
            .extensions
            .get::<Principal>()
            .cloned()
            .ok_or_else(|| Problem::new(Code::Unauthenticated, "nobody has signed in"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_grow_and_have_stable_texts() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
        assert_eq!(Role::parse("Admin"), None);
    }
}
