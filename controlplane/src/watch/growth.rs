//! Growth of counters over the last minute.
//!
//! Pure; the clock is an argument. For counters that are not flows: errors of one kind, calls of the control plane.

use std::collections::{BTreeMap, VecDeque};

/// Span over which growth is told.
const SPAN_MS: u64 = 60_000;

/// Readings of the last minute, and the last one before it.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    readings: VecDeque<(u64, BTreeMap<String, u64>)>,
}

impl Growth {
    /// Takes a reading of every counter.
    pub(crate) fn push(&mut self, mono_ms: u64, counters: BTreeMap<String, u64>) {
        self.readings.push_back((mono_ms, counters));
        // The youngest reading that is a minute old is what the others are compared with.
        while self.readings.get(1).is_some_and(|(at, _)| mono_ms.saturating_sub(*at) >= SPAN_MS) {
            self.readings.pop_front();
        }
    }

    /// What each counter grew by. One that fell began anew and has grown by what it is.
    pub(crate) fn over(&self) -> BTreeMap<String, u64> {
        let (Some((_, first)), Some((_, last))) = (self.readings.front(), self.readings.back()) else {
            return BTreeMap::new();
        };
        let grown = |(name, now): (&String, &u64)| {
            let before = first.get(name).copied().unwrap_or(0);
            (name.clone(), now.checked_sub(before).unwrap_or(*now))
        };
        last.iter().map(grown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(value: u64) -> BTreeMap<String, u64> {
        [("orders".to_owned(), value)].into()
    }

    #[test]
    fn growth_is_of_the_last_minute() {
        let mut growth = Growth::default();
        assert!(growth.over().is_empty());
        for second in 0..200 {
            growth.push(second * 1_000, reading(second * 2));
        }
        assert_eq!(growth.over()["orders"], 120);
        assert!(growth.readings.len() <= 61, "{}", growth.readings.len());
    }

    #[test]
    fn a_counter_that_begins_anew_counts_from_there() {
        let mut growth = Growth::default();
        growth.push(0, reading(500));
        growth.push(1_000, reading(3));
        assert_eq!(growth.over()["orders"], 3);
    }
}
