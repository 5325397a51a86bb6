//! What a rule reads: one value for each pipeline, each shard, or the appliance.
//!
//! Pure. A value that is not known is `None`, never 0: a rule must not become well because nothing is known.

use std::collections::BTreeMap;

use dataplane::control::State;
use dataplane::stats::{STAGES, Stage};

use super::rule::{Rule, Scope, Source};
use crate::board::View;
use crate::watch::cost::Bill;
use crate::watch::flows::{Flow, flow_index};
use crate::watch::history::History;
use crate::watch::latency::LatencyLog;
use crate::watch::sampler::{Moment, Subject};
use crate::watch::system::System;
use crate::{health, snapshot};

/// Span of rates, ratios and latencies.
pub(crate) const SPAN_MS: i64 = 60_000;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    /// Pipeline, number of the shard, or empty for the appliance.
    pub(crate) subject: String,
    /// The value, if it is known.
    pub(crate) value: Option<f64>,
}

/// Everything that rules read.
#[derive(Debug)]
pub(crate) struct Sight<'a> {
    /// The newest view.
    pub(crate) view: &'a View,
    /// Seconds.
    pub(crate) history: &'a History,
    /// Latencies.
    pub(crate) latency: &'a LatencyLog,
    /// Bills of the last minute, by pipeline.
    pub(crate) bills: &'a BTreeMap<String, Bill>,
    /// SQS calls refused because of a quota in the last minute, by pipeline.
    pub(crate) throttled: &'a BTreeMap<String, u64>,
    /// The process and its machine.
    pub(crate) system: &'a System,
    /// Time since all shards had published, milliseconds; `None` before they first had.
    pub(crate) stale_ms: Option<u64>,
    /// Minutes of history that could not be stored, in a row.
    pub(crate) store_lost_minutes: u64,
    /// Notices in a row that could not be delivered, of the worst notifier.
    pub(crate) notices_failed: u64,
    /// This moment.
    pub(crate) now: Moment,
}

impl Sight<'_> {
    /// The values of a rule.
    pub(crate) fn read(&self, rule: &Rule) -> Vec<Reading> {
        match rule.source.scope() {
            Scope::Appliance => {
                vec![Reading { subject: String::new(), value: self.appliance(rule.source) }]
            }
            Scope::Shard => self.shards(rule.source),
            Scope::Pipeline => {
                let wanted = |name: &&String| rule.pipeline == "*" || rule.pipeline == **name;
                let of = |name: &String| Reading { subject: name.clone(), value: self.pipeline(rule, name) };
                self.view.pipelines.iter().filter(wanted).map(of).collect()
            }
        }
    }

    fn appliance(&self, source: Source) -> Option<f64> {
        match source {
            Source::StaleSeconds => self.stale_ms.map(|ms| ms as f64 / 1e3),
            Source::NotReady => {
                let ready = health::ready(self.view).iter().all(|check| check.trouble.is_none());
                Some(f64::from(u8::from(!ready)))
            }
            Source::UnaccountedMessages => {
                let each = self.view.pipelines.iter();
                Some(
                    each.map(|name| snapshot::totals(self.view, name).unaccounted().unsigned_abs() as f64)
                        .sum(),
                )
            }
            Source::StoreLostMinutes => Some(self.store_lost_minutes as f64),
            Source::NoticesFailed => Some(self.notices_failed as f64),
            Source::DiskFreeRatio => self.system.disk.map(|disk| disk.free_ratio),
            Source::DescriptorsRatio => {
                let descriptors = &self.system.descriptors;
                Some(descriptors.open? as f64 / descriptors.max.filter(|max| *max > 0)? as f64)
            }
            _ => None,
        }
    }

    fn shards(&self, source: Source) -> Vec<Reading> {
        let each = self.view.reports.iter().zip(&self.view.still);
        each.map(|(report, still)| {
            let value = match source {
                Source::StallSeconds => report.stall_us as f64 / 1e6,
                _ => still.as_secs_f64(),
            };
            Reading { subject: report.shard.to_string(), value: Some(value) }
        })
        .collect()
    }

    fn pipeline(&self, rule: &Rule, name: &str) -> Option<f64> {
        let (flow, covers_ms) =
            self.history.over(&Subject::Pipeline(name.to_owned()), self.now.wall_ms, SPAN_MS);
        let per_minute = |field| rate(&flow, covers_ms, field);
        match rule.source {
            Source::QueueVisibleMessages => self.view.depths.get(name).map(|depth| depth.visible as f64),
            Source::OldestAgeSeconds => self.latency(name, Stage::SentToReceived, 1.0),
            Source::ErrorRatio => error_ratio(&flow),
            Source::RejectionRatio => {
                let rejected = count(&flow, "rejected");
                ratio(rejected, rejected + count(&flow, "delivered") + count(&flow, "filtered"))
            }
            Source::RejectedPerMinute => per_minute("rejected"),
            Source::LeaseLostPerMinute => per_minute("lease_lost"),
            Source::DeleteFailuresPerMinute => per_minute("delete_entries_failed"),
            Source::ThrottledPerMinute => self.throttled.get(name).map(|count| *count as f64),
            Source::LatencySeconds => {
                let stage = STAGES.into_iter().find(|stage| Some(stage.as_str()) == rule.stage.as_deref())?;
                self.latency(name, stage, rule.quantile?)
            }
            Source::BreakerOpen => self.state(name).map(|state| f64::from(u8::from(state == State::Broken))),
            Source::NotRunning => self.state(name).map(|state| {
                let well = matches!(state, State::Running | State::Paused | State::Draining | State::Stopped);
                f64::from(u8::from(!well))
            }),
            Source::InFlightRatio => self.in_flight_ratio(name),
            Source::ClockSkewSeconds => snapshot::pumps(self.view, name)
                .map(|(_, pump)| pump.clock_skew_s.unsigned_abs() as f64)
                .reduce(f64::max),
            Source::RequestsPerMinute => self.bills.get(name)?.requests_per_minute,
            Source::UsdPerDay => self.bills.get(name)?.usd_per_day,
            _ => None,
        }
    }

    fn latency(&self, name: &str, stage: Stage, quantile: f64) -> Option<f64> {
        let now = self.now.wall_ms;
        let histogram = self.latency.stage(&Some(name.to_owned()), stage, now - SPAN_MS, now)?;
        (!histogram.is_empty()).then(|| histogram.value_at_quantile(quantile) as f64 / 1e6)
    }

    fn state(&self, name: &str) -> Option<State> {
        let mut pumps =
            snapshot::pumps(self.view, name).map(|(_, pump)| (pump.state, pump.reason.as_str())).peekable();
        pumps.peek()?;
        Some(snapshot::merge_state(pumps).0)
    }

    /// Of the shard that is fullest: one full budget is enough to slow its part.
    fn in_flight_ratio(&self, name: &str) -> Option<f64> {
        let budget = *self.view.budgets.get(name).filter(|bytes| **bytes > 0)? as f64;
        let held = snapshot::pumps(self.view, name).map(|(_, pump)| pump.counters.in_flight_bytes as f64);
        held.reduce(f64::max).map(|bytes| bytes / budget)
    }
}

