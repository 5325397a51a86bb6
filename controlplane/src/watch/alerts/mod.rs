//! Alerts: rules looked at once a second, what is pending and firing, and what is to be told to whom.
//!
//! The book is pure: readings and time go in, notices and events come out. Rules have three origins; one from the API
//! replaces one of the file, which replaces one that ships. A silenced alert is shown and not told; an acknowledged
//! one is not told again. What fires is written to the store, so that a restart does not tell it twice.

pub(crate) mod readings;
pub(crate) mod rows;
pub(crate) mod rule;
pub(crate) mod silence;
pub(crate) mod track;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::readings::Reading;
use self::rule::{RULES_MAX, Rule, Scope, Severity};
use self::silence::Silence;
use self::track::{Phase, Turn};
use super::sampler::Moment;

/// Tracks at a time: every rule on every pipeline of the largest appliance would be more; the rest is counted.
const TRACKS_MAX: usize = 4_096;
/// How long a firing alert that nobody acknowledged stays quiet until it is told again: four hours.
const REMIND_MS: i64 = 4 * 3_600_000;
/// How long what was resolved is still listed.
const RESOLVED_KEPT_MS: i64 = 3_600_000;

/// Where a rule comes from; later ones replace earlier ones of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    /// It ships.
    Default,
    /// The file of the configuration.
    File,
    /// The API.
    Api,
}

/// Which alert: a rule on a subject.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub(crate) struct Key {
    /// Name of the rule.
    pub(crate) rule: String,
    /// Pipeline, number of the shard, or empty for the appliance.
    pub(crate) subject: String,
}

/// Who has taken an alert on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Acknowledged {
    /// Who.
    pub(crate) by: String,
    /// When, milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// What they said.
    pub(crate) note: String,
}

/// State of an alert, as shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlertState {
    /// Bad, not for long enough yet.
    Pending,
    /// Bad for long enough.
    Firing,
    /// Well again, within the last hour.
    Resolved,
}

/// An alert as it stands: what is shown and what is told.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Alert {
    /// Which.
    #[serde(flatten)]
    pub(crate) key: Key,
    /// Its state.
    pub(crate) state: AlertState,
    /// What it wants of a person.
    pub(crate) severity: Severity,
    /// One sentence without figures.
    pub(crate) summary: String,
    /// One sentence with the figures of this moment.
    pub(crate) description: String,
    /// Value at the last look; `None` when it was not known.
    pub(crate) value: Option<f64>,
    /// Since when, milliseconds since 1970.
    pub(crate) since_ms: i64,
    /// When it was resolved.
    pub(crate) resolved_ms: Option<i64>,
    /// Labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// Where its runbook is.
    pub(crate) runbook: String,
    /// Who has taken it on.
    pub(crate) acknowledged: Option<Acknowledged>,
    /// Silences that cover it.
    pub(crate) silenced_by: Vec<i64>,
}

/// Why something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NoticeKind {
    /// It fires.
    Firing,
    /// It still fires and nobody has taken it on.
    Reminder,
    /// It is well again.
    Resolved,
    /// Somebody tries whether notices arrive.
    Test,
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Notice {
    /// Why.
    pub(crate) kind: NoticeKind,
    /// When, milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// What.
    pub(crate) alert: Alert,
}

/// Something that happened to an alert, for its history.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Event {
    /// When, milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// Which.
    #[serde(flatten)]
    pub(crate) key: Key,
    /// What it wanted of a person.
    pub(crate) severity: Severity,
    /// `fired`, `resolved`, `acknowledged`, `forgotten`.
    pub(crate) event: String,
    /// Value at that moment.
    pub(crate) value: Option<f64>,
    /// One sentence.
    pub(crate) text: String,
}

/// What an evaluation brought.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// To tell.
    pub(crate) notices: Vec<Notice>,
    /// To write down.
    pub(crate) events: Vec<Event>,
    /// Whether what is firing, told or acknowledged has changed.
    pub(crate) changed: bool,
}

