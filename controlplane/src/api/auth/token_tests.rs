//! Tokens that must be refused, one by one, and that each is refused in the same words.
//!
//! Method: tokens are put together by hand from header, claims and signature, so that no library refuses to make what
//! an attacker makes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use dataplane::config::Issuer;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use super::*;

const PASSWORD: &str = "correct horse battery";
const OTHER: &str = "https://login.example.com";

/// An accounts fixture whose signing key is known, with one user who has signed in.
pub(super) struct World {
    accounts: Accounts,
    key: Vec<u8>,
    key_id: String,
    session: String,
    ed25519: Ed25519KeyPair,
    p256: EcdsaKeyPair,
    _folder: tempfile::TempDir,
}

fn now() -> u64 {
    now_ms() as u64 / 1_000
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path());
    let random = SystemRandom::new();
    let ed25519 =
        Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let point = p256.public_key().as_ref();
    let jwks = json!({ "keys": [
        { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "sig", "x": b64(ed25519.public_key()) },
        { "kty": "EC", "crv": "P-256", "kid": "ec", "alg": "ES256", "x": b64(&point[1..33]), "y": b64(&point[33..]) },
        { "kty": "oct", "kid": "shared", "k": b64([7; 32]) },
        { "kty": "EC", "crv": "P-256", "kid": "enc", "use": "enc", "x": b64(&point[1..33]), "y": b64(&point[33..]) },
        { "kty": "unheard-of", "kid": "new" },
    ] });
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, jwks.to_string()).unwrap();
    let issuer = Issuer {
        name: OTHER.into(),
        audience: "millrace".into(),
        jwks_file: Some(file),
        jwks_url: None,
        role_claim: "roles".into(),
        roles: [("sre".into(), "operator".into()), ("lead".into(), "admin".into())].into(),
    };
    let accounts = Accounts::new(&Api { issuer: vec![issuer], ..Api::default() }, store).unwrap();
    let password = || Zeroizing::new(PASSWORD.to_owned());
    accounts.add_user("ada".into(), password(), Role::Operator).await.unwrap();
    let tokens = accounts.login("ada", password(), IpAddr::from([127, 0, 0, 1])).await.unwrap();
    let text = std::fs::read_to_string(folder.path().join(secrets::FILE)).unwrap();
    let (key_id, key) = text.trim().split_once(' ').unwrap();
    World {
        accounts,
        key: URL_SAFE_NO_PAD.decode(key).unwrap(),
        key_id: key_id.to_owned(),
        session: tokens.session,
        ed25519,
        p256,
        _folder: folder,
    }
}

impl World {
    pub(super) fn header(&self) -> Value {
        json!({ "alg": "HS256", "typ": "at+jwt", "kid": self.key_id })
    }

    pub(super) fn claims(&self) -> Value {
        json!({ "iss": "millrace", "aud": "millrace-api", "sub": "ada", "sid": self.session,
            "iat": now(), "nbf": now(), "exp": now() + 600 })
    }

    /// A token of these parts, signed with our own key whatever they say.
    pub(super) fn token(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", b64(header), b64(claims));
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.key), message.as_bytes());
        format!("{message}.{}", b64(signature))
    }

    fn with_header(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut header = self.header();
        change(&mut header);
        self.token(&header.to_string(), &self.claims().to_string())
    }

    pub(super) fn with_claims(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        self.token(&self.header().to_string(), &claims.to_string())
    }

    async fn login(&self) -> Tokens {
        let password = Zeroizing::new(PASSWORD.to_owned());
        self.accounts.login("ada", password, IpAddr::from([127, 0, 0, 1])).await.unwrap()
    }

    /// As if all that were used had been used longer ago than one may come again.
    async fn age_refresh_tokens(&self) {
        let aged = self.accounts.store.call(|connection| {
            let sql = "UPDATE refresh_tokens SET used_ms = used_ms - ?1 - 1 WHERE used_ms IS NOT NULL";
            Ok(connection.execute(sql, [sessions::AGAIN_MS])?)
        });
        assert_ne!(aged.await, Ok(0));
    }

    pub(super) async fn ask(&self, token: &str) -> Result<Principal, Problem> {
        let mut headers = HeaderMap::new();
        let value = format!("Bearer {token}");
        // What cannot stand in a header cannot arrive in one.
        let Ok(value) = value.parse() else { return Err(Problem::unauthenticated()) };
        headers.insert(AUTHORIZATION, value);
        self.accounts.authenticate(&headers).await
    }

    pub(super) async fn refuses(&self, what: &str, token: &str) {
        let refused = self.ask(token).await;
        assert_eq!(refused, Err(Problem::unauthenticated()), "{what}");
    }

    fn claims_of_other(&self) -> Value {
        json!({ "iss": OTHER, "aud": "millrace", "sub": "grace", "roles": ["sre", "dev"], "exp": now() + 600 })
    }

    fn signed_by_other(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = match header["kid"].as_str() {
            Some("ed") => b64(self.ed25519.sign(message.as_bytes())),
            _ => b64(self.p256.sign(&SystemRandom::new(), message.as_bytes()).unwrap()),
        };
        format!("{message}.{signature}")
    }
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn a_good_token_is_accepted_so_that_the_others_are_refused_for_their_fault() {
    block_on(async {
        let world = world().await;
        let principal = world.ask(&world.with_claims(|_| {})).await.unwrap();
        assert_eq!((principal.name.as_str(), principal.role), ("ada", Role::Operator));
    });
}

