//! The last ten minutes, second by second, in memory; and the minute that is being filled.
//!
//! Pure; the clock is an argument. Bounded by cells for each subject and by subjects. A wall clock that steps back
//! forgets what is now in the future, so that time on the axis only runs forward.

use std::collections::{BTreeMap, VecDeque};

use dataplane::control::State;

use super::flows::{FLOW_COUNT, Flow, GAUGE_COUNT, Gauge, Gauges};
use super::sampler::{Cell, Frame, Point, Subject};

/// Cells of one subject: ten minutes of seconds.
pub(crate) const CELLS_MAX: usize = 600;
/// How long a second's cell is kept.
pub(crate) const KEPT_MS: i64 = 600_000;
/// Subjects at a time: 64 pipelines, 256 shards, the appliance, and some that a reload took away.
const SUBJECTS_MAX: usize = 400;
/// Length of a minute.
pub(crate) const MINUTE_MS: i64 = 60_000;

/// A cell and the wall time of its end.
pub(crate) type Stamped = (i64, Cell);

/// Seconds of every subject.
#[derive(Debug, Default)]
pub(crate) struct History {
    subjects: BTreeMap<Subject, VecDeque<Stamped>>,
}

impl History {
    /// Adds a frame and forgets what is too old.
    pub(crate) fn push(&mut self, frame: &Frame) {
        for (subject, cell) in &frame.cells {
            if !self.subjects.contains_key(subject) && self.subjects.len() >= SUBJECTS_MAX {
                self.drop_stalest();
            }
            let cells = self.subjects.entry(subject.clone()).or_default();
            while cells.back().is_some_and(|(at, _)| *at >= frame.at_ms) {
                cells.pop_back();
            }
            if cells.len() == CELLS_MAX {
                cells.pop_front();
            }
            cells.push_back((frame.at_ms, cell.clone()));
        }
        let oldest = frame.at_ms - KEPT_MS;
        self.subjects.retain(|_, cells| {
            while cells.front().is_some_and(|(at, _)| *at <= oldest) {
                cells.pop_front();
            }
            !cells.is_empty()
        });
    }

    fn drop_stalest(&mut self) {
        let last = |cells: &VecDeque<Stamped>| cells.back().map_or(i64::MIN, |(at, _)| *at);
        let stalest = self.subjects.iter().min_by_key(|(_, cells)| last(cells)).map(|(key, _)| key.clone());
        if let Some(subject) = stalest {
            self.subjects.remove(&subject);
        }
    }

    /// Cells of a subject that end after `from_ms` and not after `to_ms`; `None` for one that is not known.
    pub(crate) fn cells(&self, subject: &Subject, from_ms: i64, to_ms: i64) -> Option<Vec<Stamped>> {
        let cells = self.subjects.get(subject)?;
        Some(cells.iter().filter(|(at, _)| *at > from_ms && *at <= to_ms).cloned().collect())
    }

    /// The newest cell of a subject.
    pub(crate) fn last(&self, subject: &Subject) -> Option<&Stamped> {
        self.subjects.get(subject)?.back()
    }

    /// Growth of a subject's flows over the newest `span_ms`, and the milliseconds that it covers. Gaps cover nothing.
    pub(crate) fn over(&self, subject: &Subject, now_ms: i64, span_ms: i64) -> (Flow, u64) {
        let mut counts = [0; FLOW_COUNT];
        let mut covers_ms = 0;
        let cells = self.subjects.get(subject);
        for (at, cell) in cells.into_iter().flat_map(|cells| cells.iter().rev()) {
            if *at <= now_ms - span_ms {
                break;
            }
            if let Cell::Point(point) = cell {
                covers_ms += point.covers_ms;
                for (sum, more) in counts.iter_mut().zip(&point.counts) {
                    *sum += more;
                }
            }
        }
        (counts, covers_ms)
    }
}

