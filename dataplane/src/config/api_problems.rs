//! What the API's part of a config that parses still gets wrong.
//!
//! Level 0, pure: no file is read and no address is bound here.

use std::collections::HashSet;
use std::net::SocketAddr;

use super::problems::Found;
use super::{Api, Issuer, Time};

/// Longest life of a session, and time between two backups: 30 days.
const LIFE_S_MAX: u64 = 720 * 3_600;

pub(super) fn api(found: &mut Found, api: &Api) {
    match api.listen.parse::<SocketAddr>() {
        Ok(address) if !address.ip().is_loopback() && api.tls.is_none() && !api.insecure_non_loopback => found.add(
            "api.listen",
            format!(
                "{address} is not a loopback address: passwords would travel in clear; add [api.tls], or set \
                 api.insecure_non_loopback = true behind a proxy that encrypts"
            ),
        ),
        Ok(_) => {}
        Err(_) => {
            found.add("api.listen", format!("`{}` is not ADDRESS:PORT, for example 127.0.0.1:8080", api.listen));
        }
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    for name in &api.hosts {
        if name.is_empty() || name.len() > 253 || !name.chars().all(legal) {
            found.add("api.hosts", format!("`{name}` is no host name; give it without scheme and port"));
        }
    }
    if api.store.as_ref().is_some_and(|folder| !folder.is_absolute()) {
        found.add("api.store", "the path is relative; begin it with /".to_owned());
    }
    found.number("api.requests_per_minute", u64::from(api.requests_per_minute), 60, 600_000);
    let session = &api.session;
    let (minute, hour) = (Time::from_secs(60), Time::from_secs(3_600));
    found.range("api.session.access_token_life", session.access_token_life, minute, hour);
    found.range("api.session.life", session.life, Time::from_secs(300), Time::from_secs(LIFE_S_MAX));
    if !api.backup.every.0.is_zero() {
        found.range("api.backup.every", api.backup.every, minute, Time::from_secs(LIFE_S_MAX));
    }
    found.number("api.backup.keep", u64::from(api.backup.keep), 1, 64);
    let mut names = HashSet::new();
    for one in &api.issuer {
        if !names.insert(&one.name) {
            found.add("api.issuer.name", format!("`{}` is used twice; names must differ", one.name));
        }
        issuer(found, one);
    }
}

fn issuer(found: &mut Found, issuer: &Issuer) {
    if issuer.name.is_empty() || issuer.name == "millrace" {
        found.add("api.issuer.name", format!("`{}` cannot be an issuer's name", issuer.name));
    }
    if issuer.audience.is_empty() {
        found.add("api.issuer.audience", "it is empty; name what the tokens have in `aud`".to_owned());
    }
    if issuer.jwks_file.is_some() == issuer.jwks_url.is_some() {
        found.add("api.issuer", "give one of jwks_file and jwks_url".to_owned());
    }
    if let Some(url) = issuer.jwks_url.as_deref().filter(|url| !url.starts_with("https://")) {
        found
            .add("api.issuer.jwks_url", format!("`{url}` must begin with https://: keys decide who gets in"));
    }
    if issuer.roles.is_empty() {
        found.add(
            "api.issuer.roles",
            "the table is empty, so nobody would get in; add value = role".to_owned(),
        );
    }
    for (value, role) in &issuer.roles {
        if !["viewer", "operator", "admin"].contains(&role.as_str()) {
            found.add(
                "api.issuer.roles",
                format!("`{value}`: `{role}` is none of viewer, operator and admin"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Config, Pipeline, Tls};

    fn problems(change: impl FnOnce(&mut Api)) -> Vec<String> {
        let pipeline =
            Pipeline::new("orders", "https://sqs.eu-west-1.amazonaws.com/1/orders", &["b:9092"], "orders");
        let mut config = Config { pipeline: vec![pipeline], ..Config::default() };
        change(&mut config.api);
        config.problems().iter().map(ToString::to_string).collect()
    }

    fn good_issuer() -> Issuer {
        Issuer {
            name: "https://login.example.com".into(),
            audience: "millrace".into(),
            jwks_file: None,
            jwks_url: Some("https://login.example.com/jwks.json".into()),
            role_claim: "roles".into(),
            roles: BTreeMap::from([("sre".into(), "operator".into())]),
        }
    }

    #[test]
    fn outside_of_loopback_there_is_tls_or_consent() {
        let open = "0.0.0.0:8080".to_owned();
        assert!(problems(|api| api.listen = open.clone())[0].contains("[api.tls]"));
        assert!(problems(|api| api.listen = "[::]:8080".into())[0].contains("insecure_non_loopback"));
        let tls = Tls { cert_file: "/c".into(), key_file: "/k".into(), client_ca_file: None };
        assert_eq!(
            problems(|api| *api = Api { listen: open.clone(), tls: Some(tls), ..Api::default() }),
            [""; 0]
        );
        assert_eq!(
            problems(|api| *api = Api { listen: open, insecure_non_loopback: true, ..Api::default() }),
            [""; 0]
        );
    }

    #[test]
    fn each_fault_of_an_issuer_is_named() {
        let one = |change: fn(&mut Issuer)| {
            let mut issuer = good_issuer();
            change(&mut issuer);
            problems(|api| api.issuer = vec![issuer]).join("\n")
        };
        assert_eq!(one(|_| {}), "");
        assert!(one(|i| i.jwks_url = Some("http://a".into())).contains("https://"));
        assert!(one(|i| i.jwks_url = None).contains("one of jwks_file and jwks_url"));
        assert!(one(|i| i.jwks_file = Some("/a".into())).contains("one of jwks_file and jwks_url"));
        assert!(one(|i| i.roles.clear()).contains("nobody would get in"));
        assert!(one(|i| drop(i.roles.insert("x".into(), "root".into()))).contains("`root` is none of"));
        assert!(one(|i| i.name = "millrace".into()).contains("cannot be an issuer's name"));
        assert!(problems(|api| api.issuer = vec![good_issuer(), good_issuer()])[0].contains("twice"));
    }

    #[test]
    fn lives_names_and_paths_have_bounds() {
        assert!(problems(|api| api.session.access_token_life = Time::from_secs(7_200))[0].contains("1h"));
        assert!(problems(|api| api.session.life = Time::from_secs(1))[0].contains("5m"));
        assert!(problems(|api| api.backup.keep = 0)[0].contains("1 to 64"));
        assert_eq!(problems(|api| api.backup.every = Time::from_secs(0)), [""; 0]);
        assert!(problems(|api| api.hosts = vec!["http://a".into()])[0].contains("no host name"));
        assert!(problems(|api| api.store = Some("var".into()))[0].contains("relative"));
        assert!(problems(|api| api.requests_per_minute = 1)[0].contains("60 to 600000"));
    }
}
