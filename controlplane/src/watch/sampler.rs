//! From one view to the next: what each pipeline and each shard did in between.
//!
//! Pure; the clock is an argument. Shards publish once a second on clocks of their own, so a look at the board can
//! find one that has not published since. Then the sampler waits for the next look rather than showing nothing and
//! then double. What cannot be told (a counter began anew, a shard is silent, looks were missed) is a gap with
//! its reason, never a guess.

use std::collections::BTreeMap;

use dataplane::control::{ShardReport, State};
use serde::{Deserialize, Serialize};

use super::flows::{self, Flow, Gauge, Gauges};
use crate::board::View;
use crate::snapshot;

/// Time that a frame waits for shards that have not published yet. Shards publish every second.
const WAIT_MS: u64 = 1_600;
/// An interval longer than this says too little about its seconds: looks were missed.
const INTERVAL_MS_MAX: u64 = 5_000;

/// This moment on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Wall time, milliseconds since 1970.
    pub(crate) wall_ms: i64,
    /// Monotonic time, milliseconds since any fixed moment.
    pub(crate) mono_ms: u64,
}

/// Whose figures a sample holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Subject {
    /// All of it.
    Appliance,
    /// One pipeline over all shards.
    Pipeline(String),
    /// One shard over all pipelines.
    Shard(u16),
}

/// Why there is no figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Gap {
    /// Seen for the first time: there is nothing to compare with.
    Start,
    /// A shard has published nothing new.
    Stale,
    /// Looks were missed: the control plane was not running.
    Missed,
    /// A counter is lower than before: it began anew.
    Reset,
}

/// One sample, or why there is none.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "a gap is rare: boxing the point would cost each second an allocation"
)]
pub(crate) enum Cell {
    /// What happened.
    Point(Point),
    /// Nothing can be said.
    Gap(Gap),
}

/// What happened within an interval, and how it stood at its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Point {
    /// Length of the interval, milliseconds: the mean of the shards' own.
    pub(crate) covers_ms: u64,
    /// Growth of each flow.
    pub(crate) counts: Flow,
    /// Figures at the end.
    pub(crate) gauges: Gauges,
    /// Worst state of the shards; `None` for what has no state.
    pub(crate) state: Option<State>,
}

impl Point {
    /// A flow per second.
    pub(crate) fn rate(&self, index: usize) -> f64 {
        self.counts[index] as f64 * 1_000.0 / self.covers_ms.max(1) as f64
    }
}

/// All samples of one interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Frame {
    /// Wall time of its end.
    pub(crate) at_ms: i64,
    /// By subject.
    pub(crate) cells: BTreeMap<Subject, Cell>,
}

/// What the last frame was made of.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    shards: BTreeMap<u16, Known>,
    frame_at: Option<Moment>,
    cpu_ns: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct Known {
    at_ns: u64,
    flows: BTreeMap<String, Flow>,
}

/// One shard since the last frame.
struct Step {
    covers_ms: u64,
    flows: BTreeMap<String, Flow>,
}

impl Sampler {
    /// The samples since the last frame; `None` while a shard is awaited.
    pub(crate) fn take(&mut self, view: &View, now: Moment) -> Option<Frame> {
        let since_ms = self.frame_at.map(|at| now.mono_ms.saturating_sub(at.mono_ms));
        let behind = view.reports.iter().any(|report| !self.is_fresh(report));
        if since_ms == Some(0) || (behind && since_ms.is_some_and(|since| since < WAIT_MS)) {
            return None;
        }
        let missed = since_ms.is_some_and(|since| since > INTERVAL_MS_MAX);
        let steps: BTreeMap<u16, Result<Step, Gap>> =
            view.reports.iter().map(|report| (report.shard, self.step(report, missed))).collect();
        let cpu = self.cpu_cores(view, since_ms);
        // What a shard that is gone did last belongs to no second, and sums without it would look like a fall.
        let has_left = self.shards.keys().any(|shard| !view.has_shard(*shard));
        let mut frame = Frame { at_ms: now.wall_ms, cells: BTreeMap::new() };
        for report in &view.reports {
            let cell = match &steps[&report.shard] {
                Ok(step) => Cell::Point(shard_point(report, step, cpu.get(&report.shard).copied())),
                Err(gap) => Cell::Gap(*gap),
            };
            frame.cells.insert(Subject::Shard(report.shard), cell);
        }
        for name in &view.pipelines {
            let cell = if has_left { Cell::Gap(Gap::Reset) } else { pipeline_cell(view, name, &steps) };
            frame.cells.insert(Subject::Pipeline(name.clone()), cell);
        }
        frame.cells.insert(Subject::Appliance, appliance_cell(view, &frame, &cpu));
        self.remember(view, now);
        Some(frame)
    }

