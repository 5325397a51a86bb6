//! Latency over time: every second's percentiles and heatmap column for ten minutes, exact histograms of any
//! window within them, and a column for each minute.
//!
//! Pure; the clock is an argument. The shards' histograms only grow, so an interval is the difference of two; a
//! difference that does not come out (a histogram began anew) is a gap. Differences are kept as the buckets that
//! have counts: windows of them add up to exactly what was recorded.

pub(crate) mod baselines;
pub(crate) mod buckets;
pub(crate) mod compare;
pub(crate) mod curve;
pub(crate) mod rows;
mod sparse;

use std::collections::{BTreeMap, VecDeque};

use dataplane::stats::{Latency, STAGES, Stage};
use hdrhistogram::Histogram;

use self::buckets::{Columns, STAGE_COUNT, StageColumn};
use self::sparse::Sparse;
use super::history::{CELLS_MAX, KEPT_MS, MINUTE_MS};
use crate::board::View;
use crate::snapshot;

/// Length of a slice, the step of exact windows.
pub(crate) const SLICE_MS: i64 = 10_000;
/// Largest value that is told apart: the data plane's own bound.
const LATENCY_US_MAX: u64 = 3_600_000_000;

/// Whose latency: one pipeline, or all of them together.
pub(crate) type Of = Option<String>;

/// An empty histogram with the data plane's bounds.
pub(crate) fn empty() -> Histogram<u64> {
    #[allow(clippy::expect_used, reason = "the three arguments are constants that the constructor accepts")]
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("constant bounds are valid")
}

/// One histogram for each stage.
pub(crate) type Stages = [Histogram<u64>; STAGE_COUNT];

/// What one interval recorded.
pub(crate) type Interval = [Option<Histogram<u64>>; STAGE_COUNT];

/// What was recorded between two readings; `None` when the later one does not contain the earlier.
pub(crate) fn difference(before: &Latency, now: &Latency) -> Option<Interval> {
    let mut interval = [const { None }; STAGE_COUNT];
    for (slot, stage) in interval.iter_mut().zip(STAGES) {
        let (before, now) = (before.stage(stage), now.stage(stage));
        // Counts only grow, so equal sums are equal histograms.
        if before.len() == now.len() {
            continue;
        }
        let mut grown = now.clone();
        // Fails when any bucket would fall below zero.
        grown.subtract(before).ok()?;
        *slot = Some(grown);
    }
    Some(interval)
}

/// One second of one track.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Second {
    /// Wall time of its end.
    pub(crate) at_ms: i64,
    /// Its columns; `None` for a gap.
    pub(crate) columns: Option<Box<Columns>>,
}

/// Ten seconds of one track, exact.
#[derive(Clone, Debug)]
struct Slice {
    /// Beginning, a multiple of [`SLICE_MS`].
    from_ms: i64,
    has_gap: bool,
    stages: [Sparse; STAGE_COUNT],
}

#[derive(Debug, Default)]
struct Track {
    /// Wall time of the end of each, and its columns, packed.
    seconds: VecDeque<(i64, Option<Box<[u8]>>)>,
    slices: VecDeque<Slice>,
}

/// A window that was asked for, as far as it is known.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// Beginning, milliseconds since 1970; a multiple of ten seconds.
    pub(crate) from_ms: i64,
    /// End.
    pub(crate) to_ms: i64,
    /// Whether a part of it is unknown.
    pub(crate) has_gap: bool,
    /// What it recorded.
    pub(crate) stages: Stages,
}

/// A minute that ended, for the store.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MinuteColumns {
    /// Whose.
    pub(crate) of: Of,
    /// Beginning, a multiple of a minute.
    pub(crate) minute_ms: i64,
    /// Its columns, percentiles exact.
    pub(crate) columns: Columns,
}

/// Latencies of every pipeline and of all together.
#[derive(Debug, Default)]
pub(crate) struct LatencyLog {
    last: BTreeMap<String, Latency>,
    tracks: BTreeMap<Of, Track>,
    minute_ms: Option<i64>,
}

impl LatencyLog {
    /// Adds what was recorded since the last call; returns the minute that ended, if one did.
    ///
    /// A pipeline of which `is_gap` is only remembered: what happened in between belongs to no second.
    pub(crate) fn push(
        &mut self,
        view: &View,
        at_ms: i64,
        is_gap: impl Fn(&str) -> bool,
    ) -> Vec<MinuteColumns> {
        let minute_ms = (at_ms - 1).div_euclid(MINUTE_MS) * MINUTE_MS;
        let ended = match self.minute_ms.replace(minute_ms) {
            Some(before) if before != minute_ms => self.minute(before),
            _ => Vec::new(),
        };
        let mut all: Interval = [const { None }; STAGE_COUNT];
        let mut all_known = !view.pipelines.is_empty();
        for name in &view.pipelines {
            let now = snapshot::latency(view, name);
            let interval = self.last.get(name).and_then(|before| difference(before, &now));
            let interval = interval.filter(|_| !is_gap(name));
            self.last.insert(name.clone(), now);
            match &interval {
                Some(interval) => merge(&mut all, interval),
                None => all_known = false,
            }
            self.tracks.entry(Some(name.clone())).or_default().push(at_ms, interval.as_ref());
        }
        self.tracks.entry(None).or_default().push(at_ms, all_known.then_some(&all));
        self.forget(view, at_ms);
        ended
    }

    fn forget(&mut self, view: &View, at_ms: i64) {
        self.last.retain(|name, _| view.pipelines.contains(name));
        self.tracks.retain(|_, track| track.seconds.back().is_some_and(|(last, _)| *last > at_ms - KEPT_MS));
    }

