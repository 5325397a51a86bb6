//! Tokens in JWT form: those that Millrace signs, and what is read from those of others.
//!
//! The algorithm belongs to the key and is never taken from the token. Headers that name keys (`jku`, `jwk`, `x5u`,
//! `x5c`) are refused; a key is only ever looked up by its id among those that are known. Claims and headers with
//! a name twice are refused: two readers could read two tokens.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::secrets::SigningKeys;

/// Longest token.
pub(super) const TOKEN_BYTES_MAX: usize = 8 << 10;
/// Clocks may differ by this much.
const LEEWAY_S: u64 = 30;
/// `iss` of our own tokens.
pub(super) const ISSUER: &str = "millrace";
/// `aud` of our own tokens.
const AUDIENCE: &str = "millrace-api";
/// `typ` of our own tokens. Source: RFC 9068.
const TYPE: &str = "at+jwt";
/// Headers that ask for a key from elsewhere, or for rules that are not known here.
const HEADERS_REFUSED: [&str; 9] = ["jku", "jwk", "x5u", "x5c", "crit", "enc", "zip", "b64", "cty"];

/// A JSON object in which no name comes twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Unique(pub(super) Map<String, Value>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unique, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Unique;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object without a name twice")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Unique, A::Error> {
                let mut map = Map::new();
                while let Some((name, value)) = entries.next_entry::<String, Value>()? {
                    if map.insert(name, value).is_some() {
                        return Err(de::Error::custom("a name comes twice"));
                    }
                }
                Ok(Unique(map))
            }
        }

        deserializer.deserialize_map(Names)
    }
}

/// The parts of a token before its signature is looked at: good for choosing a key, for nothing else.
#[derive(Debug)]
pub(super) struct Unverified {
    pub(super) key_id: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) issuer: String,
}

/// Reads what is needed to choose a key. `None` for whatever is not exactly a JWT.
pub(super) fn look(token: &str) -> Option<Unverified> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { return None };
    if signature.is_empty() {
        return None;
    }
    let object = |part: &str| serde_json::from_slice::<Unique>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    let (header, claims) = (object(header)?.0, object(claims)?.0);
    if HEADERS_REFUSED.iter().any(|name| header.contains_key(*name)) {
        return None;
    }
    let text = |name: &str| match header.get(name) {
        None => Some(None),
        Some(Value::String(text)) => Some(Some(text.clone())),
        Some(_) => None,
    };
    let issuer = claims.get("iss")?.as_str()?.to_owned();
    Some(Unverified { key_id: text("kid")?, kind: text("typ")?, issuer })
}

/// Verifies a token with a key and the one algorithm that the key is used with, and its times, issuer and audience.
pub(super) fn verify(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
    issuer: &str,
    audience: &str,
) -> Option<Map<String, Value>> {
    let mut rules = Validation::new(algorithm);
    rules.leeway = LEEWAY_S;
    rules.validate_nbf = true;
    rules.set_issuer(&[issuer]);
    rules.set_audience(&[audience]);
    rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let claims = jsonwebtoken::decode::<Unique>(token, key, &rules).ok()?.claims.0;
    // What the library leaves open: an issuer must be a text, and nothing is issued in the future.
    let is_text = |name: &str| claims.get(name).is_some_and(Value::is_string);
    let issued = claims.get("iat").map(Value::as_u64);
    let issued_fits = issued.is_none_or(|at| at.is_some_and(|at| at <= now_s() + LEEWAY_S));
    (is_text("iss") && is_text("sub") && issued_fits).then_some(claims)
}

/// What our own tokens say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    sid: &'a str,
    iat: u64,
    nbf: u64,
    exp: u64,
}

/// Signs an access token of a session.
///
/// # Errors
/// Never for strings and numbers; a bug otherwise.
pub(super) fn sign(keys: &SigningKeys, user: &str, session: &str, life_s: u64) -> Result<String, String> {
    let now = now_s();
    let claims =
        Claims { iss: ISSUER, aud: AUDIENCE, sub: user, sid: session, iat: now, nbf: now, exp: now + life_s };
    let (id, key) = keys.signing();
    let header =
        Header { typ: Some(TYPE.to_owned()), kid: Some(id.to_owned()), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, &claims, key).map_err(|error| error.to_string())
}

/// Verifies an access token of ours; gives user and session.
pub(super) fn verify_own(keys: &SigningKeys, token: &str, seen: &Unverified) -> Option<(String, String)> {
    if seen.kind.as_deref() != Some(TYPE) {
        return None;
    }
    let key = keys.verifying(seen.key_id.as_deref()?)?;
    let claims = verify(token, key, Algorithm::HS256, ISSUER, AUDIENCE)?;
    // Ours have exactly one audience.
    if !claims.get("aud").is_some_and(Value::is_string) {
        return None;
    }
    Some((claims.get("sub")?.as_str()?.to_owned(), claims.get("sid")?.as_str()?.to_owned()))
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
