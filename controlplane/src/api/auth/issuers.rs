//! Tokens of other issuers: their public keys, from a file or fetched, and the role that a claim gives.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dataplane::config::Issuer;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};
use tokio::sync::Mutex as AsyncMutex;

use super::tokens::{self, Unverified};
use crate::api::{Principal, Proof, Role};
use crate::exit::Failure;
use crate::outbound::{self, Url};

/// Keys of one issuer.
const KEYS_MAX: usize = 64;
/// Largest key set.
const JWKS_BYTES_MAX: usize = 256 << 10;
/// Time between two fetches of one issuer's keys, whatever tokens arrive meanwhile.
const REFRESH_MIN: Duration = Duration::from_secs(60);
/// Keys are fetched anew after this long, so that a revoked one is refused.
const REFRESH_MAX: Duration = Duration::from_secs(300);
/// Longest `sub`.
const SUBJECT_BYTES_MAX: usize = 256;

/// A public key and the one algorithm that it is used with.
#[derive(Clone)]
pub(super) struct IssuerKey {
    key: DecodingKey,
    algorithm: Algorithm,
}

type KeySet = HashMap<String, IssuerKey>;

/// All other issuers.
#[derive(Default)]
pub(super) struct Issuers(Vec<Known>);

struct Known {
    name: String,
    audience: String,
    role_claim: String,
    roles: HashMap<String, Role>,
    url: Option<Url>,
    keys: Mutex<Arc<KeySet>>,
    fetched: AsyncMutex<Option<Instant>>,
}

impl Issuers {
    /// Reads the key files; what is fetched is fetched when the first token comes.
    ///
    /// # Errors
    /// A file cannot be read or holds no key that can be used. Exit code 78.
    pub(super) fn new(issuers: &[Issuer]) -> Result<Issuers, Failure> {
        issuers.iter().map(Known::new).collect::<Result<_, _>>().map(Issuers)
    }

    /// Who a token of another issuer is from, if it is valid and its claim gives a role.
    pub(super) async fn verify(&self, token: &str, seen: &Unverified) -> Option<Principal> {
        let known = self.0.iter().find(|known| known.name == seen.issuer)?;
        let key = known.key(seen.key_id.as_deref()?).await?;
        let claims = tokens::verify(token, &key.key, key.algorithm, &known.name, &known.audience)?;
        let subject = claims.get("sub")?.as_str().filter(|subject| subject.len() <= SUBJECT_BYTES_MAX)?;
        let role = known.role(&claims)?;
        let name = format!("{}|{subject}", known.name);
        Some(Principal { name, role, proof: Proof::Issuer(known.name.clone()) })
    }
}

impl Known {
    fn new(issuer: &Issuer) -> Result<Known, Failure> {
        let keys = match &issuer.jwks_file {
            None => KeySet::new(),
            Some(file) => read(file).map_err(|fault| {
                Failure::config(
                    format!("api.issuer.jwks_file: {}: {fault}", file.display()),
                    "name a readable JWKS file",
                )
            })?,
        };
        let url = issuer.jwks_url.as_deref().map(Url::parse).transpose().map_err(|fault| {
            Failure::config(
                format!("api.issuer.jwks_url: {fault}"),
                "for example https://login.example.com/jwks.json",
            )
        })?;
        let roles = issuer
            .roles
            .iter()
            .filter_map(|(value, role)| Some((value.clone(), Role::parse(role)?)))
            .collect();
        Ok(Known {
            name: issuer.name.clone(),
            audience: issuer.audience.clone(),
            role_claim: issuer.role_claim.clone(),
            roles,
            url,
            keys: Mutex::new(Arc::new(keys)),
            fetched: AsyncMutex::default(),
        })
    }

    fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A key by its id; fetches the set when it is old, or does not have the id and is not fresh.
    async fn key(&self, id: &str) -> Option<IssuerKey> {
        if let Some(url) = &self.url {
            let mut fetched = self.fetched.lock().await;
            let age = fetched.map(|at| at.elapsed());
            let missing = !self.keys().contains_key(id);
            if age.is_none_or(|age| age >= REFRESH_MAX || (missing && age >= REFRESH_MIN)) {
                // Counted from the attempt, so that an endpoint that is down is not asked more often.
                *fetched = Some(Instant::now());
                match fetch(url).await {
                    Ok(keys) => *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys),
                    Err(fault) => tracing::warn!(
                        event = "jwks_unreachable",
                        issuer = self.name,
                        reason = fault,
                        "the keys of an issuer could not be fetched; those that are known stay in use"
                    ),
                }
            }
        }
        self.keys().get(id).cloned()
    }

    /// The highest role that the claim's values give.
    fn role(&self, claims: &Map<String, Value>) -> Option<Role> {
        let values: Vec<&str> = match claims.get(&self.role_claim)? {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => return None,
        };
        values.into_iter().filter_map(|value| self.roles.get(value).copied()).max()
    }
}

async fn fetch(url: &Url) -> Result<KeySet, String> {
    let answer = outbound::get(url, JWKS_BYTES_MAX).await.map_err(|error| error.to_string())?;
    parse(&answer)
}

fn read(file: &Path) -> Result<KeySet, String> {
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    if bytes.len() > JWKS_BYTES_MAX {
        return Err(format!("it is larger than {JWKS_BYTES_MAX} bytes"));
    }
    parse(&bytes)
}

/// Public keys with an id; what is for other uses or of other kinds is left out.
fn parse(bytes: &[u8]) -> Result<KeySet, String> {
    let set: Value = serde_json::from_slice(bytes).map_err(|error| format!("it is no JSON: {error}"))?;
    let list = set["keys"].as_array().ok_or("it has no list `keys`")?;
    if list.len() > KEYS_MAX {
        return Err(format!("it has more than {KEYS_MAX} keys"));
    }
    let keys: KeySet = list
        .iter()
        .filter_map(|value| {
            // One key of a kind that is not known must not cost the others.
            let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
            let id = jwk.common.key_id.clone()?;
            let algorithm = algorithm(&jwk)?;
            let key = DecodingKey::from_jwk(&jwk).ok()?;
            Some((id, IssuerKey { key, algorithm }))
        })
        .collect();
    if keys.is_empty() { Err("it has no key that can be used".to_owned()) } else { Ok(keys) }
}

/// The one algorithm of a key: what it says, if that fits its kind. Secret keys (`oct`) have none: what is published
/// is no secret.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
        return None;
    }
    let fitting: &[(KeyAlgorithm, Algorithm)] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => {
            &[(KeyAlgorithm::RS256, Algorithm::RS256), (KeyAlgorithm::PS256, Algorithm::PS256)]
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            &[(KeyAlgorithm::ES256, Algorithm::ES256)]
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => {
            &[(KeyAlgorithm::ES384, Algorithm::ES384)]
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            &[(KeyAlgorithm::EdDSA, Algorithm::EdDSA)]
        }
        _ => return None,
    };
    match &jwk.common.key_algorithm {
        None => Some(fitting[0].1),
        Some(said) => fitting.iter().find(|(name, _)| name == said).map(|(_, algorithm)| *algorithm),
    }
}