#[derive(Clone, Debug, Default)]
struct Track {
    phase: Phase,
    value: Option<f64>,
    told_ms: Option<i64>,
    acknowledged: Option<Acknowledged>,
    resolved: Option<(i64, i64)>,
}

/// What the store keeps of a track, so that a restart goes on from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Since when it fires.
    pub(crate) since_ms: i64,
    /// When it was last told.
    pub(crate) told_ms: Option<i64>,
    /// Who has taken it on.
    pub(crate) acknowledged: Option<Acknowledged>,
}

/// All rules, silences and tracks.
#[derive(Debug, Default)]
pub(crate) struct Book {
    rules: BTreeMap<String, BTreeMap<Origin, Rule>>,
    silences: Vec<Silence>,
    tracks: BTreeMap<Key, Track>,
    left_out: u64,
}

impl Book {
    /// Replaces all rules of an origin.
    pub(crate) fn set_rules(&mut self, origin: Origin, rules: Vec<Rule>) {
        for by_origin in self.rules.values_mut() {
            by_origin.remove(&origin);
        }
        for rule in rules.into_iter().take(RULES_MAX) {
            self.rules.entry(rule.name.clone()).or_default().insert(origin, rule);
        }
        self.rules.retain(|_, by_origin| !by_origin.is_empty());
    }

    /// The rules that hold, by name, with their origin.
    pub(crate) fn rules(&self) -> impl Iterator<Item = (&Rule, Origin)> {
        self.rules
            .values()
            .filter_map(|by_origin| by_origin.last_key_value().map(|(origin, rule)| (rule, *origin)))
    }

    /// The rule of a name that holds.
    pub(crate) fn rule(&self, name: &str) -> Option<(&Rule, Origin)> {
        self.rules.get(name)?.last_key_value().map(|(origin, rule)| (rule, *origin))
    }

    /// Replaces all silences.
    pub(crate) fn set_silences(&mut self, silences: Vec<Silence>) {
        self.silences = silences;
    }

    /// Goes on from what a store kept.
    pub(crate) fn restore(&mut self, kept: Vec<(Key, Kept)>, now: Moment) {
        for (key, kept) in kept.into_iter().take(TRACKS_MAX) {
            let since = Moment { wall_ms: kept.since_ms, mono_ms: now.mono_ms };
            let phase = Phase::Firing { since, well_since: None };
            let track =
                Track { phase, told_ms: kept.told_ms, acknowledged: kept.acknowledged, ..Track::default() };
            self.tracks.insert(key, track);
        }
    }

    /// What a store should keep.
    pub(crate) fn kept(&self) -> Vec<(Key, Kept)> {
        let firing = self.tracks.iter().filter(|(_, track)| track.phase.is_firing());
        firing
            .map(|(key, track)| {
                let since_ms = track.phase.since_ms().unwrap_or_default();
                let acknowledged = track.acknowledged.clone();
                (key.clone(), Kept { since_ms, told_ms: track.told_ms, acknowledged })
            })
            .collect()
    }

    /// Tracks that there was no room for at the last look.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Looks at every rule.
    pub(crate) fn evaluate(&mut self, readings: &impl Fn(&Rule) -> Vec<Reading>, now: Moment) -> Outcome {
        let mut outcome = Outcome::default();
        let rules: Vec<Rule> = self.rules().map(|(rule, _)| rule.clone()).collect();
        let mut seen = BTreeSet::new();
        self.left_out = 0;
        for rule in rules.iter().filter(|rule| rule.enabled) {
            for reading in readings(rule) {
                let key = Key { rule: rule.name.clone(), subject: reading.subject };
                let full = self.tracks.len() >= TRACKS_MAX && !self.tracks.contains_key(&key);
                if full {
                    self.left_out += 1;
                    continue;
                }
                seen.insert(key.clone());
                self.look(rule, &key, reading.value, now, &mut outcome);
            }
        }
        self.forget(&rules, &seen, now, &mut outcome);
        outcome
    }