/// One minute of one subject, as the store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MinuteRow {
    /// Whose.
    pub(crate) subject: Subject,
    /// Beginning, milliseconds since 1970; a multiple of a minute.
    pub(crate) minute_ms: i64,
    /// Milliseconds of the minute that are covered; the rest is a gap.
    pub(crate) covers_ms: u64,
    /// Growth of each flow.
    pub(crate) counts: Flow,
    /// Mean of each gauge.
    pub(crate) means: Gauges,
    /// Largest value of each gauge.
    pub(crate) peaks: Gauges,
    /// Worst state.
    pub(crate) state: Option<State>,
}

/// Fills minutes from seconds.
#[derive(Debug, Default)]
pub(crate) struct Minutes {
    minute_ms: Option<i64>,
    sums: BTreeMap<Subject, Sum>,
}

#[derive(Debug, Default)]
struct Sum {
    covers_ms: u64,
    counts: Flow,
    gauges: [(f64, u64, f64); GAUGE_COUNT],
    state: Option<State>,
}

impl Minutes {
    /// Adds a frame; returns the rows of the minute that it ended, if any. A subject with nothing but gaps has no row.
    pub(crate) fn push(&mut self, frame: &Frame) -> Vec<MinuteRow> {
        // A cell that ends at 12:01:00.000 belongs to 12:00.
        let minute_ms = (frame.at_ms - 1).div_euclid(MINUTE_MS) * MINUTE_MS;
        let ended = if self.minute_ms == Some(minute_ms) { Vec::new() } else { self.close() };
        self.minute_ms = Some(minute_ms);
        for (subject, cell) in &frame.cells {
            if let Cell::Point(point) = cell {
                self.sums.entry(subject.clone()).or_default().add(point);
            }
        }
        ended
    }

    /// The rows of the minute so far; the next frame begins another.
    pub(crate) fn close(&mut self) -> Vec<MinuteRow> {
        let Some(minute_ms) = self.minute_ms.take() else { return Vec::new() };
        let sums = std::mem::take(&mut self.sums);
        sums.into_iter().map(|(subject, sum)| sum.row(subject, minute_ms)).collect()
    }
}

impl Sum {
    fn add(&mut self, point: &Point) {
        self.covers_ms += point.covers_ms;
        for (sum, more) in self.counts.iter_mut().zip(&point.counts) {
            *sum += more;
        }
        for ((sum, count, peak), value) in self.gauges.iter_mut().zip(point.gauges.0) {
            if let Some(value) = value {
                *peak = if *count == 0 { value } else { peak.max(value) };
                *sum += value;
                *count += 1;
            }
        }
        self.state = worse(self.state, point.state);
    }

    fn row(&self, subject: Subject, minute_ms: i64) -> MinuteRow {
        let each = |of: fn(&(f64, u64, f64)) -> f64| {
            Gauges(std::array::from_fn(|index| {
                let gauge = &self.gauges[index];
                (gauge.1 > 0).then(|| of(gauge))
            }))
        };
        MinuteRow {
            subject,
            minute_ms,
            covers_ms: self.covers_ms,
            counts: self.counts,
            means: each(|(sum, count, _)| sum / *count as f64),
            peaks: each(|(_, _, peak)| *peak),
            state: self.state,
        }
    }
}

impl MinuteRow {
    /// The row as a point, for an answer that mixes seconds and minutes.
    pub(crate) fn point(&self) -> Point {
        let mut gauges = self.means.clone();
        // What is read as "how bad did it get" is the peak; what is read as a level is the mean.
        gauges.0[Gauge::StallSeconds as usize] = self.peaks.of(Gauge::StallSeconds);
        Point { covers_ms: self.covers_ms, counts: self.counts, gauges, state: self.state }
    }
}

