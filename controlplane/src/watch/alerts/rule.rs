//! A rule: what is looked at, when it is bad, when it is well again, and for how long either must hold.
//!
//! Pure. Rules come from the set that ships, from a TOML file and from the API, in one form; what is wrong with one
//! is said by field, with the way out.

use std::collections::{BTreeMap, HashSet};

use dataplane::config::Time;
use dataplane::stats::STAGES;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Rules of all origins together.
pub(crate) const RULES_MAX: usize = 200;
/// Labels that a rule may add.
pub(crate) const LABELS_MAX: usize = 16;
/// Longest name, label or value.
pub(crate) const TEXT_CHARS_MAX: usize = 64;
/// Longest summary.
const SUMMARY_CHARS_MAX: usize = 200;
/// Longest `for` and `clear_for`.
const HOLD_MAX: Time = Time::from_secs(86_400);

/// What a rule looks at. Rates and ratios are of the last minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// Messages that wait in the queue.
    QueueVisibleMessages,
    /// Age of the oldest message that was received within the last minute, or of the queue when it is known.
    OldestAgeSeconds,
    /// Share of SQS calls and delete entries that failed.
    ErrorRatio,
    /// Share of finished messages that were rejected.
    RejectionRatio,
    /// Messages rejected a minute.
    RejectedPerMinute,
    /// Messages a minute whose lease ran out.
    LeaseLostPerMinute,
    /// Delete entries a minute that SQS refused.
    DeleteFailuresPerMinute,
    /// SQS calls a minute that were refused because of a quota.
    ThrottledPerMinute,
    /// A latency: `stage` at `quantile`.
    LatencySeconds,
    /// 1 while the breaker is open.
    BreakerOpen,
    /// 1 while the pipeline neither runs nor was paused or drained on purpose.
    NotRunning,
    /// Share of the budget that is held.
    InFlightRatio,
    /// Difference between AWS's clock and ours, either way.
    ClockSkewSeconds,
    /// Billed SQS requests a minute.
    RequestsPerMinute,
    /// Price of a day at the present rate, US dollars.
    UsdPerDay,
    /// Longest stall of a shard's turn.
    StallSeconds,
    /// Time since a shard last turned.
    StillSeconds,
    /// Time since all shards had published.
    StaleSeconds,
    /// 1 while the appliance is not ready.
    NotReady,
    /// Messages that no counter accounts for.
    UnaccountedMessages,
    /// Minutes of history that could not be stored.
    StoreLostMinutes,
    /// Notices in a row that a notifier could not deliver.
    NoticesFailed,
    /// Free share of the disk of the store.
    DiskFreeRatio,
    /// Share of the descriptors that may be open which are.
    DescriptorsRatio,
}

/// What one reading of a source stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Each pipeline.
    Pipeline,
    /// Each shard.
    Shard,
    /// The appliance.
    Appliance,
}

impl Source {
    /// What each reading stands for.
    pub(crate) fn scope(self) -> Scope {
        match self {
            Source::StallSeconds | Source::StillSeconds => Scope::Shard,
            Source::StaleSeconds
            | Source::NotReady
            | Source::UnaccountedMessages
            | Source::StoreLostMinutes
            | Source::NoticesFailed
            | Source::DiskFreeRatio
            | Source::DescriptorsRatio => Scope::Appliance,
            _ => Scope::Pipeline,
        }
    }
}

/// How much a rule wants of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// Look at it on a working day.
    Ticket,
    /// Wake somebody.
    Page,
}

impl Severity {
    /// Stable text.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Severity::Ticket => "ticket",
            Severity::Page => "page",
        }
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// Its name, and that of its runbook.
    pub(crate) name: String,
    /// One short sentence without figures.
    pub(crate) summary: String,
    /// What it looks at.
    pub(crate) source: Source,
    /// Stage of a latency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stage: Option<String>,
    /// Quantile of a latency, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quantile: Option<f64>,
    /// Name of a pipeline, or `*` for each.
    #[serde(default = "each")]
    pub(crate) pipeline: String,
    /// Bad above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) above: Option<f64>,
    /// Bad below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) below: Option<f64>,
    /// Well again at this or better; unset: at the threshold itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) clear: Option<f64>,
    /// How long it must be bad without a break before the alert fires.
    #[serde(rename = "for")]
    #[schema(value_type = String, example = "2m", pattern = "^[0-9]{1,9}(us|ms|s|m|h)$")]
    pub(crate) hold: Time,
    /// How long it must be well without a break before the alert is resolved.
    #[serde(default = "clear_hold")]
    #[schema(value_type = String, example = "30s", pattern = "^[0-9]{1,9}(us|ms|s|m|h)$")]
    pub(crate) clear_for: Time,
    /// How much it wants of a person.
    pub(crate) severity: Severity,
    /// Labels for silences and receivers.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    /// Where the runbook is; unset: the one that ships, by the rule's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) runbook: Option<String>,
    /// Whether it is looked at.
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
}

fn each() -> String {
    "*".to_owned()
}

fn clear_hold() -> Time {
    Time::from_secs(30)
}

