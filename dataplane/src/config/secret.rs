//! References to secrets: the config names where a secret lies, never the secret itself.
//!
//! Level 0. The value is read once, at start, and leaves memory when dropped.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Where a secret lies: `{ env = "NAME" }` or `{ file = "/path" }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretRef {
    /// An environment variable of the process.
    Env(String),
    /// A file that holds the secret; one line end at its end is not part of it.
    File(PathBuf),
}

/// A secret that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretError(pub String);

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SecretError {}

impl SecretRef {
    /// Reads the secret.
    ///
    /// # Errors
    /// The variable is unset or empty, or the file cannot be read, is empty or is no UTF-8.
    pub fn read(&self) -> Result<Zeroizing<String>, SecretError> {
        let value = match self {
            SecretRef::Env(name) => std::env::var(name)
                .map_err(|error| SecretError(format!("environment variable {name}: {error}")))?,
            SecretRef::File(path) => std::fs::read_to_string(path)
                .map_err(|error| SecretError(format!("secret file {}: {error}", path.display())))?,
        };
        let mut value = Zeroizing::new(value);
        if value.ends_with('\n') {
            value.pop();
        }
        if value.is_empty() {
            return Err(SecretError(format!("{self} is empty")));
        }
        Ok(value)
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "environment variable {name}"),
            SecretRef::File(path) => write!(f, "secret file {}", path.display()),
        }
    }
}