    fn is_fresh(&self, report: &ShardReport) -> bool {
        self.shards.get(&report.shard).is_none_or(|known| known.at_ns != report.at_ns)
    }

    fn step(&self, report: &ShardReport, missed: bool) -> Result<Step, Gap> {
        let known = self.shards.get(&report.shard).ok_or(Gap::Start)?;
        if known.at_ns == report.at_ns {
            return Err(Gap::Stale);
        }
        // A clock that runs backwards is another process behind the same number.
        let covers_ms = report.at_ns.checked_sub(known.at_ns).ok_or(Gap::Reset)? / 1_000_000;
        if missed || covers_ms > INTERVAL_MS_MAX {
            return Err(Gap::Missed);
        }
        let mut flows = BTreeMap::new();
        for pump in &report.pumps {
            let now = flows::flow_of(&pump.counters);
            let before = known.flows.get(&pump.pipeline);
            // A pipeline that is new on a running shard has counted from zero.
            let grown = before.map_or(Some(now), |before| flows::growth(before, &now)).ok_or(Gap::Reset)?;
            flows.insert(pump.pipeline.clone(), grown);
        }
        Ok(Step { covers_ms: covers_ms.max(1), flows })
    }

    /// Cores that each shard's thread used, where both readings are there.
    fn cpu_cores(&self, view: &View, since_ms: Option<u64>) -> BTreeMap<u16, f64> {
        let Some(since_ms) = since_ms.filter(|since| *since > 0) else { return BTreeMap::new() };
        let of = |report: &ShardReport| {
            let name = format!("shard-{}", report.shard);
            let now = view.threads.iter().find(|thread| thread.name == name)?.cpu_ns;
            let before = *self.cpu_ns.get(&name)?;
            let used = now.checked_sub(before)?;
            Some((report.shard, used as f64 / (since_ms as f64 * 1e6)))
        };
        view.reports.iter().filter_map(of).collect()
    }

    fn remember(&mut self, view: &View, now: Moment) {
        self.frame_at = Some(now);
        self.shards = view
            .reports
            .iter()
            .map(|report| {
                let flows = report.pumps.iter();
                let flows =
                    flows.map(|pump| (pump.pipeline.clone(), flows::flow_of(&pump.counters))).collect();
                (report.shard, Known { at_ns: report.at_ns, flows })
            })
            .collect();
        self.cpu_ns = view.threads.iter().map(|thread| (thread.name.clone(), thread.cpu_ns)).collect();
    }
}

fn add(counts: &mut Flow, more: &Flow) {
    for (sum, more) in counts.iter_mut().zip(more) {
        *sum += more;
    }
}

fn shard_point(report: &ShardReport, step: &Step, cpu: Option<f64>) -> Point {
    let mut point = Point { covers_ms: step.covers_ms, ..Point::default() };
    for flow in step.flows.values() {
        add(&mut point.counts, flow);
    }
    let gauges = &mut point.gauges;
    for pump in &report.pumps {
        gauges.add(Gauge::InFlight, pump.counters.in_flight as f64);
        gauges.add(Gauge::InFlightBytes, pump.counters.in_flight_bytes as f64);
        gauges.add(Gauge::Pollers, f64::from(pump.pollers));
    }
    gauges.set(Gauge::StallSeconds, report.stall_us as f64 / 1e6);
    if let Some(cores) = cpu {
        gauges.set(Gauge::CpuCores, cores);
    }
    point
}

/// The worst gap of the shards, or their sum.
fn pipeline_cell(view: &View, name: &str, steps: &BTreeMap<u16, Result<Step, Gap>>) -> Cell {
    let mut point = Point::default();
    let mut shards = 0;
    let mut worst = None;
    for (shard, pump) in snapshot::pumps(view, name) {
        match steps.get(&shard) {
            Some(Ok(step)) => {
                shards += 1;
                point.covers_ms += step.covers_ms;
                if let Some(flow) = step.flows.get(name) {
                    add(&mut point.counts, flow);
                }
            }
            Some(Err(gap)) => worst = worst.max(Some(*gap)),
            None => worst = worst.max(Some(Gap::Start)),
        }
        point.gauges.add(Gauge::InFlight, pump.counters.in_flight as f64);
        point.gauges.add(Gauge::InFlightBytes, pump.counters.in_flight_bytes as f64);
        point.gauges.add(Gauge::Pollers, f64::from(pump.pollers));
    }
    if let Some(gap) = worst {
        return Cell::Gap(gap);
    }
    if shards == 0 {
        return Cell::Gap(Gap::Start);
    }
    point.covers_ms /= shards;
    if let Some(depth) = view.depths.get(name) {
        point.gauges.set(Gauge::QueueVisible, depth.visible as f64);
        point.gauges.set(Gauge::QueueInFlight, depth.in_flight as f64);
        point.gauges.set(Gauge::QueueDelayed, depth.delayed as f64);
    }
    let pumps = snapshot::pumps(view, name).map(|(_, pump)| (pump.state, pump.reason.as_str()));
    point.state = Some(snapshot::merge_state(pumps).0);
    Cell::Point(point)
}

