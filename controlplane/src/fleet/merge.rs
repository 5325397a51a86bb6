//! From the views of several data planes to one: counters and histograms add up exactly, shards get numbers of their own.
//!
//! Pure but for the clock in a member's age.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane::config::Config;
use dataplane::control::{ShardReport, ThreadCpu};

use super::Member;
use crate::board::{Depth, Merged, View};
use crate::process;

/// Numbers of shards in the merged view: each data plane keeps its own range for as long as it is to be attached.
#[derive(Debug, Default)]
pub(super) struct Numbers(BTreeMap<Arc<str>, (u16, u16)>);

impl Numbers {
    /// The first number of a data plane with so many shards; `None` when 65,536 are taken.
    fn of(&mut self, name: &Arc<str>, shards: u16) -> Option<u16> {
        match self.0.get(name) {
            Some((first, count)) if *count >= shards => return Some(*first),
            _ => self.0.remove(name),
        };
        let mut taken: Vec<(u16, u16)> = self.0.values().copied().collect();
        taken.sort_unstable();
        let mut first = 0_u16;
        for (start, count) in taken {
            if u32::from(first) + u32::from(shards) <= u32::from(start) {
                break;
            }
            first = start.checked_add(count)?;
        }
        first.checked_add(shards)?;
        self.0.insert(Arc::clone(name), (first, shards));
        Some(first)
    }

    /// Frees the ranges of data planes that are given up.
    pub(super) fn keep(&mut self, members: &[Member]) {
        self.0.retain(|name, _| members.iter().any(|member| member.name == *name));
    }
}

/// One view of all members that answer.
pub(super) fn merge(members: &[Member], config: &Config, numbers: &mut Numbers) -> View {
    let mut merged = View {
        process: process::usage(),
        pipelines: config.pipeline.iter().map(|pipeline| pipeline.name.clone()).collect(),
        ..View::default()
    };
    let mut fleet = Merged::default();
    for member in members {
        if let Some(reason) = &member.absent {
            fleet.absent.push((member.name.to_string(), reason.clone()));
            continue;
        }
        let Some(view) = &member.view else { continue };
        fleet.is_mixed |= !member.differs.is_empty();
        // Its own word, for a command may name no more shards than it has.
        let shards = u16::try_from(view.shards.max(view.reports.len())).unwrap_or(u16::MAX);
        let Some(first) = numbers.of(&member.name, shards) else { continue };
        add(&mut merged, view, &member.name);
        for (report, still) in view.reports.iter().zip(&view.still) {
            let Some(number) = first.checked_add(report.shard).filter(|_| report.shard < shards) else {
                continue;
            };
            fleet.owners.insert(number, (Arc::clone(&member.name), report.shard));
            merged.reports.push(ShardReport { shard: number, ..report.clone() });
            merged.still.push(*still + member.age.unwrap_or_default());
        }
        merged.threads.extend(view.threads.iter().map(|thread| renumbered(thread, first)));
    }
    merged.fleet = Some(fleet);
    merged
}

/// Adds what is known by pipeline.
fn add(merged: &mut View, view: &View, name: &str) {
    merged.shards += view.shards;
    for pipeline in &view.pipelines {
        if !merged.pipelines.contains(pipeline) {
            merged.pipelines.push(pipeline.clone());
        }
    }
    for (pipeline, trouble) in &view.troubles {
        merged.troubles.entry(pipeline.clone()).or_insert_with(|| format!("{name}: {trouble}"));
    }
    for (pipeline, depth) in &view.depths {
        // All look at the same queue, at different moments: the deepest is the one to plan for.
        let known = merged.depths.entry(pipeline.clone()).or_default();
        *known = Depth {
            visible: known.visible.max(depth.visible),
            in_flight: known.in_flight.max(depth.in_flight),
            delayed: known.delayed.max(depth.delayed),
        };
    }
    for (pipeline, calls) in &view.attribute_calls {
        *merged.attribute_calls.entry(pipeline.clone()).or_default() += calls;
    }
    for (pipeline, bytes) in &view.budgets {
        let known = merged.budgets.entry(pipeline.clone()).or_default();
        *known = (*known).max(*bytes);
    }
}

/// A shard's thread has the number of its shard.
fn renumbered(thread: &ThreadCpu, first: u16) -> ThreadCpu {
    let number = thread.name.strip_prefix("shard-").and_then(|number| number.parse::<u16>().ok());
    let name = number.and_then(|number| first.checked_add(number));
    ThreadCpu {
        name: name.map_or_else(|| thread.name.clone(), |number| format!("shard-{number}")),
        ..thread.clone()
    }
}