fn worse(one: Option<State>, two: Option<State>) -> Option<State> {
    let states = [one, two].into_iter().flatten().map(|state| (state, ""));
    match (one, two) {
        (None, None) => None,
        _ => Some(crate::snapshot::merge_state(states).0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sampler::Gap;
    use super::*;

    fn frame(at_ms: i64, received: u64) -> Frame {
        let mut point = Point { covers_ms: 1_000, state: Some(State::Running), ..Point::default() };
        point.counts[0] = received;
        point.gauges.set(Gauge::InFlight, received as f64);
        Frame { at_ms, cells: [(Subject::Appliance, Cell::Point(point))].into() }
    }

    fn gap(at_ms: i64) -> Frame {
        Frame { at_ms, cells: [(Subject::Appliance, Cell::Gap(Gap::Reset))].into() }
    }

    #[test]
    fn ten_minutes_are_kept_and_no_more() {
        let mut history = History::default();
        for second in 1..=1_000 {
            history.push(&frame(second * 1_000, 1));
        }
        let all = history.cells(&Subject::Appliance, 0, i64::MAX).unwrap();
        assert_eq!(all.len(), CELLS_MAX);
        assert_eq!((all[0].0, all[CELLS_MAX - 1].0), (401_000, 1_000_000));
        assert_eq!(history.cells(&Subject::Appliance, 990_000, 995_000).unwrap().len(), 5);
        assert_eq!(history.cells(&Subject::Shard(3), 0, i64::MAX), None);
    }

    #[test]
    fn a_clock_that_steps_back_forgets_the_future() {
        let mut history = History::default();
        for second in 1..=10 {
            history.push(&frame(second * 1_000, 1));
        }
        history.push(&frame(5_500, 1));
        let all = history.cells(&Subject::Appliance, 0, i64::MAX).unwrap();
        assert!(all.is_sorted_by_key(|(at, _)| *at), "{all:?}");
        assert_eq!(all.last().unwrap().0, 5_500);
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn subjects_are_bounded_and_the_stalest_goes_first() {
        let mut history = History::default();
        for number in 0..=SUBJECTS_MAX as u16 {
            let cells = [(Subject::Shard(number), Cell::Gap(Gap::Start))].into();
            history.push(&Frame { at_ms: i64::from(number) + 1, cells });
        }
        assert_eq!(history.subjects.len(), SUBJECTS_MAX);
        assert!(history.last(&Subject::Shard(0)).is_none());
        assert!(history.last(&Subject::Shard(SUBJECTS_MAX as u16)).is_some());
    }

    #[test]
    fn a_sum_over_a_span_leaves_gaps_out_of_what_it_covers() {
        let mut history = History::default();
        history.push(&frame(1_000, 100));
        history.push(&gap(2_000));
        history.push(&frame(3_000, 50));
        let (counts, covers_ms) = history.over(&Subject::Appliance, 3_000, 60_000);
        assert_eq!((counts[0], covers_ms), (150, 2_000));
        assert_eq!(history.over(&Subject::Appliance, 3_000, 1_000).1, 1_000);
        assert_eq!(history.over(&Subject::Shard(9), 3_000, 60_000).1, 0);
    }

    #[test]
    fn a_minute_sums_counts_and_says_how_much_of_it_is_known() {
        let mut minutes = Minutes::default();
        assert!(minutes.push(&frame(60_000, 7)).is_empty());
        let ended = minutes.push(&frame(61_000, 10));
        assert_eq!(ended.len(), 1);
        assert_eq!((ended[0].minute_ms, ended[0].counts[0]), (0, 7), "12:01:00.000 ends the minute before");
        assert!(minutes.push(&gap(62_000)).is_empty());
        assert!(minutes.push(&frame(119_000, 30)).is_empty());
        let row = minutes.push(&frame(120_001, 1)).remove(0);
        assert_eq!((row.minute_ms, row.covers_ms, row.counts[0]), (60_000, 2_000, 40));
        assert_eq!(row.means.of(Gauge::InFlight), Some(20.0));
        assert_eq!(row.peaks.of(Gauge::InFlight), Some(30.0));
        assert_eq!(row.means.of(Gauge::QueueVisible), None, "what was never known stays unknown");
        assert_eq!(row.state, Some(State::Running));
    }

    #[test]
    fn a_minute_of_gaps_has_no_row() {
        let mut minutes = Minutes::default();
        minutes.push(&gap(61_000));
        assert_eq!(minutes.push(&gap(121_000)), Vec::new());
        assert_eq!(minutes.close(), Vec::new());
    }

    #[test]
    fn the_worst_state_of_a_minute_is_kept() {
        assert_eq!(worse(Some(State::Running), Some(State::Broken)), Some(State::Broken));
        assert_eq!(worse(None, Some(State::Running)), Some(State::Running));
        assert_eq!(worse(None, None), None);
    }
}
