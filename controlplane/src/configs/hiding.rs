//! Configurations that are shown and kept: options of librdkafka that may hold a secret are hidden, and come back from the
//! configuration in force.
//!
//! Pure. Secrets have references of their own; an option of librdkafka may hold one all the same.

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
    shown
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
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::fixture;

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