    fn look(&mut self, rule: &Rule, key: &Key, value: Option<f64>, now: Moment, outcome: &mut Outcome) {
        let track = self.tracks.entry(key.clone()).or_default();
        track.value = value;
        let since_ms = track.phase.since_ms();
        let turn = track.phase.step(rule, value, now);
        match turn {
            Some(Turn::Fired) => (track.told_ms, track.acknowledged, track.resolved) = (None, None, None),
            Some(Turn::Resolved) => track.resolved = Some((since_ms.unwrap_or(now.wall_ms), now.wall_ms)),
            _ => {}
        }
        let track = track.clone();
        let alert = self.alert(rule, key, &track, now.wall_ms);
        let silent = !alert.silenced_by.is_empty();
        let notice = match (turn, track.told_ms) {
            (Some(Turn::Resolved), Some(_)) if !silent => Some(NoticeKind::Resolved),
            _ if !track.phase.is_firing() || silent => None,
            (_, None) => Some(NoticeKind::Firing),
            (_, Some(told)) => {
                let due = now.wall_ms - told >= REMIND_MS && track.acknowledged.is_none();
                due.then_some(NoticeKind::Reminder)
            }
        };
        let event = match turn {
            Some(Turn::Fired) => Some("fired"),
            Some(Turn::Resolved) => Some("resolved"),
            _ => None,
        };
        if let Some(event) = event {
            outcome.events.push(event_of(&alert, event, now.wall_ms, alert.description.clone()));
            outcome.changed = true;
        }
        if let Some(kind) = notice {
            outcome.changed = true;
            if let Some(track) = self.tracks.get_mut(key) {
                track.told_ms = Some(now.wall_ms);
            }
            outcome.notices.push(Notice { kind, at_ms: now.wall_ms, alert });
        }
    }

    /// Drops tracks of rules and subjects that are gone, and what was resolved long ago.
    fn forget(&mut self, rules: &[Rule], seen: &BTreeSet<Key>, now: Moment, outcome: &mut Outcome) {
        let mut gone = Vec::new();
        self.tracks.retain(|key, track| {
            if !seen.contains(key) {
                if track.phase.is_firing() {
                    gone.push((key.clone(), track.value));
                }
                return false;
            }
            if track.resolved.is_some_and(|(_, at)| now.wall_ms - at > RESOLVED_KEPT_MS) {
                track.resolved = None;
            }
            track.phase != Phase::Idle || track.resolved.is_some()
        });
        for (key, value) in gone {
            let severity = rules
                .iter()
                .find(|rule| rule.name == key.rule)
                .map_or(Severity::Ticket, |rule| rule.severity);
            let text = "its rule or subject is no longer there".to_owned();
            let event = "forgotten".to_owned();
            outcome.events.push(Event { at_ms: now.wall_ms, key, severity, event, value, text });
            outcome.changed = true;
        }
    }

    /// Everything that is pending, firing or was resolved within the last hour; worst first.
    pub(crate) fn active(&self, now_ms: i64) -> Vec<Alert> {
        let of = |(key, track): (&Key, &Track)| {
            let (rule, _) = self.rule(&key.rule)?;
            (track.phase != Phase::Idle || track.resolved.is_some())
                .then(|| self.alert(rule, key, track, now_ms))
        };
        let mut alerts: Vec<Alert> = self.tracks.iter().filter_map(of).collect();
        let rank = |alert: &Alert| match alert.state {
            AlertState::Firing => 0,
            AlertState::Pending => 1,
            AlertState::Resolved => 2,
        };
        alerts.sort_by_key(|alert| (rank(alert), std::cmp::Reverse(alert.severity), alert.since_ms));
        alerts
    }

    /// Takes a firing alert on.
    ///
    /// # Errors
    /// It does not fire.
    pub(crate) fn acknowledge(&mut self, key: &Key, acknowledged: Acknowledged) -> Result<Event, String> {
        let track = self.tracks.get_mut(key).filter(|track| track.phase.is_firing());
        let track = track.ok_or_else(|| format!("{} does not fire for `{}`", key.rule, key.subject))?;
        let (at_ms, text) = (acknowledged.at_ms, format!("{}: {}", acknowledged.by, acknowledged.note));
        track.acknowledged = Some(acknowledged);
        let track = track.clone();
        let (rule, _) = self.rule(&key.rule).ok_or_else(|| format!("there is no rule {}", key.rule))?;
        Ok(event_of(&self.alert(rule, key, &track, at_ms), "acknowledged", at_ms, text))
    }