#[test]
fn the_algorithm_is_the_keys_and_never_the_tokens() {
    block_on(async {
        let world = world().await;
        for name in ["none", "None", "NONE", "nOnE", "", "HS384", "HS512", "RS256", "ES256", "EdDSA", "hs256"]
        {
            world.refuses(name, &world.with_header(|header| header["alg"] = name.into())).await;
        }
        let unsigned =
            format!("{}.{}.", b64(r#"{"alg":"none","typ":"at+jwt"}"#), b64(world.claims().to_string()));
        world.refuses("alg none without a signature", &unsigned).await;
        world
            .refuses(
                "no alg",
                &world.with_header(|header| drop(header.as_object_mut().unwrap().remove("alg"))),
            )
            .await;
        world.refuses("alg is a list", &world.with_header(|header| header["alg"] = json!(["HS256"]))).await;
        // The public key of an issuer as the secret of an HMAC.
        let header = json!({ "alg": "HS256", "kid": "ed" });
        let message = format!("{}.{}", b64(header.to_string()), b64(world.claims_of_other().to_string()));
        let secret = hmac::Key::new(hmac::HMAC_SHA256, world.ed25519.public_key().as_ref());
        let confused = format!("{message}.{}", b64(hmac::sign(&secret, message.as_bytes())));
        world.refuses("a public key as a secret", &confused).await;
        // A secret that the issuer publishes by mistake.
        let header = json!({ "alg": "HS256", "kid": "shared" });
        let message = format!("{}.{}", b64(header.to_string()), b64(world.claims_of_other().to_string()));
        let shared = format!(
            "{message}.{}",
            b64(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]), message.as_bytes()))
        );
        world.refuses("a published secret", &shared).await;
    });
}

#[test]
fn times_are_held_with_30_seconds_for_the_clocks() {
    block_on(async {
        let world = world().await;
        let at = |name: &'static str, value: Value| world.with_claims(|claims| claims[name] = value);
        for (what, token) in [
            ("expired", at("exp", json!(now() - 35))),
            ("not yet", at("nbf", json!(now() + 35))),
            ("issued in the future", at("iat", json!(now() + 35))),
            ("exp is a text", at("exp", json!("9999999999"))),
            ("exp is negative", at("exp", json!(-1))),
            ("exp is null", at("exp", Value::Null)),
            ("exp is an object", at("exp", json!({}))),
            ("iat is a text", at("iat", json!("now"))),
            ("nbf is a text", at("nbf", json!("soon"))),
            ("no exp", world.with_claims(|claims| drop(claims.as_object_mut().unwrap().remove("exp")))),
        ] {
            world.refuses(what, &token).await;
        }
        for (what, token) in [
            ("just expired", at("exp", json!(now() - 25))),
            ("almost", at("nbf", json!(now() + 25))),
            ("a clock ahead", at("iat", json!(now() + 25))),
        ] {
            assert!(world.ask(&token).await.is_ok(), "{what}");
        }
    });
}

