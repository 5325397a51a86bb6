//! Silences: for a while, alerts whose labels match are not told to anybody.
//!
//! Pure. The alert itself goes on and is shown, with who silenced it and why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rule::TEXT_CHARS_MAX;

/// Silences at a time.
pub(crate) const SILENCES_MAX: usize = 100;
/// Matchers of one silence.
const MATCHERS_MAX: usize = 8;
/// Longest silence: 30 days. What should be quiet for longer is a rule to change.
const SPAN_MS_MAX: i64 = 30 * 86_400_000;
/// Longest reason.
const WHY_CHARS_MAX: usize = 500;

/// One label that must match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Matcher {
    /// Label: `rule`, `severity`, `pipeline`, `shard`, or one of the rule's own.
    pub(crate) label: String,
    /// Its value; a `*` at the end matches any ending.
    pub(crate) value: String,
}

impl Matcher {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let Some(value) = labels.get(&self.label) else { return false };
        match self.value.strip_suffix('*') {
            Some(beginning) => value.starts_with(beginning),
            None => *value == self.value,
        }
    }
}

/// A silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Silence {
    /// Number.
    pub(crate) id: i64,
    /// All of them must match.
    pub(crate) matchers: Vec<Matcher>,
    /// Beginning, milliseconds since 1970.
    pub(crate) starts_ms: i64,
    /// End.
    pub(crate) ends_ms: i64,
    /// Who made it.
    pub(crate) created_by: String,
    /// Why.
    pub(crate) why: String,
}

impl Silence {
    /// Whether it silences an alert with these labels now.
    pub(crate) fn covers(&self, labels: &BTreeMap<String, String>, now_ms: i64) -> bool {
        (self.starts_ms..self.ends_ms).contains(&now_ms)
            && !self.matchers.is_empty()
            && self.matchers.iter().all(|matcher| matcher.matches(labels))
    }

    /// What is wrong with it: field and sentence.
    pub(crate) fn problems(&self, now_ms: i64) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.matchers.is_empty() || self.matchers.len() > MATCHERS_MAX {
            found.push(("matchers", format!("give 1 to {MATCHERS_MAX} labels that must match")));
        }
        for matcher in &self.matchers {
            let long = |text: &str| text.is_empty() || text.chars().count() > TEXT_CHARS_MAX;
            if long(&matcher.label) || long(&matcher.value) {
                found.push(("matchers", format!("labels and values have 1 to {TEXT_CHARS_MAX} characters")));
            }
        }
        if self.matchers.iter().all(|matcher| matcher.value == "*") && !self.matchers.is_empty() {
            found.push(("matchers", "these match everything; name what is to be silent".to_owned()));
        }
        if self.ends_ms <= now_ms.max(self.starts_ms) {
            found.push(("ends_ms", "give a moment in the future, after starts_ms".to_owned()));
        } else if self.ends_ms - self.starts_ms.max(now_ms) > SPAN_MS_MAX {
            found.push(("ends_ms", "at most 30 days; for longer, change the rule".to_owned()));
        }
        if self.why.trim().is_empty() || self.why.chars().count() > WHY_CHARS_MAX {
            found.push(("why", format!("say why, in 1 to {WHY_CHARS_MAX} characters")));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence(matchers: &[(&str, &str)]) -> Silence {
        let matchers = matchers
            .iter()
            .map(|(label, value)| Matcher { label: (*label).to_owned(), value: (*value).to_owned() });
        Silence {
            id: 1,
            matchers: matchers.collect(),
            starts_ms: 1_000,
            ends_ms: 2_000,
            created_by: "ada".to_owned(),
            why: "upgrade of the brokers".to_owned(),
        }
    }

    fn labels() -> BTreeMap<String, String> {
        [("rule", "breaker-open"), ("pipeline", "orders-eu")]
            .map(|(label, value)| (label.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn all_labels_must_match_while_it_lasts() {
        let labels = labels();
        assert!(silence(&[("pipeline", "orders-eu")]).covers(&labels, 1_000));
        assert!(silence(&[("pipeline", "orders*"), ("rule", "breaker-open")]).covers(&labels, 1_999));
        assert!(!silence(&[("pipeline", "orders")]).covers(&labels, 1_500), "a value is matched whole");
        assert!(!silence(&[("pipeline", "orders*"), ("rule", "x")]).covers(&labels, 1_500));
        assert!(!silence(&[("shard", "*")]).covers(&labels, 1_500), "a label that is not there");
        assert!(!silence(&[("pipeline", "orders*")]).covers(&labels, 2_000), "ended");
        assert!(!silence(&[("pipeline", "orders*")]).covers(&labels, 999), "not begun");
        assert!(!silence(&[]).covers(&labels, 1_500), "nothing matches nothing");
    }

    #[test]
    fn a_silence_says_whom_until_when_and_why() {
        assert_eq!(silence(&[("rule", "x")]).problems(1_500), []);
        let fields = |silence: Silence, now| -> Vec<&str> {
            silence.problems(now).iter().map(|(field, _)| *field).collect()
        };
        assert_eq!(fields(silence(&[]), 1_500), ["matchers"]);
        assert_eq!(fields(silence(&[("rule", "*")]), 1_500), ["matchers"]);
        assert_eq!(fields(silence(&[("rule", "x")]), 2_000), ["ends_ms"]);
        assert_eq!(fields(Silence { ends_ms: i64::MAX, ..silence(&[("rule", "x")]) }, 1_500), ["ends_ms"]);
        assert_eq!(fields(Silence { why: " ".to_owned(), ..silence(&[("rule", "x")]) }, 1_500), ["why"]);
        assert_eq!(fields(silence(&[("rule", &"x".repeat(65))]), 1_500), ["matchers"]);
    }
}