fn count(flow: &Flow, name: &str) -> u64 {
    flow_index(name).map_or(0, |index| flow[index])
}

fn rate(flow: &Flow, covers_ms: u64, name: &str) -> Option<f64> {
    (covers_ms > 0).then(|| count(flow, name) as f64 * SPAN_MS as f64 / covers_ms as f64)
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Failed calls and entries among all calls that were made.
fn error_ratio(flow: &Flow) -> Option<f64> {
    let failed = count(flow, "request_errors");
    let answered = ["receives", "deletes", "extends", "release_calls"].map(|name| count(flow, name));
    ratio(failed, failed + answered.iter().sum::<u64>())
}

#[cfg(test)]
mod tests {
    use dataplane::control::ShardReport;
    use dataplane::stats::Counters;

    use super::super::rule;
    use super::*;
    use crate::board::fixture::{config, report};
    use crate::board::{Board, Depth};
    use crate::watch::sampler::{Cell, Frame, Point};

    /// A rule of this source and nothing else.
    fn rule(source: &str, more: &str) -> Rule {
        let text = format!(
            "[[rule]]\nname = \"a\"\nsummary = \"s\"\nsource = \"{source}\"\nabove = 1\nfor = \"1s\"\n\
             severity = \"page\"\n{more}"
        );
        rule::parse(&text).unwrap().remove(0)
    }

    struct World {
        view: View,
        history: History,
        latency: LatencyLog,
        bills: BTreeMap<String, Bill>,
        throttled: BTreeMap<String, u64>,
        system: System,
    }

    fn world(state: State) -> World {
        let board = Board::new(&config(), 1);
        let mut counters = Counters { received: 10, delivered: 7, in_flight: 2, ..Counters::default() };
        counters.in_flight_bytes = config().pipeline[0].budget.in_flight_bytes_max.0 / 2;
        let mut one: ShardReport = report(0, 1, state, counters);
        one.pumps[0].clock_skew_s = -90;
        board.publish(vec![one], Vec::new());
        board.depth("orders", Depth { visible: 5_000, ..Depth::default() });
        let mut point = Point { covers_ms: 30_000, ..Point::default() };
        for (name, value) in [
            ("delivered", 75),
            ("rejected", 25),
            ("request_errors", 10),
            ("receives", 60),
            ("deletes", 30),
            ("lease_lost", 4),
        ] {
            point.counts[flow_index(name).unwrap()] = value;
        }
        let mut history = History::default();
        let cells = [(Subject::Pipeline("orders".to_owned()), Cell::Point(point))].into();
        history.push(&Frame { at_ms: 100_000, cells });
        World {
            view: View::clone(&board.view()),
            history,
            latency: LatencyLog::default(),
            bills: BTreeMap::new(),
            throttled: [("orders".to_owned(), 3)].into(),
            system: System::default(),
        }
    }

    fn values(world: &World, rule: &Rule) -> Vec<(String, Option<f64>)> {
        let sight = Sight {
            view: &world.view,
            history: &world.history,
            latency: &world.latency,
            bills: &world.bills,
            throttled: &world.throttled,
            system: &world.system,
            stale_ms: Some(1_500),
            store_lost_minutes: 2,
            notices_failed: 0,
            now: Moment { wall_ms: 100_000, mono_ms: 5 },
        };
        sight.read(rule).into_iter().map(|reading| (reading.subject, reading.value)).collect()
    }

    fn of_orders(source: &str) -> Option<f64> {
        let values = values(&world(State::Running), &rule(source, ""));
        assert_eq!(values[0].0, "orders");
        values[0].1
    }

    #[test]
    fn each_source_of_a_pipeline_reads_its_own_figure() {
        assert_eq!(of_orders("queue_visible_messages"), Some(5_000.0));
        assert_eq!(of_orders("error_ratio"), Some(0.1));
        assert_eq!(of_orders("rejection_ratio"), Some(0.25));
        assert_eq!(of_orders("rejected_per_minute"), Some(50.0), "25 in the half minute that is known");
        assert_eq!(of_orders("lease_lost_per_minute"), Some(8.0));
        assert_eq!(of_orders("delete_failures_per_minute"), Some(0.0));
        assert_eq!(of_orders("throttled_per_minute"), Some(3.0));
        assert_eq!(of_orders("in_flight_ratio"), Some(0.5));
        assert_eq!(of_orders("clock_skew_seconds"), Some(90.0));
        assert_eq!(of_orders("breaker_open"), Some(0.0));
        assert_eq!(of_orders("not_running"), Some(0.0));
    }

    #[test]
    fn what_is_not_known_is_no_zero() {
        assert_eq!(of_orders("oldest_age_seconds"), None, "nothing was received within the minute");
        assert_eq!(of_orders("usd_per_day"), None);
        let mut world = world(State::Running);
        world.view.depths.clear();
        world.history = History::default();
        for source in ["queue_visible_messages", "error_ratio", "rejected_per_minute"] {
            assert_eq!(values(&world, &rule(source, ""))[0].1, None, "{source}");
        }
        assert_eq!(values(&world, &rule("disk_free_ratio", "")), [(String::new(), None)]);
    }

    #[test]
    fn states_count_only_when_nobody_asked_for_them() {
        let state = |state, source: &str| values(&world(state), &rule(source, ""))[0].1;
        assert_eq!(state(State::Broken, "breaker_open"), Some(1.0));
        assert_eq!(state(State::Broken, "not_running"), Some(1.0));
        assert_eq!(state(State::Starting, "not_running"), Some(1.0));
        assert_eq!(state(State::Paused, "not_running"), Some(0.0));
    }

    #[test]
    fn latency_is_the_quantile_of_the_last_minute() {
        let mut world = world(State::Running);
        let mut cumulative = world.view.clone();
        world.latency.push(&cumulative, 95_000, |_| false);
        cumulative.reports[0].pumps[0].latency.record(Stage::EndToEnd, 2_000_000, 100);
        world.latency.push(&cumulative, 96_000, |_| false);
        let rule = rule("latency_seconds", "stage = \"end_to_end\"\nquantile = 0.99");
        let value = values(&world, &rule)[0].1.unwrap();
        assert!((value - 2.0).abs() < 0.01, "{value}");
    }

    #[test]
    fn shards_and_the_appliance_have_readings_of_their_own() {
        let world = world(State::Running);
        assert_eq!(values(&world, &rule("stall_seconds", "")), [("0".to_owned(), Some(0.00012))]);
        assert_eq!(values(&world, &rule("stale_seconds", "")), [(String::new(), Some(1.5))]);
        assert_eq!(values(&world, &rule("store_lost_minutes", "")), [(String::new(), Some(2.0))]);
        assert_eq!(values(&world, &rule("unaccounted_messages", "")), [(String::new(), Some(1.0))]);
        assert_eq!(values(&world, &rule("not_ready", ""))[0].1, Some(1.0), "no receive was answered");
    }

    #[test]
    fn a_rule_for_one_pipeline_reads_no_other() {
        assert!(values(&world(State::Running), &rule("error_ratio", "pipeline = \"other\"")).is_empty());
        assert_eq!(values(&world(State::Running), &rule("error_ratio", "pipeline = \"orders\"")).len(), 1);
    }
}
