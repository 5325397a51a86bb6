//! Configurations that are shown and kept: options of librdkafka that may hold a secret and paths of addresses are hidden, and
//! come back from the configuration in force.
//!
//! Pure. Secrets have references of their own; an option of librdkafka may hold one all the same, and chat services put theirs
//! into the path of a web hook.

use dataplane::config::{Config, is_hidden};

/// What stands in the place of a value.
const HIDDEN: &str = "(hidden)";

/// The configuration as it may be shown.
pub(crate) fn hidden(config: &Config) -> Config {
    let mut shown = config.clone();
    for pipeline in &mut shown.pipeline {
        for (name, value) in &mut pipeline.kafka.options {
            if is_hidden(&format!("kafka.options.{name}")) {
                HIDDEN.clone_into(value);
            }
        }
    }
    for hook in &mut shown.alerts.webhook {
        cover(&mut hook.url);
    }
    if let Some(otlp) = &mut shown.export.otlp {
        cover(&mut otlp.url);
    }
    shown
}

/// Leaves of an address what may be seen: scheme, host and port.
fn cover(url: &mut String) {
    let host_at = url.find("://").map_or(0, |at| at + 3);
    if let Some(path_at) = url[host_at..].find(['/', '?']).map(|at| host_at + at)
        && url.len() > path_at + 1
    {
        url.truncate(path_at);
        url.push('/');
        url.push_str(HIDDEN);
    }
}

/// Whether an address is the shown form of another.
fn is_covered(shown: &str, whole: &str) -> bool {
    let mut covered = whole.to_owned();
    cover(&mut covered);
    shown.ends_with(HIDDEN) && shown == covered
}

/// A configuration that was shown, with what was hidden taken from the one in force.
///
/// # Errors
/// The path of a hidden value that the one in force does not have.
pub(crate) fn revealed(shown: &Config, in_force: &Config) -> Result<Config, String> {
    let mut config = shown.clone();
    for pipeline in &mut config.pipeline {
        let known = in_force.pipeline.iter().find(|known| known.name == pipeline.name);
        for (name, value) in &mut pipeline.kafka.options {
            if value != HIDDEN {
                continue;
            }
            let path = || format!("pipeline.{}.kafka.options.\"{name}\"", pipeline.name);
            let known = known.and_then(|known| known.kafka.options.get(name));
            known.ok_or_else(path)?.clone_into(value);
        }
    }
    for hook in config.alerts.webhook.iter_mut().filter(|hook| hook.url.ends_with(HIDDEN)) {
        let known = in_force
            .alerts
            .webhook
            .iter()
            .find(|known| known.name == hook.name && is_covered(&hook.url, &known.url));
        known.ok_or_else(|| format!("alerts.webhook.{}.url", hook.name))?.url.clone_into(&mut hook.url);
    }
    if let Some(otlp) = config.export.otlp.as_mut().filter(|otlp| otlp.url.ends_with(HIDDEN)) {
        let known = in_force.export.otlp.as_ref().filter(|known| is_covered(&otlp.url, &known.url));
        known.ok_or("export.otlp.url")?.url.clone_into(&mut otlp.url);
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use dataplane::config::{Otlp, SecretRef, Time, Webhook};

    use super::*;
    use crate::board::fixture;

    #[test]
    fn the_path_of_an_address_is_hidden_and_comes_back() {
        let mut config = fixture::config();
        let hook = |name: &str, url: &str| Webhook {
            name: name.into(),
            url: url.into(),
            secret: SecretRef::Env("X".into()),
            allow_http: false,
            pages_only: false,
        };
        config.alerts.webhook = vec![
            hook("a", "https://hooks.example.com/services/canary-1"),
            hook("b", "https://hooks.example.com"),
            hook("c", "https://other.example.com?token=canary-2"),
        ];
        config.export.otlp = Some(Otlp {
            url: "https://collector.example.com:4318/canary-3/v1/metrics".into(),
            every: Time::from_secs(30),
            authorization: None,
            allow_http: false,
        });
        let shown = hidden(&config);
        let text = serde_json::to_string(&shown).unwrap();
        assert!(!text.contains("canary") && text.contains("https://hooks.example.com/(hidden)"), "{text}");
        assert_eq!(shown.alerts.webhook[1].url, "https://hooks.example.com");
        assert_eq!(revealed(&shown, &config), Ok(config.clone()));
        assert!(revealed(&shown, &fixture::config()).unwrap_err().contains("alerts.webhook.a.url"));
        let changes = config.changes_to(&fixture::config());
        assert!(!format!("{changes:?}").contains("canary"), "{changes:?}");
    }

    #[test]
    fn what_may_be_a_secret_is_hidden_and_comes_back() {
        let mut config = fixture::config();
        let options = &mut config.pipeline[0].kafka.options;
        options.insert("sasl.oauthbearer.client.secret".into(), "canary".into());
        options.insert("socket.keepalive.enable".into(), "true".into());
        let shown = hidden(&config);
        let text = serde_json::to_string(&shown).unwrap();
        assert!(!text.contains("canary") && text.contains("socket.keepalive.enable"), "{text}");
        assert_eq!(revealed(&shown, &config), Ok(config.clone()));
        let without = fixture::config();
        assert!(revealed(&shown, &without).unwrap_err().contains("client.secret"));
    }
}
