//! What a sample holds: the counters whose growth is a rate, and the gauges of a moment.
//!
//! Pure tables. The names are those of the API, of the store's columns and of the live view.

use dataplane::stats::Counters;

/// A counter that only grows: its name and where it is.
pub(crate) type FlowField = (&'static str, fn(&Counters) -> u64);

/// Number of flows.
pub(crate) const FLOW_COUNT: usize = 20;

/// Every counter that is kept as a rate.
pub(crate) const FLOWS: [FlowField; FLOW_COUNT] = [
    ("received", |c| c.received),
    ("delivered", |c| c.delivered),
    ("rejected", |c| c.rejected),
    ("filtered", |c| c.filtered),
    ("released", |c| c.released),
    ("lease_lost", |c| c.lease_lost),
    ("redelivered_while_held", |c| c.redelivered_while_held),
    ("received_bytes", |c| c.received_bytes),
    ("delivered_bytes", |c| c.delivered_bytes),
    ("receives", |c| c.receives),
    ("empty_receives", |c| c.empty_receives),
    ("receive_chunks", |c| c.receive_chunks),
    ("deletes", |c| c.deletes),
    ("extends", |c| c.extends),
    ("release_calls", |c| c.release_calls),
    ("request_errors", |c| c.request_errors),
    ("delete_entries_failed", |c| c.delete_entries_failed),
    ("produced", |c| c.produced),
    ("produce_retries", |c| c.produce_retries),
    ("breaker_opened", |c| c.breaker_opened),
];

/// Growth of each flow, in the order of [`FLOWS`].
pub(crate) type Flow = [u64; FLOW_COUNT];

/// Every flow of these counters.
pub(crate) fn flow_of(counters: &Counters) -> Flow {
    std::array::from_fn(|index| FLOWS[index].1(counters))
}

/// Growth from one reading to the next; `None` when any counter fell, which means that it began anew.
pub(crate) fn growth(before: &Flow, now: &Flow) -> Option<Flow> {
    let fell = before.iter().zip(now).any(|(before, now)| now < before);
    (!fell).then(|| std::array::from_fn(|index| now[index] - before[index]))
}

/// Position of a flow by its name.
pub(crate) fn flow_index(name: &str) -> Option<usize> {
    FLOWS.iter().position(|(known, _)| *known == name)
}

/// A figure of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gauge {
    /// Messages held.
    InFlight,
    /// Bytes held.
    InFlightBytes,
    /// Receives in flight.
    Pollers,
    /// CPU of the shards' threads, in cores.
    CpuCores,
    /// Longest stall of a turn, seconds.
    StallSeconds,
    /// Messages that wait in the queue; approximate.
    QueueVisible,
    /// Messages that any consumer holds; approximate.
    QueueInFlight,
    /// Messages that are delayed; approximate.
    QueueDelayed,
}

/// Number of gauges.
pub(crate) const GAUGE_COUNT: usize = 8;

/// Every gauge with its name, in the order of the enum.
pub(crate) const GAUGES: [(Gauge, &str); GAUGE_COUNT] = [
    (Gauge::InFlight, "in_flight"),
    (Gauge::InFlightBytes, "in_flight_bytes"),
    (Gauge::Pollers, "pollers"),
    (Gauge::CpuCores, "cpu_cores"),
    (Gauge::StallSeconds, "stall_seconds"),
    (Gauge::QueueVisible, "queue_visible"),
    (Gauge::QueueInFlight, "queue_in_flight"),
    (Gauge::QueueDelayed, "queue_delayed"),
];

/// Position of a gauge by its name.
pub(crate) fn gauge_index(name: &str) -> Option<usize> {
    GAUGES.iter().position(|(_, known)| *known == name)
}

/// The gauges of a moment; what is not known is `None`, never 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Gauges(pub(crate) [Option<f64>; GAUGE_COUNT]);

impl Gauges {
    /// Reads one.
    pub(crate) fn of(&self, gauge: Gauge) -> Option<f64> {
        self.0[gauge as usize]
    }

    /// Sets one.
    pub(crate) fn set(&mut self, gauge: Gauge, value: f64) {
        self.0[gauge as usize] = Some(value);
    }

    /// Adds to one that several shards have a part in.
    pub(crate) fn add(&mut self, gauge: Gauge, value: f64) {
        self.0[gauge as usize] = Some(self.of(gauge).unwrap_or(0.0) + value);
    }

    /// Raises one to the worst of several shards.
    pub(crate) fn raise(&mut self, gauge: Gauge, value: f64) {
        self.0[gauge as usize] = Some(self.of(gauge).map_or(value, |known| known.max(value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_are_listed_in_the_order_of_their_index() {
        for (index, (gauge, name)) in GAUGES.into_iter().enumerate() {
            assert_eq!(gauge as usize, index);
            assert_eq!(gauge_index(name), Some(index));
        }
        assert_eq!(gauge_index("nothing"), None);
    }

    #[test]
    fn every_flow_reads_a_field_of_its_own() {
        // A counter that is set alone must show in exactly one flow: no field is read twice.
        let json = serde_json::to_value(Counters::default()).unwrap();
        for (index, (name, of)) in FLOWS.into_iter().enumerate() {
            let mut one = json.clone();
            one[name] = 7.into();
            let counters: Counters = serde_json::from_value(one).unwrap();
            assert_eq!(of(&counters), 7, "{name}");
            assert_eq!(flow_of(&counters).iter().filter(|value| **value != 0).count(), 1, "{name}");
            assert_eq!(flow_index(name), Some(index));
        }
    }

    #[test]
    fn a_counter_that_falls_has_no_growth() {
        let mut before = [5; FLOW_COUNT];
        let now = [9; FLOW_COUNT];
        assert_eq!(growth(&before, &now), Some([4; FLOW_COUNT]));
        before[3] = 10;
        assert_eq!(growth(&before, &now), None);
    }

    #[test]
    fn an_unknown_gauge_stays_unknown_until_somebody_adds_to_it() {
        let mut gauges = Gauges::default();
        assert_eq!(gauges.of(Gauge::Pollers), None);
        gauges.add(Gauge::Pollers, 2.0);
        gauges.add(Gauge::Pollers, 3.0);
        gauges.raise(Gauge::StallSeconds, 0.5);
        gauges.raise(Gauge::StallSeconds, 0.1);
        assert_eq!((gauges.of(Gauge::Pollers), gauges.of(Gauge::StallSeconds)), (Some(5.0), Some(0.5)));
    }
}
