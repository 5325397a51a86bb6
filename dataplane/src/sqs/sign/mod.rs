//! AWS Signature Version 4 for the hot calls, written together with the head of the request it signs.
//!
//! Level 1, pure: time is an argument. The signing key lasts for a day and is kept; a head and its body then
//! cost three hashes. Never prints or logs a credential. Source: IAM user guide, "Create a signed AWS API
//! request".

mod date;
#[cfg(test)]
mod tests;

use std::io::Write as _;

use ring::digest;
use ring::hmac;
use zeroize::Zeroizing;

pub(crate) use self::date::parse_http_date;
use self::date::{SECONDS_PER_DAY, Stamp};

/// What requests are signed with. Never printed: there is no `Debug`.
#[derive(Clone)]
pub(crate) struct Credentials {
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: Zeroizing<String>,
    /// Session token of temporary credentials.
    pub session_token: Option<Zeroizing<String>>,
}

/// Signs requests of one queue.
#[derive(Clone)]
pub(crate) struct Signer {
    credentials: Credentials,
    region: String,
    key: Option<SigningKey>,
    /// The canonical request being hashed; it holds the session token.
    canonical: Zeroizing<Vec<u8>>,
}

const SERVICE: &str = "sqs";
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
/// Names us in CloudTrail. Not signed: proxies may rewrite it.
const USER_AGENT: &str = concat!("millrace/", env!("CARGO_PKG_VERSION"));

const SIGNED: &str = "content-type;host;x-amz-date;x-amz-target";
const SIGNED_WITH_TOKEN: &str = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target";

impl Signer {
    /// Signs with these credentials for a region.
    ///
    /// Only visible ASCII is kept of what goes into a header: a line break that came with a pasted key or token
    /// would otherwise end the header, or add one.
    pub(crate) fn new(mut credentials: Credentials, region: &str) -> Signer {
        let visible = |text: &mut String| text.retain(|c| c.is_ascii_graphic());
        visible(&mut credentials.access_key);
        if let Some(token) = &mut credentials.session_token {
            visible(token);
        }
        // An empty AWS_SESSION_TOKEN means that there is none.
        credentials.session_token = credentials.session_token.filter(|token| !token.is_empty());
        let mut region = region.to_owned();
        visible(&mut region);
        // Large enough that it never moves: what a vector leaves behind when it grows is not wiped.
        let token_bytes = credentials.session_token.as_ref().map_or(0, |token| token.len());
        let canonical = Zeroizing::new(Vec::with_capacity(1024 + token_bytes));
        Signer { credentials, region, key: None, canonical }
    }

    /// Appends the whole head of a POST request with this body: request line, headers, empty line.
    /// `target` is for example `AmazonSQS.ReceiveMessage`, `unix_s` AWS's time as we know it. `host` and `path`
    /// come from [`Endpoint`](crate::sqs::endpoint::Endpoint), which admits nothing that needs an escape.
    pub(crate) fn head(
        &mut self,
        out: &mut Vec<u8>,
        target: &str,
        host: &str,
        path: &str,
        body: &[u8],
        unix_s: u64,
    ) {
        let stamp = Stamp::new(unix_s);
        let day = unix_s / SECONDS_PER_DAY;
        let key = match self.key.take().filter(|key| key.day == day) {
            Some(key) => self.key.insert(key),
            None => {
                let secret = &self.credentials.secret_key;
                self.key.insert(SigningKey::new(secret, day, stamp.date(), &self.region, SERVICE))
            }
        };
        let token = self.credentials.session_token.as_ref().map(|token| token.as_str());
        let headers = [
            ("content-type", Some(CONTENT_TYPE)),
            ("host", Some(host)),
            ("x-amz-date", Some(stamp.time())),
            ("x-amz-security-token", token),
            ("x-amz-target", Some(target)),
        ];
        let signed = if token.is_some() { SIGNED_WITH_TOKEN } else { SIGNED };
        self.canonical.clear();
        canonical_request(&mut self.canonical, "POST", path, &headers, signed, body);
        let signature = key.signature(stamp.time(), &self.canonical);

        append(out, &["POST ", path, " HTTP/1.1\r\nuser-agent: ", USER_AGENT]);
        for (name, value) in headers {
            if let Some(value) = value {
                append(out, &["\r\n", name, ": ", value]);
            }
        }
        out.extend_from_slice(b"\r\ncontent-length: ");
        // Writing into a vector cannot fail.
        _ = write!(out, "{}", body.len());
        let access_key = self.credentials.access_key.as_str();
        append(out, &["\r\nauthorization: AWS4-HMAC-SHA256 Credential=", access_key, "/", &key.scope]);
        append(out, &[", SignedHeaders=", signed, ", Signature="]);
        out.extend_from_slice(&signature);
        out.extend_from_slice(b"\r\n\r\n");
    }
}

/// The key of one day, region and service.
#[derive(Clone)]
struct SigningKey {
    /// Days since 1970.
    day: u64,
    /// `20150830/us-east-1/sqs/aws4_request`.
    scope: String,
    key: hmac::Key,
}

impl SigningKey {
    fn new(secret_key: &str, day: u64, date: &str, region: &str, service: &str) -> SigningKey {
        let secret = Zeroizing::new(format!("AWS4{secret_key}"));
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        for part in [date, region, service, "aws4_request"] {
            key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
        }
        SigningKey { day, scope: format!("{date}/{region}/{service}/aws4_request"), key }
    }

    /// The signature of a canonical request, in hexadecimal digits.
    fn signature(&self, time: &str, canonical: &[u8]) -> [u8; 64] {
        let hash = hex(digest::digest(&digest::SHA256, canonical).as_ref());
        let mut context = hmac::Context::with_key(&self.key);
        for part in ["AWS4-HMAC-SHA256\n", time, "\n", &self.scope, "\n"] {
            context.update(part.as_bytes());
        }
        context.update(&hash);
        hex(context.sign().as_ref())
    }
}

/// Appends the canonical request. `headers` are sorted by name; those without a value are not sent. `signed`
/// are the names of the others. The path must not need normalising, and there is no query.
fn canonical_request(
    out: &mut Vec<u8>,
    method: &str,
    path: &str,
    headers: &[(&str, Option<&str>)],
    signed: &str,
    body: &[u8],
) {
    append(out, &[method, "\n", path, "\n\n"]);
    for (name, value) in headers {
        if let Some(value) = value {
            append(out, &[name, ":", value, "\n"]);
        }
    }
    append(out, &["\n", signed, "\n"]);
    out.extend_from_slice(&hex(digest::digest(&digest::SHA256, body).as_ref()));
}

fn append(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

/// The 64 hexadecimal digits of 32 bytes.
fn hex(bytes: &[u8]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}
