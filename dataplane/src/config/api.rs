//! The control plane's listener, its store and who may sign in.
//!
//! Level 0. The data plane never reads this; it stands here because one file configures both planes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;

/// The control plane's HTTP listener. Read at start; a change needs a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Address and port; port 0 takes a free one. An address that is not loopback needs `[api.tls]` or
    /// `insecure_non_loopback`.
    pub listen: String,
    /// Names under which the API is reached, without port, for example `millrace.example.com`. Requests for
    /// other names than these, `localhost` and the machine's address are refused: they may come from a web page
    /// that has pointed its own name here.
    pub hosts: Vec<String>,
    /// Folder of users, keys, audit log, history and backups. Unset: `$STATE_DIRECTORY`, else
    /// `/var/lib/millrace` for root and `$XDG_STATE_HOME/millrace` for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<PathBuf>,
    /// Listen on an address that is not loopback without TLS. Passwords and tokens then travel in clear: only
    /// behind a proxy that encrypts, on a network of its own.
    pub insecure_non_loopback: bool,
    /// Requests a minute that one principal may send; an address may send four times as many, since several
    /// people may share it. 60 to 600000.
    pub requests_per_minute: u32,
    /// Certificate of the listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// How long those who sign in stay signed in.
    pub session: Session,
    /// Other issuers whose tokens are accepted.
    pub issuer: Vec<Issuer>,
    /// Scheduled backups of the store.
    pub backup: Backup,
}

impl Default for Api {
    fn default() -> Self {
        Api {
            listen: "127.0.0.1:8080".to_owned(),
            hosts: Vec::new(),
            store: None,
            insecure_non_loopback: false,
            requests_per_minute: 1_200,
            tls: None,
            session: Session::default(),
            issuer: Vec::new(),
            backup: Backup::default(),
        }
    }
}

/// Certificate of the listener: TLS 1.2 and 1.3. Another name of a file needs a restart; files that were renewed are
/// taken up within seconds, and while they cannot be used the former certificate stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificate and its chain, in PEM.
    pub cert_file: PathBuf,
    /// Private key of the certificate, in PEM.
    pub key_file: PathBuf,
    /// Authorities, in PEM, one of which must have signed the certificate of whoever connects (mTLS). A token is
    /// needed all the same. `millrace probe` gets in by `cert_file` and `key_file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca_file: Option<PathBuf>,
}

/// How long those who sign in stay signed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Session {
    /// Life of an access token, 1m to 1h. It is renewed without a password as long as the session lasts.
    pub access_token_life: Time,
    /// Life of a session, 5m to 720h. After it, the password is asked for again.
    pub life: Time,
}

impl Default for Session {
    fn default() -> Self {
        Session { access_token_life: Time::from_secs(15 * 60), life: Time::from_secs(12 * 3_600) }
    }
}

/// Another issuer whose tokens (RS256, PS256, ES256, ES384, EdDSA) are accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Its name, exactly as in the claim `iss`.
    pub name: String,
    /// What its tokens for Millrace have in the claim `aud`.
    pub audience: String,
    /// File with its public keys as a JWKS. One of this and `jwks_url` must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<PathBuf>,
    /// Where its public keys are fetched from, over https. Fetched again when a token names a key that is not
    /// known, at most once a minute; without an answer the known keys stay in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// Claim that holds the role, a text or a list of texts.
    #[serde(default = "role_claim")]
    pub role_claim: String,
    /// Role (`viewer`, `operator`, `admin`) by value of that claim. A token without any of these values is refused.
    pub roles: BTreeMap<String, String>,
}

fn role_claim() -> String {
    "roles".to_owned()
}

/// Scheduled backups of the store, into its folder `backups`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Backup {
    /// Time between two backups, 1m to 720h; `0s` for none.
    pub every: Time,
    /// Backups kept; older ones are removed. 1 to 64.
    pub keep: u16,
}

impl Default for Backup {
    fn default() -> Self {
        Backup { every: Time::from_secs(24 * 3_600), keep: 7 }
    }
}