#[test]
fn issuer_audience_and_subject_are_exact() {
    block_on(async {
        let world = world().await;
        let at = |name: &'static str, value: Value| world.with_claims(|claims| claims[name] = value);
        let without = |name: &'static str| {
            world.with_claims(|claims| drop(claims.as_object_mut().unwrap().remove(name)))
        };
        for (what, token) in [
            ("another audience", at("aud", json!("millrace"))),
            ("a list of audiences", at("aud", json!(["millrace-api"]))),
            ("a list of others", at("aud", json!(["a", "b"]))),
            ("aud is a number", at("aud", json!(1))),
            ("no aud", without("aud")),
            ("another issuer", at("iss", json!("https://evil.example"))),
            ("a list of issuers", at("iss", json!(["millrace"]))),
            ("an issuer with a space", at("iss", json!("millrace "))),
            ("no iss", without("iss")),
            ("sub is a number", at("sub", json!(7))),
            ("sub is another user", at("sub", json!("bob"))),
            ("no sub", without("sub")),
            ("no session", without("sid")),
            ("another session", at("sid", json!("n0000000000000000"))),
            ("session is a list", at("sid", json!([world.session]))),
        ] {
            world.refuses(what, &token).await;
        }
    });
}

#[test]
fn headers_that_bring_a_key_or_rules_are_refused() {
    block_on(async {
        let world = world().await;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        for name in ["jku", "x5u"] {
            world.refuses(name, &world.with_header(|header| header[name] = url.as_str().into())).await;
        }
        for name in ["jwk", "x5c", "crit", "enc", "zip", "b64", "cty"] {
            for value in [json!([]), json!({}), json!("a"), json!(["exp"]), json!(false)] {
                world.refuses(name, &world.with_header(|header| header[name] = value)).await;
            }
        }
        let hits = listener.accept();
        assert_eq!(hits.unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "something was fetched");
        for id in ["../../dev/null", "' OR 1=1 --", "https://evil.example/k", "", &"k".repeat(5_000), "\u{0}"]
        {
            world.refuses(id, &world.with_header(|header| header["kid"] = id.into())).await;
        }
        world.refuses("kid is a number", &world.with_header(|header| header["kid"] = 1.into())).await;
        world
            .refuses(
                "no kid",
                &world.with_header(|header| drop(header.as_object_mut().unwrap().remove("kid"))),
            )
            .await;
        for kind in ["JWT", "jwt", "AT+JWT", ""] {
            world.refuses("another type", &world.with_header(|header| header["typ"] = kind.into())).await;
        }
    });
}

#[test]
fn what_is_garbled_doubled_or_large_is_refused() {
    block_on(async {
        let world = world().await;
        let good = world.with_claims(|_| {});
        let parts: Vec<&str> = good.split('.').collect();
        let [header, claims, signature] = parts[..] else { panic!("three parts") };
        let more = world.claims().to_string().replace("\"ada\"", "\"root\"");
        let mut last = good.clone();
        // The last letter of 32 bytes has two bits that mean nothing: they must be 0.
        let end = last.pop().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let next = alphabet.chars().nth(alphabet.find(end).unwrap() + 1).unwrap();
        last.push(next);
        let doubled = world.claims().to_string().replacen('{', "{\"sub\":\"bob\",", 1);
        let doubled_header = world.header().to_string().replacen('{', "{\"alg\":\"none\",", 1);
        let padded = URL_SAFE.encode(URL_SAFE_NO_PAD.decode(signature).unwrap());
        let standard = STANDARD.encode(URL_SAFE_NO_PAD.decode(signature).unwrap());
        let reversed: String = signature.chars().rev().collect();
        for (what, token) in [
            ("claims of another", format!("{header}.{}.{signature}", b64(more))),
            ("no signature", format!("{header}.{claims}.")),
            ("no signature and no dot", format!("{header}.{claims}")),
            ("an extra part", format!("{good}.{signature}")),
            ("an extra dot", format!("{good}.")),
            ("a dot before", format!(".{good}")),
            ("only dots", "..".to_owned()),
            ("another signature", format!("{header}.{claims}.{reversed}")),
            ("half a signature", format!("{header}.{claims}.{}", &signature[..20])),
            ("a signature with bits that mean nothing", last),
            ("padding", format!("{header}.{claims}.{padded}")),
            ("the other base64", format!("{header}.{claims}.{standard}+")),
            ("a claim twice", world.token(&world.header().to_string(), &doubled)),
            ("a header twice", world.token(&doubled_header, &world.claims().to_string())),
            ("claims that are a list", world.token(&world.header().to_string(), "[]")),
            ("claims that are no JSON", world.token(&world.header().to_string(), "{")),
            ("a header that is no JSON", world.token("", &world.claims().to_string())),
            (
                "deep nesting",
                world.token(&world.header().to_string(), &format!("{{\"iss\":{}", "[".repeat(4_000))),
            ),
            ("a megabyte", format!("{header}.{}.{signature}", "A".repeat(1 << 20))),
            ("over the limit", world.with_claims(|claims| claims["pad"] = "A".repeat(8 << 10).into())),
            ("a space", format!("{good} {good}")),
        ] {
            world.refuses(what, &token).await;
        }
        for cut in (0..good.len()).step_by(7) {
            world.refuses("cut off", &good[..cut]).await;
        }
    });
}