fn appliance_cell(view: &View, frame: &Frame, cpu: &BTreeMap<u16, f64>) -> Cell {
    let mut sum = Point::default();
    let mut shards = 0;
    let mut worst = None;
    for (subject, cell) in &frame.cells {
        match (subject, cell) {
            (Subject::Shard(_), Cell::Point(point)) => {
                shards += 1;
                sum.covers_ms += point.covers_ms;
                add(&mut sum.counts, &point.counts);
                for gauge in [Gauge::InFlight, Gauge::InFlightBytes, Gauge::Pollers] {
                    sum.gauges.add(gauge, point.gauges.of(gauge).unwrap_or(0.0));
                }
                sum.gauges.raise(Gauge::StallSeconds, point.gauges.of(Gauge::StallSeconds).unwrap_or(0.0));
            }
            (_, Cell::Gap(gap)) => worst = worst.max(Some(*gap)),
            _ => {}
        }
    }
    if let Some(gap) = worst {
        return Cell::Gap(gap);
    }
    // The data plane has not published yet: the first reports are awaited.
    if shards < view.shards as u64 || shards == 0 {
        return Cell::Gap(Gap::Start);
    }
    sum.covers_ms /= shards;
    if cpu.len() as u64 == shards {
        sum.gauges.set(Gauge::CpuCores, cpu.values().sum());
    }
    for gauge in [Gauge::QueueVisible, Gauge::QueueInFlight, Gauge::QueueDelayed] {
        for cell in frame.cells.values() {
            if let Cell::Point(Point { gauges, state: Some(_), .. }) = cell
                && let Some(value) = gauges.of(gauge)
            {
                sum.gauges.add(gauge, value);
            }
        }
    }
    Cell::Point(sum)
}

#[cfg(test)]
mod tests {
    use dataplane::control::ThreadCpu;
    use dataplane::stats::Counters;

    use super::*;
    use crate::board::Board;
    use crate::board::fixture::{config, report};

    const SECOND_NS: u64 = 1_000_000_000;

    fn counters(received: u64) -> Counters {
        Counters { received, delivered: received, in_flight: 3, ..Counters::default() }
    }

    /// A view of two shards that published at these seconds with these counts.
    fn view(shards: [(u64, u64); 2]) -> View {
        let board = Board::new(&config(), 2);
        let reports = (0..2).zip(shards).map(|(shard, (at_ns, received))| ShardReport {
            at_ns,
            ..report(shard, at_ns, State::Running, counters(received))
        });
        let threads = (0..2)
            .map(|shard| ThreadCpu { name: format!("shard-{shard}"), cpu_ns: shards[0].0 / 2 })
            .collect();
        board.publish(reports.collect(), threads);
        View::clone(&board.view())
    }

    fn at(mono_ms: u64) -> Moment {
        Moment { wall_ms: 1_700_000_000_000 + mono_ms as i64, mono_ms }
    }

    fn orders() -> Subject {
        Subject::Pipeline("orders".to_owned())
    }

    fn received(frame: &Frame, subject: &Subject) -> f64 {
        match &frame.cells[subject] {
            Cell::Point(point) => point.rate(0),
            Cell::Gap(gap) => panic!("{subject:?} is a gap: {gap:?}"),
        }
    }

    #[test]
    fn rates_come_from_the_shards_own_clocks() {
        let mut sampler = Sampler::default();
        let first = sampler.take(&view([(SECOND_NS, 100), (SECOND_NS, 100)]), at(1_000)).unwrap();
        assert!(first.cells.values().all(|cell| *cell == Cell::Gap(Gap::Start)), "{first:?}");
        // The control plane looked 100 ms late; the shards counted for exactly one second.
        let frame = sampler.take(&view([(2 * SECOND_NS, 150), (2 * SECOND_NS, 300)]), at(2_100)).unwrap();
        assert_eq!(received(&frame, &orders()), 250.0);
        assert_eq!(received(&frame, &Subject::Shard(1)), 200.0);
        assert_eq!(received(&frame, &Subject::Appliance), 250.0);
        let Cell::Point(point) = &frame.cells[&Subject::Appliance] else { panic!("{frame:?}") };
        assert_eq!(point.gauges.of(Gauge::InFlight), Some(6.0));
        let cores = point.gauges.of(Gauge::CpuCores).unwrap();
        assert!((cores - 2.0 * 0.5 / 1.1).abs() < 1e-9, "{cores}");
    }