fn yes() -> bool {
    true
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RuleProblem {
    /// Field of the rule.
    pub(crate) field: &'static str,
    /// What is wrong, and what would be right.
    pub(crate) text: String,
}

impl Rule {
    /// Whether a value is bad.
    pub(crate) fn is_bad(&self, value: f64) -> bool {
        self.above.is_some_and(|above| value > above) || self.below.is_some_and(|below| value < below)
    }

    /// Whether a value is well again; between this and bad lies the hysteresis.
    pub(crate) fn is_well(&self, value: f64) -> bool {
        match (self.above, self.below) {
            (Some(above), _) => value <= self.clear.unwrap_or(above),
            (None, Some(below)) => value >= self.clear.unwrap_or(below),
            (None, None) => true,
        }
    }

    /// Where its runbook is.
    pub(crate) fn runbook(&self) -> String {
        self.runbook.clone().unwrap_or_else(|| format!("docs/runbooks/{}.md", self.name))
    }

    /// Everything that is wrong with it.
    pub(crate) fn problems(&self) -> Vec<RuleProblem> {
        let mut found = Vec::new();
        let mut add = |field, text: String| found.push(RuleProblem { field, text });
        if !is_name(&self.name) {
            add("name", format!("`{}` is not 1 to {TEXT_CHARS_MAX} of a-z, 0-9 and -", self.name));
        }
        if self.summary.is_empty() || self.summary.chars().count() > SUMMARY_CHARS_MAX {
            add("summary", format!("give one sentence of at most {SUMMARY_CHARS_MAX} characters"));
        }
        self.threshold_problems(&mut add);
        self.latency_problems(&mut add);
        for (field, time) in [("for", self.hold), ("clear_for", self.clear_for)] {
            if time > HOLD_MAX {
                add(field, format!("{time} is longer than {HOLD_MAX}"));
            }
        }
        if self.labels.len() > LABELS_MAX {
            add("labels", format!("{} labels; at most {LABELS_MAX}", self.labels.len()));
        }
        for (name, value) in &self.labels {
            let reserved = ["rule", "severity", "pipeline", "shard"].contains(&name.as_str());
            if reserved || !is_label(name) || value.chars().count() > TEXT_CHARS_MAX {
                let text = format!(
                    "`{name}`: 1 to {TEXT_CHARS_MAX} of a-z, 0-9 and _, none of rule, severity, pipeline, shard; \
                     values at most {TEXT_CHARS_MAX} characters"
                );
                add("labels", text);
            }
        }
        let web = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        if self.runbook.as_ref().is_some_and(|url| !web(url) || url.len() > 500) {
            add(
                "runbook",
                "give an http or https address of at most 500 characters, or leave it out".to_owned(),
            );
        }
        found
    }

    fn threshold_problems(&self, add: &mut impl FnMut(&'static str, String)) {
        for (field, value) in [("above", self.above), ("below", self.below), ("clear", self.clear)] {
            if value.is_some_and(|value| !value.is_finite()) {
                add(field, "give a finite number".to_owned());
            }
        }
        match (self.above, self.below, self.clear) {
            (None, None, _) => add("above", "give a threshold: `above` or `below`".to_owned()),
            (Some(_), Some(_), _) => add("below", "give either `above` or `below`, not both".to_owned()),
            (Some(above), None, Some(clear)) if clear > above => {
                add("clear", format!("{clear} is worse than `above` = {above}; give the same or less"));
            }
            (None, Some(below), Some(clear)) if clear < below => {
                add("clear", format!("{clear} is worse than `below` = {below}; give the same or more"));
            }
            _ => {}
        }
    }

    fn latency_problems(&self, add: &mut impl FnMut(&'static str, String)) {
        let is_latency = self.source == Source::LatencySeconds;
        let known = |stage: &String| STAGES.iter().any(|known| known.as_str() == stage);
        if is_latency && !self.stage.as_ref().is_some_and(known) {
            let names: Vec<&str> = STAGES.iter().map(|stage| stage.as_str()).collect();
            add("stage", format!("a latency needs one of {}", names.join(", ")));
        }
        if is_latency && !self.quantile.is_some_and(|quantile| (0.0..=1.0).contains(&quantile)) {
            add("quantile", "a latency needs a number from 0 to 1, for example 0.99".to_owned());
        }
        if !is_latency && (self.stage.is_some() || self.quantile.is_some()) {
            add(
                "stage",
                "only `source = \"latency_seconds\"` has a stage and a quantile; remove them".to_owned(),
            );
        }
        if self.source.scope() != Scope::Pipeline && self.pipeline != "*" {
            add("pipeline", "this source is not one of a pipeline; remove it".to_owned());
        }
    }
}

fn is_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=TEXT_CHARS_MAX).contains(&text.len()) && text.bytes().all(letter)
}

fn is_label(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=TEXT_CHARS_MAX).contains(&text.len()) && text.bytes().all(letter)
}

/// A file of rules.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    #[serde(default)]
    rule: Vec<Rule>,
}