#[test]
fn tokens_of_another_issuer_give_the_role_of_their_claim() {
    block_on(async {
        let world = world().await;
        for (id, algorithm) in [("ed", "EdDSA"), ("ec", "ES256")] {
            let header = json!({ "alg": algorithm, "kid": id });
            let token = world.signed_by_other(&header, &world.claims_of_other());
            let principal = world.ask(&token).await.unwrap();
            assert_eq!(
                (principal.name.as_str(), principal.role),
                ("https://login.example.com|grace", Role::Operator)
            );
        }
        let header = json!({ "alg": "ES256", "kid": "ec" });
        let with = |change: &dyn Fn(&mut Value)| {
            let mut claims = world.claims_of_other();
            change(&mut claims);
            world.signed_by_other(&header, &claims)
        };
        let lead = world.ask(&with(&|claims| claims["roles"] = json!(["sre", "lead"]))).await.unwrap();
        assert_eq!(lead.role, Role::Admin);
        for (what, token) in [
            ("no role", with(&|claims| drop(claims.as_object_mut().unwrap().remove("roles")))),
            ("roles that give nothing", with(&|claims| claims["roles"] = json!(["dev"]))),
            ("roles of another form", with(&|claims| claims["roles"] = json!({ "sre": true }))),
            ("another audience", with(&|claims| claims["aud"] = json!("grafana"))),
            ("our own name", with(&|claims| claims["iss"] = json!("millrace"))),
            ("a long subject", with(&|claims| claims["sub"] = "g".repeat(300).into())),
            (
                "a key for encryption",
                world.signed_by_other(&json!({ "alg": "ES256", "kid": "enc" }), &world.claims_of_other()),
            ),
            (
                "another algorithm of the family",
                world.signed_by_other(&json!({ "alg": "ES384", "kid": "ec" }), &world.claims_of_other()),
            ),
            (
                "the key of another",
                world.signed_by_other(&json!({ "alg": "EdDSA", "kid": "ec" }), &world.claims_of_other()),
            ),
        ] {
            world.refuses(what, &token).await;
        }
    });
}

#[test]
fn a_revoked_session_and_a_disabled_user_are_refused_at_once() {
    block_on(async {
        let world = world().await;
        let token = world.with_claims(|_| {});
        assert!(world.ask(&token).await.is_ok());
        world.accounts.change_user("ada".into(), Some(Role::Viewer), None, None).await.unwrap();
        assert_eq!(world.ask(&token).await.unwrap().role, Role::Viewer, "a role holds at once");
        world.accounts.revoke_session(world.session.clone(), None, "test").await.unwrap();
        world.refuses("revoked", &token).await;
        let password = || Zeroizing::new(PASSWORD.to_owned());
        let here = IpAddr::from([127, 0, 0, 1]);
        let again = world.accounts.login("ada", password(), here).await.unwrap();
        assert!(world.ask(&again.access).await.is_ok());
        world.accounts.change_user("ada".into(), None, Some(true), None).await.unwrap();
        world.refuses("disabled", &again.access).await;
        assert!(world.accounts.refresh(&again.refresh).await.is_err());
        assert!(world.accounts.login("ada", password(), here).await.is_err());
    });
}

#[test]
fn a_refresh_token_that_comes_late_a_second_time_ends_its_session() {
    block_on(async {
        let world = world().await;
        let first = world.login().await;
        let second = world.accounts.refresh(&first.refresh).await.unwrap();
        assert!(world.ask(&second.access).await.is_ok());
        world.age_refresh_tokens().await;
        assert!(world.accounts.refresh(&first.refresh).await.is_err(), "it was used up");
        world.refuses("the thief's and the owner's alike", &second.access).await;
        assert!(world.accounts.refresh(&second.refresh).await.is_err());
        assert!(world.accounts.refresh("mr_nonsense").await.is_err());
    });
}

