//! Rates of a run, from the SQS ledger: what was received or deleted when. Pure.

use std::time::Duration;

use bench::sqs::{Event, Kind};

/// Width of the window in which a rate is looked for.
const WINDOW_NS: u64 = 1_000_000_000;

/// Step from one window to the next.
const STEP_NS: u64 = 100_000_000;

/// Events of a kind a second between two times of the ledger.
pub fn per_s(events: &[Event], kind: Kind, from_ns: u64, until_ns: u64) -> f64 {
    let within = |event: &&Event| event.kind == kind && (from_ns..until_ns).contains(&event.at_ns);
    let seconds = until_ns.saturating_sub(from_ns) as f64 / 1e9;
    if seconds > 0.0 { events.iter().filter(within).count() as f64 / seconds } else { 0.0 }
}

/// Messages deleted a second between the first and the last delete after a time of the ledger.
pub fn pace(events: &[Event], from_ns: u64) -> f64 {
    let mut deleted = events.iter().filter(|event| event.kind == Kind::Deleted && event.at_ns >= from_ns);
    let Some(first) = deleted.next() else { return 0.0 };
    deleted.next_back().map_or(0.0, |last| per_s(events, Kind::Deleted, first.at_ns, last.at_ns))
}

/// How long after a time of the ledger a kind comes at `wanted_per_s` for a whole second; the end of that
/// second counts.
pub fn reached_after(events: &[Event], kind: Kind, from_ns: u64, wanted_per_s: f64) -> Option<Duration> {
    let last_ns = events.last()?.at_ns;
    let mut window_ns = from_ns;
    while window_ns <= last_ns {
        let until_ns = window_ns + WINDOW_NS;
        if per_s(events, kind, window_ns, until_ns) >= wanted_per_s {
            return Some(Duration::from_nanos(until_ns - from_ns));
        }
        window_ns += STEP_NS;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One delete every `every_ms` milliseconds.
    fn deleted(from_ms: u64, until_ms: u64, every_ms: usize) -> Vec<Event> {
        let event = |at_ms: u64| Event { id: 1, at_ns: at_ms * 1_000_000, count: 0, kind: Kind::Deleted };
        (from_ms..until_ms).step_by(every_ms).map(event).collect()
    }

    #[test]
    fn a_rate_counts_its_own_kind_and_nothing_else() {
        let mut events = deleted(0, 2_000, 10);
        events.push(Event { kind: Kind::Received, ..events[0] });
        assert_eq!(per_s(&events, Kind::Deleted, 0, 2_000_000_000), 100.0);
        assert!((99.0..101.0).contains(&pace(&events, 0)));
        assert_eq!((pace(&[], 0), per_s(&events, Kind::Deleted, 5, 5)), (0.0, 0.0));
    }

    #[test]
    fn a_rate_is_reached_at_the_end_of_its_first_full_second() {
        let mut events = deleted(0, 3_000, 100);
        events.extend(deleted(3_000, 6_000, 10));
        assert_eq!(reached_after(&events, Kind::Deleted, 0, 90.0), Some(Duration::from_millis(3_900)));
        assert_eq!(reached_after(&events, Kind::Deleted, 0, 200.0), None);
    }
}
