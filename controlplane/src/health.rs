//! Alive and ready: the two questions that a supervisor asks, answered with reasons.
//!
//! Pure. Alive asks no other side: the shards turn. Ready means that messages flow or could: every pipeline
//! runs on every shard, a receive has worked, nothing drains. Machines read the status, people the reasons.

use std::collections::HashSet;
use std::time::Duration;

use dataplane::control::State;

use crate::board::{Phase, View};
use crate::snapshot;

/// A shard turns ten times a second when idle; after this long without a turn it is not alive.
const STILL_MAX: Duration = Duration::from_secs(10);

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// Its name, for `?exclude=`.
    pub(crate) name: String,
    /// Why it is not well; `None` when it is.
    pub(crate) trouble: Option<String>,
}

impl Check {
    fn new(name: impl Into<String>, trouble: Option<String>) -> Check {
        Check { name: name.into(), trouble }
    }
}

/// Is the process worth keeping?
pub(crate) fn live(view: &View) -> Vec<Check> {
    // A control plane is not restarted for what a data plane elsewhere does.
    if view.fleet.is_some() {
        return Vec::new();
    }
    let checks = view.reports.iter().zip(&view.still).map(|(report, still)| {
        let trouble = (*still > STILL_MAX && view.phase != Phase::Ended)
            .then(|| format!("shard {} has not turned for {} s", report.shard, still.as_secs()));
        Check::new(format!("shard-{}", report.shard), trouble)
    });
    let silent = view.shards - view.reports.len().min(view.shards);
    let late = silent > 0 && view.uptime > STILL_MAX * 3;
    let started =
        late.then(|| format!("{silent} of {} shards have published nothing since the start", view.shards));
    checks.chain([Check::new("shards-started", started)]).collect()
}

/// Would it do its work?
pub(crate) fn ready(view: &View) -> Vec<Check> {
    let phase = match view.phase {
        Phase::Running => None,
        Phase::Draining => Some("draining: no new messages are received".to_owned()),
        Phase::Ended => Some("ended".to_owned()),
    };
    let mut checks = vec![Check::new("phase", phase)];
    checks.extend(live(view));
    if let Some(fleet) = &view.fleet {
        let absent =
            |(name, why): &(String, String)| Check::new(format!("instance-{name}"), Some(why.clone()));
        checks.extend(fleet.absent.iter().map(absent));
    }
    checks.extend(
        view.pipelines.iter().map(|name| Check::new(format!("pipeline-{name}"), pipeline(view, name))),
    );
    checks
}

fn pipeline(view: &View, name: &str) -> Option<String> {
    if let Some(trouble) = view.troubles.get(name) {
        return Some(trouble.clone());
    }
    if view.fleet.is_some() && view.reports.is_empty() {
        return Some("no data plane answers".to_owned());
    }
    if view.reports.len() < view.shards {
        return Some(format!("starting: {} of {} shards have published", view.reports.len(), view.shards));
    }
    let pumps = || view.reports.iter().flat_map(|report| &report.pumps).filter(|pump| pump.pipeline == name);
    let merged = snapshot::merge_state(pumps().map(|pump| (pump.state, pump.reason.as_str())));
    match merged {
        // Told to stop by a person: the appliance itself is well.
        (State::Paused | State::Stopped, _) => None,
        // One pipeline that was told to stop; a drain of the appliance is told by its phase.
        (State::Draining, _) => None,
        (State::Running, _) if pumps().map(|pump| pump.counters.receives).sum::<u64>() == 0 => {
            Some("no receive has been answered yet".to_owned())
        }
        (State::Running, _) => None,
        (state, reason) => {
            Some(format!("{}: {}", snapshot::state_text(state), reason.unwrap_or("no reason given")))
        }
    }
}

/// The troubles that count: all that are not excluded by name.
pub(crate) fn troubles<'a>(checks: &'a [Check], exclude: &HashSet<&str>) -> Vec<&'a Check> {
    checks.iter().filter(|check| check.trouble.is_some() && !exclude.contains(check.name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use dataplane::stats::Counters;

    use super::*;
    use crate::board::Board;
    use crate::board::fixture::{config, counters, report, running};

    fn reasons(checks: &[Check]) -> Vec<String> {
        checks.iter().filter_map(|check| check.trouble.clone()).collect()
    }

    #[test]
    fn an_appliance_that_receives_is_alive_and_ready() {
        let view = running().view();
        assert_eq!(reasons(&live(&view)), Vec::<String>::new());
        assert_eq!(reasons(&ready(&view)), Vec::<String>::new());
    }

    #[test]
    fn before_the_first_report_it_is_alive_and_not_ready() {
        let board = Board::new(&config(), 2);
        let view = board.view();
        assert_eq!(reasons(&live(&view)), Vec::<String>::new());
        assert_eq!(reasons(&ready(&view)), ["starting: 0 of 2 shards have published"]);
    }

    #[test]
    fn a_trouble_of_the_control_plane_is_the_reason() {
        let board = running();
        board.trouble("orders", Some("no AWS credentials"));
        assert_eq!(reasons(&ready(&board.view())), ["no AWS credentials"]);
    }

    #[test]
    fn one_broken_shard_makes_the_pipeline_not_ready() {
        let board = running();
        let reports = vec![report(0, 6, State::Running, counters()), report(1, 6, State::Broken, counters())];
        board.publish(reports, Vec::new());
        assert_eq!(reasons(&ready(&board.view())), ["broken: no ack from Kafka for 5 s"]);
        assert_eq!(reasons(&live(&board.view())), Vec::<String>::new(), "Kafka is not asked about life");
    }

    #[test]
    fn ready_waits_for_the_first_answered_receive() {
        let board = Board::new(&config(), 1);
        board.publish(vec![report(0, 1, State::Running, Counters::default())], Vec::new());
        assert_eq!(reasons(&ready(&board.view())), ["no receive has been answered yet"]);
    }

    #[test]
    fn a_drain_is_told_first_and_a_pause_is_no_fault() {
        let board = running();
        board.enter(Phase::Draining);
        assert_eq!(reasons(&ready(&board.view())), ["draining: no new messages are received"]);
        let board = running();
        let paused = |shard| report(shard, 6, State::Paused, counters());
        board.publish(vec![paused(0), paused(1)], Vec::new());
        assert_eq!(reasons(&ready(&board.view())), Vec::<String>::new());
    }

    #[test]
    fn excluded_names_do_not_count() {
        let board = running();
        board.trouble("orders", Some("x"));
        let checks = ready(&board.view());
        assert_eq!(troubles(&checks, &HashSet::new()).len(), 1);
        assert_eq!(troubles(&checks, &HashSet::from(["pipeline-orders"])).len(), 0);
    }
}