#[test]
fn a_refresh_token_whose_answer_was_lost_may_come_again_at_once() {
    block_on(async {
        let world = world().await;
        let first = world.login().await;
        let lost = world.accounts.refresh(&first.refresh).await.unwrap();
        let second = world.accounts.refresh(&first.refresh).await.unwrap();
        assert!(world.ask(&second.access).await.is_ok());
        // Three tabs with three views of what is kept: each goes on, and the last answer is the one that is good.
        let third = world.accounts.refresh(&lost.refresh).await.unwrap();
        world.age_refresh_tokens().await;
        assert!(world.accounts.refresh(&third.refresh).await.is_ok());
    });
}

#[test]
fn of_two_who_hold_a_refresh_token_one_is_noticed() {
    block_on(async {
        let world = world().await;
        let first = world.login().await;
        let owner = world.accounts.refresh(&first.refresh).await.unwrap();
        let thief = world.accounts.refresh(&first.refresh).await.unwrap();
        world.age_refresh_tokens().await;
        assert!(world.accounts.refresh(&owner.refresh).await.is_err(), "the thief's took its place");
        world.refuses("the thief's and the owner's alike", &thief.access).await;
        assert!(world.accounts.refresh(&thief.refresh).await.is_err());
    });
}

#[test]
fn api_keys_expire_are_revoked_and_are_stored_as_hashes() {
    block_on(async {
        let world = world().await;
        let soon = now_ms() + 60;
        let (key, secret) =
            world.accounts.add_key("ci".into(), Role::Viewer, None, "ada".into()).await.unwrap();
        assert_eq!(world.ask(&secret).await.unwrap().name, "key:ci");
        assert!(secret.starts_with(&key.prefix) && key.prefix.len() == SHOWN);
        let (_, short) =
            world.accounts.add_key("short".into(), Role::Viewer, Some(soon), "ada".into()).await.unwrap();
        assert!(world.ask(&secret[..secret.len() - 1]).await.is_err());
        world.accounts.revoke_key(key.id).await.unwrap();
        world.refuses("revoked", &secret).await;
        tokio::time::sleep(Duration::from_millis(80)).await;
        world.refuses("expired", &short).await;
        let bytes = std::fs::read(world._folder.path().join("millrace.db-wal")).unwrap();
        for secret in [secret.as_bytes(), PASSWORD.as_bytes()] {
            assert!(
                !bytes.windows(secret.len()).any(|window| window == secret),
                "a secret lies in the store"
            );
        }
    });
}

#[test]
fn the_first_token_is_good_until_an_admin_can_sign_in() {
    block_on(async {
        let world = world().await;
        let token = world.accounts.bootstrap().await.expect("there is no admin yet");
        assert_eq!(world.ask(&token).await.unwrap().role, Role::Admin);
        let password = || Zeroizing::new(PASSWORD.to_owned());
        world.accounts.add_user("bob".into(), password(), Role::Viewer).await.unwrap();
        assert!(world.ask(&token).await.is_ok(), "a viewer is no admin");
        world.accounts.add_user("eve".into(), password(), Role::Admin).await.unwrap();
        world.refuses("there is an admin", &token).await;
        assert!(world.accounts.bootstrap().await.is_none());
        let last = world.accounts.remove_user("eve".into()).await.unwrap_err();
        assert_eq!(last.code(), Code::Conflict, "the last admin stays");
    });
}

#[test]
fn unknown_users_and_wrong_passwords_get_the_same_answer_in_similar_time() {
    block_on(async {
        let world = world().await;
        let here = IpAddr::from([127, 0, 0, 1]);
        let attempt = async |name: &str| {
            let began = Instant::now();
            let refused = world
                .accounts
                .login(name, Zeroizing::new("wrong password!".into()), here)
                .await
                .err()
                .unwrap();
            (refused, began.elapsed())
        };
        attempt("nobody").await;
        let (mut known, mut unknown) = (Duration::MAX, Duration::MAX);
        for _ in 0..5 {
            let (a, b) = (attempt("ada").await, attempt("nobody").await);
            assert_eq!(a.0, b.0);
            (known, unknown) = (known.min(a.1), unknown.min(b.1));
        }
        assert!(unknown > known / 3 && known > unknown / 3, "{known:?} {unknown:?}");
    });
}
