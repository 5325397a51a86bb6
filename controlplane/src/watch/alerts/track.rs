//! One rule on one subject: pending, firing, resolved.
//!
//! Pure; the clock is an argument. An alert fires when it was bad without a break for the rule's time, and is resolved
//! when it was well without a break; between the two thresholds nothing changes. An unknown value proves neither: it
//! ends a pending alert and keeps a firing one.

use serde::{Deserialize, Serialize};

use super::rule::Rule;
use crate::watch::sampler::Moment;

/// What a track is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is wrong.
    #[default]
    Idle,
    /// Bad, but not for long enough.
    Pending {
        /// Since when.
        since: Moment,
    },
    /// Bad for long enough, and not well for long enough since.
    Firing {
        /// Since when.
        since: Moment,
        /// Well without a break since then, monotonic milliseconds.
        well_since: Option<u64>,
    },
}

/// What a step changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Turn {
    /// It became bad.
    Pending,
    /// It ended before it fired.
    Dropped,
    /// It was bad for long enough.
    Fired,
    /// It was well for long enough.
    Resolved,
}

impl Phase {
    /// Takes a value and says what it changes.
    pub(crate) fn step(&mut self, rule: &Rule, value: Option<f64>, now: Moment) -> Option<Turn> {
        let bad = value.is_some_and(|value| rule.is_bad(value));
        let hold_ms = rule.hold.0.as_millis() as u64;
        match *self {
            Phase::Idle if bad && hold_ms == 0 => self.fire(now),
            Phase::Idle if bad => {
                *self = Phase::Pending { since: now };
                Some(Turn::Pending)
            }
            Phase::Idle => None,
            Phase::Pending { .. } if !bad => {
                *self = Phase::Idle;
                Some(Turn::Dropped)
            }
            Phase::Pending { since } if now.mono_ms.saturating_sub(since.mono_ms) >= hold_ms => {
                self.fire(now)
            }
            Phase::Pending { .. } => None,
            Phase::Firing { since, well_since } => {
                let well = value.is_some_and(|value| rule.is_well(value));
                let well_since = well.then(|| well_since.unwrap_or(now.mono_ms));
                let clear_ms = rule.clear_for.0.as_millis() as u64;
                if well_since.is_some_and(|at| now.mono_ms.saturating_sub(at) >= clear_ms) {
                    *self = Phase::Idle;
                    return Some(Turn::Resolved);
                }
                *self = Phase::Firing { since, well_since };
                None
            }
        }
    }

    fn fire(&mut self, now: Moment) -> Option<Turn> {
        *self = Phase::Firing { since: now, well_since: None };
        Some(Turn::Fired)
    }

    /// Wall time since when it is pending or firing.
    pub(crate) fn since_ms(&self) -> Option<i64> {
        match self {
            Phase::Idle => None,
            Phase::Pending { since } | Phase::Firing { since, .. } => Some(since.wall_ms),
        }
    }

    /// Whether it is firing.
    pub(crate) fn is_firing(&self) -> bool {
        matches!(self, Phase::Firing { .. })
    }
}

#[cfg(test)]
mod tests {
    use dataplane::config::Time;
    use proptest::prelude::*;

    use super::super::rule;
    use super::*;

    fn rule(hold_s: u64, clear_for_s: u64) -> Rule {
        let text = "[[rule]]\nname = \"a\"\nsummary = \"s\"\nsource = \"not_ready\"\nabove = 10\nclear = 5\n\
                    for = \"1s\"\nseverity = \"page\"";
        let rule = rule::parse(text).unwrap().remove(0);
        Rule { hold: Time::from_secs(hold_s), clear_for: Time::from_secs(clear_for_s), ..rule }
    }

    fn at(seconds: u64) -> Moment {
        Moment { wall_ms: seconds as i64 * 1_000, mono_ms: seconds * 1_000 }
    }

    fn turns(rule: &Rule, values: &[(u64, Option<f64>)]) -> Vec<(u64, Turn)> {
        let mut phase = Phase::default();
        values
            .iter()
            .filter_map(|(second, value)| phase.step(rule, *value, at(*second)).map(|turn| (*second, turn)))
            .collect()
    }

    #[test]
    fn it_fires_after_its_time_and_is_resolved_after_the_other() {
        let values: Vec<(u64, Option<f64>)> =
            (0..20).map(|second| (second, Some(if second < 8 { 11.0 } else { 5.0 }))).collect();
        assert_eq!(turns(&rule(5, 3), &values), [(0, Turn::Pending), (5, Turn::Fired), (11, Turn::Resolved)]);
        assert_eq!(turns(&rule(0, 0), &values), [(0, Turn::Fired), (8, Turn::Resolved)]);
    }

    #[test]
    fn a_break_begins_the_time_anew() {
        let values = [11.0, 11.0, 11.0, 7.0, 11.0, 11.0].map(Some);
        let values: Vec<(u64, Option<f64>)> = (0..).zip(values).collect();
        assert_eq!(turns(&rule(3, 0), &values), [(0, Turn::Pending), (3, Turn::Dropped), (4, Turn::Pending)]);
    }

    #[test]
    fn an_unknown_value_neither_fires_nor_resolves() {
        let values = [
            (0, Some(11.0)),
            (1, None),
            (2, Some(11.0)),
            (5, Some(11.0)),
            (6, Some(1.0)),
            (9, None),
            (11, Some(1.0)),
            (20, None),
        ];
        assert_eq!(
            turns(&rule(3, 5), &values),
            [(0, Turn::Pending), (1, Turn::Dropped), (2, Turn::Pending), (5, Turn::Fired)]
        );
    }

    proptest! {
        /// Against a reader of the whole past: it fires exactly when the last `for` was bad throughout, it is resolved
        /// exactly when the last `clear_for` was well throughout, and in between nothing flaps.
        #[test]
        fn every_turn_has_the_past_that_the_rule_asks_for(
            hold in 0_u64..6,
            clear_for in 0_u64..6,
            steps in proptest::collection::vec((1_u64..4, proptest::option::of(0_f64..16.0)), 1..200),
        ) {
            let rule = rule(hold, clear_for);
            let mut phase = Phase::default();
            let (mut now, mut firing) = (0, false);
            // Since when the value is bad, and well, without a break.
            let (mut bad_since, mut well_since) = (None, None);
            for (pause, value) in steps {
                now += pause;
                let (bad, well) =
                    (value.is_some_and(|value| value > 10.0), value.is_some_and(|value| value <= 5.0));
                bad_since = if bad { bad_since.or(Some(now)) } else { None };
                let before = firing;
                // Only what was well after it fired counts.
                well_since = if well && firing { well_since.or(Some(now)) } else { None };
                let turn = phase.step(&rule, value, at(now));
                match turn {
                    Some(Turn::Fired) => firing = true,
                    Some(Turn::Resolved) => firing = false,
                    _ => {}
                }
                prop_assert_eq!(phase.is_firing(), firing);
                let bad_long = bad_since.is_some_and(|since| now - since >= hold);
                let well_long = well_since.is_some_and(|since| now - since >= clear_for);
                prop_assert_eq!(turn == Some(Turn::Fired), !before && bad_long);
                prop_assert_eq!(turn == Some(Turn::Resolved), before && well_long);
                let between = value.is_some_and(|value| value > 5.0 && value <= 10.0);
                prop_assert!(!between || firing == before, "flapped within the hysteresis");
                prop_assert_eq!(phase.since_ms().is_some(), firing || bad);
                if !firing {
                    well_since = None;
                }
            }
        }
    }
}