    /// A notice that says that it is only a test.
    pub(crate) fn test_notice(&self, name: &str, now_ms: i64) -> Option<Notice> {
        let (rule, _) = self.rule(name)?;
        let key = Key { rule: name.to_owned(), subject: "test".to_owned() };
        let mut alert = self.alert(rule, &key, &Track::default(), now_ms);
        alert.description = format!("This is a test of the rule {name}; nothing is wrong.");
        Some(Notice { kind: NoticeKind::Test, at_ms: now_ms, alert })
    }

    fn alert(&self, rule: &Rule, key: &Key, track: &Track, now_ms: i64) -> Alert {
        let labels = labels(rule, key);
        let covering = self.silences.iter().filter(|silence| silence.covers(&labels, now_ms));
        let (state, since_ms, resolved_ms) = match (track.phase, track.resolved) {
            (Phase::Pending { since }, _) => (AlertState::Pending, since.wall_ms, None),
            (Phase::Firing { since, .. }, _) => (AlertState::Firing, since.wall_ms, None),
            (Phase::Idle, Some((since_ms, at_ms))) => (AlertState::Resolved, since_ms, Some(at_ms)),
            (Phase::Idle, None) => (AlertState::Pending, now_ms, None),
        };
        Alert {
            state,
            severity: rule.severity,
            summary: rule.summary.clone(),
            description: describe(rule, key, track.value),
            value: track.value,
            since_ms,
            resolved_ms,
            silenced_by: covering.map(|silence| silence.id).collect(),
            labels,
            runbook: rule.runbook(),
            acknowledged: track.acknowledged.clone(),
            key: key.clone(),
        }
    }
}

fn event_of(alert: &Alert, event: &str, at_ms: i64, text: String) -> Event {
    let (key, severity, value) = (alert.key.clone(), alert.severity, alert.value);
    Event { at_ms, key, severity, event: event.to_owned(), value, text }
}

/// The labels that silences and receivers see.
fn labels(rule: &Rule, key: &Key) -> BTreeMap<String, String> {
    let mut labels = rule.labels.clone();
    labels.insert("rule".to_owned(), rule.name.clone());
    labels.insert("severity".to_owned(), rule.severity.as_str().to_owned());
    match rule.source.scope() {
        Scope::Pipeline => labels.insert("pipeline".to_owned(), key.subject.clone()),
        Scope::Shard => labels.insert("shard".to_owned(), key.subject.clone()),
        Scope::Appliance => None,
    };
    labels
}

fn describe(rule: &Rule, key: &Key, value: Option<f64>) -> String {
    let whose = match rule.source.scope() {
        Scope::Pipeline => format!("pipeline {}: ", key.subject),
        Scope::Shard => format!("shard {}: ", key.subject),
        Scope::Appliance => String::new(),
    };
    let threshold = match (rule.above, rule.below) {
        (Some(above), _) => format!("above {above} is bad"),
        (None, Some(below)) => format!("below {below} is bad"),
        (None, None) => String::new(),
    };
    let source = serde_json::to_value(rule.source).ok();
    let source = source.as_ref().and_then(|source| source.as_str()).unwrap_or_default();
    let stage = rule.stage.as_deref().map(|stage| format!(" of {stage}")).unwrap_or_default();
    let quantile = rule.quantile.map(|quantile| format!(" at p{}", quantile * 100.0)).unwrap_or_default();
    match value {
        Some(value) => format!("{whose}{source}{stage}{quantile} is {}; {threshold}", short(value)),
        None => format!("{whose}{source}{stage}{quantile} is not known; {threshold}"),
    }
}

/// A figure with as many digits as a person reads.
fn short(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 1_000.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

#[cfg(test)]
mod tests;