/// Keys that a data plane works by and that differ from the control plane's; what belongs to one process alone is not compared.
pub(super) fn differences(own: &Config, theirs: &Config) -> Vec<String> {
    let common = |config: &Config| Config {
        pipeline: config.pipeline.clone(),
        drain: config.drain.clone(),
        ..Config::default()
    };
    common(own).changes_to(&common(theirs)).into_iter().map(|change| change.field).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dataplane::control::State;
    use dataplane::stats::STAGES;

    use super::*;
    use crate::board::Board;
    use crate::board::fixture::{config, counters, report};
    use crate::{health, snapshot};

    fn member(name: &str, shards: u16) -> Member {
        let board = Board::new(&config(), usize::from(shards));
        let reports = (0..shards).map(|shard| report(shard, 5, State::Running, counters())).collect();
        let threads = vec![
            ThreadCpu { name: "shard-1".into(), cpu_ns: 5 },
            ThreadCpu { name: "rdk:main".into(), cpu_ns: 7 },
        ];
        board.publish(reports, threads);
        Member {
            name: name.into(),
            address: format!("unix:/{name}"),
            version: String::new(),
            commit: String::new(),
            view: Some(board.view()),
            age: Some(Duration::from_millis(400)),
            absent: None,
            differs: Vec::new(),
        }
    }

    #[test]
    fn counters_and_histograms_add_up_exactly_and_shards_are_told_apart() {
        let members = [member("a", 2), member("b", 3)];
        let view = merge(&members, &config(), &mut Numbers::default());
        assert_eq!((view.shards, view.reports.len()), (5, 5));
        assert_eq!(snapshot::totals(&view, "orders").received, 500);
        let mut sum = dataplane::stats::Latency::new();
        for member in &members {
            sum.add(&snapshot::latency(member.view.as_ref().unwrap(), "orders"));
        }
        for stage in STAGES {
            assert_eq!(snapshot::latency(&view, "orders").stage(stage), sum.stage(stage));
        }
        assert_eq!(view.owner(1), ("a", 1));
        assert_eq!(view.owner(4), ("b", 2));
        assert!(view.threads.iter().any(|thread| thread.name == "shard-3" && thread.cpu_ns == 5));
        assert!(view.still[0] >= Duration::from_millis(400), "its age counts");
        assert!(health::ready(&view).iter().all(|check| check.trouble.is_none()));
    }

    #[test]
    fn one_that_does_not_answer_counts_in_no_sum_and_is_named() {
        let gone = Member { absent: Some("silent for 4 s: no answer in time".into()), ..member("b", 3) };
        let view = merge(&[member("a", 2), gone], &config(), &mut Numbers::default());
        assert_eq!(snapshot::totals(&view, "orders").received, 200);
        let troubles: Vec<String> =
            health::ready(&view).into_iter().filter_map(|check| check.trouble).collect();
        assert_eq!(troubles, ["silent for 4 s: no answer in time"]);
        assert!(health::live(&view).iter().all(|check| check.trouble.is_none()));
    }

    #[test]
    fn a_plane_keeps_its_numbers_and_gives_them_back_when_it_is_given_up() {
        let mut numbers = Numbers::default();
        let all = [member("a", 2), member("b", 3), member("c", 1)];
        merge(&all, &config(), &mut numbers);
        numbers.keep(&all[1..]);
        let view = merge(&all[1..], &config(), &mut numbers);
        assert_eq!(view.owner(2), ("b", 0), "b stays where it was");
        let view = merge(&[all[1].clone(), all[2].clone(), member("d", 2)], &config(), &mut numbers);
        assert_eq!(view.owner(0), ("d", 0), "the free range is used again");
        let grown = merge(&[member("b", 9), all[2].clone(), member("d", 2)], &config(), &mut numbers);
        assert_eq!(grown.owner(6), ("b", 0), "more shards need another range");
        assert_eq!(grown.reports.len(), 12);
    }

    #[test]
    fn only_what_both_have_is_compared() {
        let mut theirs = config();
        theirs.api.listen = "127.0.0.1:1".into();
        assert!(differences(&config(), &theirs).is_empty());
        theirs.pipeline[0].queue.pollers_max = 3;
        assert_eq!(differences(&config(), &theirs), ["pipeline.orders.queue.pollers_max"]);
    }
}