/// Reads a TOML file of rules.
///
/// # Errors
/// Everything that is wrong with it, one line each.
pub(crate) fn parse(text: &str) -> Result<Vec<Rule>, String> {
    let RulesFile { rule: rules } =
        toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    let mut problems = Vec::new();
    if rules.len() > RULES_MAX {
        problems.push(format!("{} rules; at most {RULES_MAX}", rules.len()));
    }
    let mut names = HashSet::new();
    for rule in &rules {
        if !names.insert(&rule.name) {
            problems.push(format!("rule.{}.name: used twice; names must differ", rule.name));
        }
        problems.extend(
            rule.problems()
                .iter()
                .map(|problem| format!("rule.{}.{}: {}", rule.name, problem.field, problem.text)),
        );
    }
    if problems.is_empty() { Ok(rules) } else { Err(problems.join("\n")) }
}

/// The rules that ship.
pub(crate) const DEFAULTS: &str = include_str!("defaults.toml");

/// The rules that ship, read.
pub(crate) fn defaults() -> Vec<Rule> {
    // A test reads them, so that what ships parses.
    parse(DEFAULTS).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_that_ship_are_sound_and_each_has_a_runbook() {
        let rules = parse(DEFAULTS).unwrap();
        assert_eq!(rules, defaults());
        assert!(rules.len() >= 10, "{}", rules.len());
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for rule in &rules {
            assert!(rule.hold > Time::from_secs(0), "{} fires at once", rule.name);
            assert!(rule.enabled, "{}", rule.name);
            let page = std::fs::read_to_string(root.join(rule.runbook()));
            let page = page.unwrap_or_else(|error| panic!("{}: {error}", rule.runbook()));
            assert!(page.starts_with(&format!("# {}\n", rule.name)), "{}", rule.runbook());
            for part in ["## What it means", "## What to look at", "## What to do"] {
                assert!(page.contains(part), "{} has no `{part}`", rule.runbook());
            }
        }
        let pages = std::fs::read_dir(root.join("docs/runbooks")).unwrap().count();
        assert_eq!(pages, rules.len() + 2, "a page for each rule, for the budget, and their list");
    }

    fn with(line: &str) -> String {
        format!(
            "[[rule]]\nname = \"deep\"\nsummary = \"The queue is deep.\"\nsource = \"queue_visible_messages\"\n\
             for = \"1m\"\nseverity = \"page\"\n{line}\n"
        )
    }

    #[test]
    fn what_is_wrong_is_said_by_field_with_the_way_out() {
        for (line, expected) in [
            ("", "rule.deep.above: give a threshold"),
            ("above = 1\nbelow = 2", "rule.deep.below: give either"),
            ("above = 1\nclear = 2", "rule.deep.clear: 2 is worse"),
            ("below = 2\nclear = 1", "rule.deep.clear: 1 is worse"),
            ("above = nan", "rule.deep.above: give a finite number"),
            ("above = 1\nstage = \"decode\"", "rule.deep.stage: only"),
            ("above = 1\nclear_for = \"25h\"", "rule.deep.clear_for: 25h is longer"),
            ("above = 1\nlabels = { rule = \"x\" }", "rule.deep.labels: `rule`"),
            ("above = 1\nrunbook = \"javascript:alert(1)\"", "rule.deep.runbook: give an http"),
            ("above = 1\nabvoe = 2", "unknown field `abvoe`"),
            (
                "above = 1\n[[rule]]\nname = \"deep\"\nsummary = \"s\"\nsource = \"not_ready\"\nfor = \"1s\"\nabove = 0\nseverity = \"page\"",
                "used twice",
            ),
            (
                "above = 1\n[[rule]]\nname = \"A b\"\nsummary = \"s\"\nsource = \"not_ready\"\nfor = \"1s\"\nabove = 0\nseverity = \"page\"",
                "rule.A b.name",
            ),
        ] {
            let error = parse(&with(line)).unwrap_err();
            assert!(error.contains(expected), "{line:?} gave {error}");
        }
        assert!(
            parse(&with("above = 1").replace("queue_visible_messages", "moon")).unwrap_err().contains("moon")
        );
        let latency =
            parse(&with("above = 1").replace("queue_visible_messages", "latency_seconds")).unwrap_err();
        assert!(latency.contains("end_to_end") && latency.contains("quantile"), "{latency}");
    }

    #[test]
    fn between_bad_and_well_lies_the_hysteresis() {
        let above = &parse(&with("above = 10\nclear = 5")).unwrap()[0];
        assert_eq!(
            [4.0, 5.0, 7.0, 10.0, 11.0].map(|value| above.is_bad(value)),
            [false, false, false, false, true]
        );
        assert_eq!(
            [4.0, 5.0, 7.0, 10.0, 11.0].map(|value| above.is_well(value)),
            [true, true, false, false, false]
        );
        let below = &parse(&with("below = 5\nclear = 10")).unwrap()[0];
        assert_eq!([4.0, 5.0, 7.0, 10.0].map(|value| below.is_bad(value)), [true, false, false, false]);
        assert_eq!([4.0, 5.0, 7.0, 10.0].map(|value| below.is_well(value)), [false, false, false, true]);
        let plain = &parse(&with("above = 10")).unwrap()[0];
        assert!(plain.is_well(10.0) && !plain.is_bad(10.0));
    }
}