    /// The columns of a whole minute, from its slices.
    fn minute(&self, minute_ms: i64) -> Vec<MinuteColumns> {
        let of = |(of, track): (&Of, &Track)| {
            let window = track.window(minute_ms, minute_ms + MINUTE_MS)?;
            let columns: Columns = std::array::from_fn(|stage| StageColumn::of(&window.stages[stage]));
            let recorded = columns.iter().any(|column| column.percentiles.count > 0);
            recorded.then(|| MinuteColumns { of: of.clone(), minute_ms, columns })
        };
        self.tracks.iter().filter_map(of).collect()
    }

    /// What was recorded from one moment to another, in whole slices; `None` for a pipeline that is not known or a span
    /// of which nothing is kept.
    pub(crate) fn window(&self, of: &Of, from_ms: i64, to_ms: i64) -> Option<Window> {
        self.tracks.get(of)?.window(from_ms, to_ms)
    }

    /// What one stage recorded in the slices of a span.
    pub(crate) fn stage(&self, of: &Of, stage: Stage, from_ms: i64, to_ms: i64) -> Option<Histogram<u64>> {
        let mut histogram = empty();
        for slice in self.tracks.get(of)?.slices(from_ms, to_ms) {
            slice.stages[stage as usize].record_into(&mut histogram);
        }
        Some(histogram)
    }

    /// Seconds of a pipeline that end after `from_ms` and not after `to_ms`; `None` for one that is not known.
    pub(crate) fn seconds(&self, of: &Of, from_ms: i64, to_ms: i64) -> Option<Vec<Second>> {
        let seconds = &self.tracks.get(of)?.seconds;
        Some(
            seconds
                .iter()
                .filter(|(at_ms, _)| *at_ms > from_ms && *at_ms <= to_ms)
                .map(|(at_ms, packed)| Second {
                    at_ms: *at_ms,
                    columns: packed.as_deref().and_then(buckets::decode).map(Box::new),
                })
                .collect(),
        )
    }
}

fn merge(all: &mut Interval, interval: &Interval) {
    for (sum, one) in all.iter_mut().zip(interval) {
        match (sum.as_mut(), one) {
            (Some(sum), Some(one)) => {
                #[allow(clippy::expect_used, reason = "both sides have the data plane's bounds")]
                sum.add(one).expect("same bounds");
            }
            (None, Some(one)) => *sum = Some(one.clone()),
            (_, None) => {}
        }
    }
}

impl Track {
    fn push(&mut self, at_ms: i64, interval: Option<&Interval>) {
        while self.seconds.back().is_some_and(|(last, _)| *last >= at_ms) {
            self.seconds.pop_back();
        }
        while self.seconds.len() >= CELLS_MAX
            || self.seconds.front().is_some_and(|(first, _)| *first <= at_ms - KEPT_MS)
        {
            self.seconds.pop_front();
        }
        let columns = interval.map(|interval| {
            let column = |stage: usize| interval[stage].as_ref().map(StageColumn::of).unwrap_or_default();
            buckets::encode(&std::array::from_fn(column)).into_boxed_slice()
        });
        self.seconds.push_back((at_ms, columns));
        self.slice(at_ms, interval);
    }

    /// Adds an interval to its slice. One that began in the slice before belongs to the one in which it was seen.
    fn slice(&mut self, at_ms: i64, interval: Option<&Interval>) {
        let from_ms = (at_ms - 1).div_euclid(SLICE_MS) * SLICE_MS;
        while self.slices.back().is_some_and(|slice| slice.from_ms > from_ms) {
            self.slices.pop_back();
        }
        while self.slices.front().is_some_and(|slice| slice.from_ms < from_ms - KEPT_MS) {
            self.slices.pop_front();
        }
        if self.slices.back().is_none_or(|slice| slice.from_ms != from_ms) {
            self.slices.push_back(Slice {
                from_ms,
                has_gap: false,
                stages: std::array::from_fn(|_| Sparse::default()),
            });
        }
        let Some(slice) = self.slices.back_mut() else { return };
        match interval {
            Some(interval) => {
                for (sparse, histogram) in slice.stages.iter_mut().zip(interval) {
                    if let Some(histogram) = histogram {
                        sparse.add(histogram);
                    }
                }
            }
            None => slice.has_gap = true,
        }
    }

    /// Slices that a span touches.
    fn slices(&self, from_ms: i64, to_ms: i64) -> impl Iterator<Item = &Slice> {
        let within = move |slice: &&Slice| slice.from_ms + SLICE_MS > from_ms && slice.from_ms < to_ms;
        self.slices.iter().filter(within)
    }

    fn window(&self, from_ms: i64, to_ms: i64) -> Option<Window> {
        let slices: Vec<&Slice> = self.slices(from_ms, to_ms).collect();
        let (first, last) = (slices.first()?, slices.last()?);
        let mut stages: Stages = std::array::from_fn(|_| empty());
        for slice in &slices {
            for (histogram, sparse) in stages.iter_mut().zip(&slice.stages) {
                sparse.record_into(histogram);
            }
        }
        let (from, to) = (first.from_ms, last.from_ms + SLICE_MS);
        let whole = slices.len() as i64 * SLICE_MS == to - from;
        let has_gap = !whole || slices.iter().any(|slice| slice.has_gap);
        Some(Window { from_ms: from, to_ms: to, has_gap, stages })
    }
}

#[cfg(test)]
mod tests;
