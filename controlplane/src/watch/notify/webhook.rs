//! A web hook: a notice as JSON, signed so that the receiver knows who sent it and when.
//!
//! `millrace-signature: v1=HEX` is HMAC-SHA256 over `TIMESTAMP.BODY`, where the timestamp (seconds since 1970) stands in
//! `millrace-timestamp`. A receiver recomputes it and refuses old timestamps, so that a recorded notice cannot be
//! played again. `millrace-delivery` is the same for every try of a notice.

use std::fmt;

use dataplane::config::Webhook;
use hyper::header::HeaderName;
use ring::{digest, hmac};
use serde::Serialize;

use super::Failure;
use super::target::Target;
use crate::watch::alerts::Notice;

/// Shortest key of a signature. Source: RFC 2104, section 3: no shorter than the hash.
const SECRET_BYTES_MIN: usize = 32;

const SIGNATURE: HeaderName = HeaderName::from_static("millrace-signature");
const TIMESTAMP: HeaderName = HeaderName::from_static("millrace-timestamp");
const DELIVERY: HeaderName = HeaderName::from_static("millrace-delivery");

/// A web hook that is told.
pub(crate) struct Hook {
    target: Target,
    key: hmac::Key,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path may hold the receiver's own secret.
        f.debug_struct("Hook").finish_non_exhaustive()
    }
}

/// What is sent.
#[derive(Serialize)]
struct Envelope<'a> {
    version: u8,
    #[serde(flatten)]
    notice: &'a Notice,
}

impl Hook {
    /// Reads address and key.
    ///
    /// # Errors
    /// What is wrong, with the field.
    pub(crate) fn new(config: &Webhook) -> Result<Hook, String> {
        let field = |name: &str, text: String| format!("alerts.webhook.{}.{name}: {text}", config.name);
        let target = Target::parse(&config.url, config.allow_http).map_err(|text| field("url", text))?;
        let secret = config.secret.read().map_err(|error| field("secret", error.to_string()))?;
        if secret.len() < SECRET_BYTES_MIN {
            let text = format!("it has {} characters; give {SECRET_BYTES_MIN} or more", secret.len());
            return Err(field("secret", text));
        }
        Ok(Hook { target, key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()) })
    }

    /// Tells it once.
    ///
    /// # Errors
    /// It did not arrive.
    pub(super) async fn deliver(&self, notice: &Notice) -> Result<(), Failure> {
        let body = serde_json::to_vec(&Envelope { version: 1, notice });
        let body = body.map_err(|error| Failure::lasting(error.to_string()))?;
        let seconds = crate::store::now_ms() / 1_000;
        let headers = [
            (TIMESTAMP, seconds.to_string()),
            (SIGNATURE, format!("v1={}", signature(&self.key, seconds, &body))),
            (DELIVERY, hex(&digest::digest(&digest::SHA256, &body).as_ref()[..16])),
        ];
        self.target.post(&headers, body).await
    }
}

fn signature(key: &hmac::Key, seconds: i64, body: &[u8]) -> String {
    let mut signing = hmac::Context::with_key(key);
    signing.update(format!("{seconds}.").as_bytes());
    signing.update(body);
    hex(signing.sign().as_ref())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use dataplane::config::SecretRef;

    use super::*;

    #[test]
    fn the_signature_is_hmac_sha256_of_timestamp_and_body() {
        // Made with: printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"0123456789abcdef0123456789abcdef");
        assert_eq!(
            signature(&key, 1_700_000_000, b"{\"a\":1}"),
            "f05f2539e3ae1c49aec5f8cfdad75ef6b06480b133973ffbb7ec9e18827af177"
        );
    }

    #[test]
    fn a_weak_or_missing_key_is_refused_by_field() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "short\n").unwrap();
        let config = |secret| Webhook {
            name: "ops".to_owned(),
            url: "https://hooks.example.com/t0ken".to_owned(),
            secret,
            allow_http: false,
            pages_only: false,
        };
        let error = Hook::new(&config(SecretRef::File(file))).unwrap_err();
        assert!(error.starts_with("alerts.webhook.ops.secret: it has 5"), "{error}");
        assert!(!error.contains("short"), "{error}");
        let error = Hook::new(&config(SecretRef::File("/nowhere".into()))).unwrap_err();
        assert!(error.contains("/nowhere"), "{error}");
        let mut wrong = config(SecretRef::Env("NOT_READ".to_owned()));
        wrong.url = "ftp://hooks.example.com/t0ken".to_owned();
        let error = Hook::new(&wrong).unwrap_err();
        assert!(error.starts_with("alerts.webhook.ops.url: ") && !error.contains("t0ken"), "{error}");
    }
}