    #[test]
    fn a_shard_that_has_not_published_yet_is_awaited_and_nothing_is_counted_twice() {
        let mut sampler = Sampler::default();
        sampler.take(&view([(SECOND_NS, 0), (SECOND_NS, 0)]), at(1_000)).unwrap();
        assert_eq!(sampler.take(&view([(2 * SECOND_NS, 100), (SECOND_NS, 0)]), at(2_000)), None);
        let frame = sampler.take(&view([(3 * SECOND_NS, 200), (3 * SECOND_NS, 80)]), at(3_000)).unwrap();
        assert_eq!(received(&frame, &orders()), 140.0);
        let Cell::Point(point) = &frame.cells[&orders()] else { panic!("{frame:?}") };
        assert_eq!(point.covers_ms, 2_000);
        assert_eq!(point.counts[0], 280, "every message is in exactly one frame");
    }

    #[test]
    fn a_silent_shard_is_a_gap_and_so_is_every_sum_with_it() {
        let mut sampler = Sampler::default();
        sampler.take(&view([(SECOND_NS, 0), (SECOND_NS, 0)]), at(1_000)).unwrap();
        assert_eq!(sampler.take(&view([(2 * SECOND_NS, 100), (SECOND_NS, 0)]), at(2_000)), None);
        let frame = sampler.take(&view([(3 * SECOND_NS, 200), (SECOND_NS, 0)]), at(3_000)).unwrap();
        assert_eq!(received(&frame, &Subject::Shard(0)), 100.0);
        for subject in [Subject::Shard(1), orders(), Subject::Appliance] {
            assert_eq!(frame.cells[&subject], Cell::Gap(Gap::Stale), "{subject:?}");
        }
    }

    #[test]
    fn counters_that_begin_anew_are_a_gap_and_then_count_again() {
        let mut sampler = Sampler::default();
        sampler.take(&view([(SECOND_NS, 500), (SECOND_NS, 500)]), at(1_000)).unwrap();
        let frame = sampler.take(&view([(2 * SECOND_NS, 10), (2 * SECOND_NS, 600)]), at(2_000)).unwrap();
        assert_eq!(frame.cells[&orders()], Cell::Gap(Gap::Reset));
        let frame = sampler.take(&view([(3 * SECOND_NS, 30), (3 * SECOND_NS, 700)]), at(3_000)).unwrap();
        assert_eq!(received(&frame, &orders()), 120.0);
        // Another process behind the same number: its clock is younger.
        let frame = sampler.take(&view([(SECOND_NS, 900), (4 * SECOND_NS, 800)]), at(4_000)).unwrap();
        assert_eq!(frame.cells[&Subject::Shard(0)], Cell::Gap(Gap::Reset));
    }

    #[test]
    fn a_shard_that_leaves_is_a_gap_of_one_frame() {
        let mut sampler = Sampler::default();
        sampler.take(&view([(SECOND_NS, 0), (SECOND_NS, 500)]), at(1_000)).unwrap();
        let without = |at_ns, count| {
            let mut view = view([(at_ns, count), (0, 0)]);
            (view.shards, view.reports, view.still) = (1, vec![view.reports[0].clone()], vec![view.still[0]]);
            view
        };
        let frame = sampler.take(&without(2 * SECOND_NS, 900), at(2_000)).unwrap();
        assert_eq!(frame.cells[&orders()], Cell::Gap(Gap::Reset));
        assert_eq!(frame.cells[&Subject::Appliance], Cell::Gap(Gap::Reset));
        let frame = sampler.take(&without(3 * SECOND_NS, 950), at(3_000)).unwrap();
        assert_eq!(received(&frame, &orders()), 50.0);
    }

    #[test]
    fn looks_that_were_missed_are_a_gap() {
        let mut sampler = Sampler::default();
        sampler.take(&view([(SECOND_NS, 0), (SECOND_NS, 0)]), at(1_000)).unwrap();
        let frame = sampler.take(&view([(60 * SECOND_NS, 9), (60 * SECOND_NS, 9)]), at(60_000)).unwrap();
        assert_eq!(frame.cells[&orders()], Cell::Gap(Gap::Missed));
    }

    #[test]
    fn a_shard_without_a_report_leaves_the_appliance_unknown() {
        let mut sampler = Sampler::default();
        let board = Board::new(&config(), 2);
        let empty = board.view();
        let frame = sampler.take(&empty, at(1_000)).unwrap();
        assert_eq!(frame.cells[&Subject::Appliance], Cell::Gap(Gap::Start));
        assert_eq!(frame.cells[&orders()], Cell::Gap(Gap::Start));
    }
}
