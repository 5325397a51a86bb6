//! The breaker: stops receiving while Kafka does not take records, and probes its way back.
//!
//! Level 1, pure. Open means that nothing new is received; what is held keeps its leases. While open,
//! one message at a time is let through as a probe; its ack closes the breaker, its failure doubles the
//! pause. Messages that librdkafka still holds are probes too: any ack closes the breaker.

use std::time::Duration;

use super::backoff::{Backoff, Random};
use crate::clock::Tick;

/// What the breaker allows now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Closed: receive and send freely.
    Open,
    /// Broken: send or receive exactly one message, then ask again.
    Probe,
    /// Broken: nothing.
    Shut,
}

/// The breaker of one route on one shard.
#[derive(Debug)]
pub(crate) struct Breaker {
    pauses: Backoff,
    /// Records in flight without an ack for this long open the breaker.
    ack_stall: Duration,
    broken: Option<Broken>,
    /// Time of the last ack, or of the first record after nothing was in flight.
    progress_at: Tick,
    opened: u64,
}

#[derive(Debug)]
struct Broken {
    reason: String,
    attempt: u32,
    probe_at: Tick,
    probing: bool,
}

impl Breaker {
    /// A closed breaker.
    pub(crate) fn new(ack_stall: Duration, probe_min: Duration, probe_max: Duration) -> Breaker {
        Breaker {
            pauses: Backoff { min: probe_min, max: probe_max },
            ack_stall,
            broken: None,
            progress_at: Tick::default(),
            opened: 0,
        }
    }

    /// Other settings; what is broken stays so.
    pub(crate) fn set(&mut self, ack_stall: Duration, probe_min: Duration, probe_max: Duration) {
        self.pauses = Backoff { min: probe_min, max: probe_max };
        self.ack_stall = ack_stall;
    }

    /// What is allowed now. Taking [`Gate::Probe`] is told by [`Breaker::probe_sent`].
    pub(crate) fn gate(&self, now: Tick) -> Gate {
        match &self.broken {
            None => Gate::Open,
            Some(broken) if !broken.probing && now >= broken.probe_at => Gate::Probe,
            Some(_) => Gate::Shut,
        }
    }

    /// A probe is on its way: no second one until it ends.
    pub(crate) fn probe_sent(&mut self) {
        if let Some(broken) = &mut self.broken {
            broken.probing = true;
        }
    }

    /// A probe brought no message to try: ask again after the same pause.
    pub(crate) fn probe_void(&mut self, now: Tick, random: &mut Random) {
        if let Some(broken) = &mut self.broken {
            broken.probing = false;
            broken.probe_at = now.plus(self.pauses.wait(broken.attempt, random));
        }
    }

    /// Records went out while nothing was in flight: the stall clock starts now.
    pub(crate) fn started(&mut self, now: Tick) {
        self.progress_at = now;
    }

    /// Kafka stored a record: closes the breaker. Returns whether it was broken.
    pub(crate) fn acked(&mut self, now: Tick) -> bool {
        self.progress_at = now;
        self.broken.take().is_some()
    }

    /// What was broken is used no more: closes the breaker. Returns whether it was broken.
    pub(crate) fn forget(&mut self, now: Tick) -> bool {
        self.acked(now)
    }

    /// Kafka refused in a way that the next record would meet too: opens the breaker, or ends a probe.
    pub(crate) fn failed(&mut self, now: Tick, reason: &str, random: &mut Random) {
        if let Some(broken) = &mut self.broken {
            // Failures of messages that were already under way say nothing new about the probe.
            if broken.probing || now >= broken.probe_at {
                broken.attempt = broken.attempt.saturating_add(1);
                broken.probing = false;
                broken.probe_at = now.plus(self.pauses.wait(broken.attempt, random));
            }
            reason.clone_into(&mut broken.reason);
            return;
        }
        self.opened += 1;
        let probe_at = now.plus(self.pauses.wait(1, random));
        self.broken = Some(Broken { reason: reason.to_owned(), attempt: 1, probe_at, probing: false });
    }

    /// Looks at the stall clock: opens when `in_flight` records saw no ack for too long.
    pub(crate) fn watch(&mut self, now: Tick, in_flight: usize, random: &mut Random) {
        let stalled = in_flight > 0 && now > self.progress_at.plus(self.ack_stall);
        if stalled && self.broken.is_none() {
            let reason = format!("no ack from Kafka for {} s", self.ack_stall.as_secs());
            self.failed(now, &reason, random);
        }
        // A probe that librdkafka still holds is the probe; once it gave it back, another may go.
        if in_flight == 0
            && let Some(broken) = &mut self.broken
            && broken.probing
            && now > broken.probe_at.plus(self.ack_stall)
        {
            broken.probing = false;
        }
    }

    /// Why the breaker is open, or `None` when it is closed.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.broken.as_ref().map(|broken| broken.reason.as_str())
    }

    /// How often the breaker has opened.
    pub(crate) fn opened(&self) -> u64 {
        self.opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn breaker() -> (Breaker, Random) {
        (
            Breaker::new(Duration::from_secs(5), Duration::from_millis(500), Duration::from_secs(5)),
            Random::new(3),
        )
    }

    #[test]
    fn a_refusal_shuts_and_one_probe_at_a_time_is_allowed() {
        let (mut breaker, mut random) = breaker();
        assert_eq!(breaker.gate(Tick(1)), Gate::Open);
        breaker.failed(Tick(1), "topic_authorization_failed", &mut random);
        assert_eq!(breaker.gate(Tick(1)), Gate::Shut);
        let later = Tick(600 * MS);
        assert_eq!(breaker.gate(later), Gate::Probe);
        breaker.probe_sent();
        assert_eq!(breaker.gate(later), Gate::Shut, "a second probe must wait for the first");
        breaker.failed(later, "topic_authorization_failed", &mut random);
        assert_eq!(breaker.gate(later), Gate::Shut);
        assert_eq!(breaker.opened(), 1, "a failed probe is no new opening");
        assert!(breaker.acked(Tick(700 * MS)));
        assert_eq!(breaker.gate(Tick(700 * MS)), Gate::Open);
    }

    #[test]
    fn silence_opens_only_while_records_are_in_flight() {
        let (mut breaker, mut random) = breaker();
        breaker.started(Tick(1));
        breaker.watch(Tick(60_000 * MS), 0, &mut random);
        assert_eq!(breaker.gate(Tick(60_000 * MS)), Gate::Open);
        breaker.started(Tick(60_000 * MS));
        breaker.watch(Tick(64_000 * MS), 1, &mut random);
        assert_eq!(breaker.gate(Tick(64_000 * MS)), Gate::Open);
        breaker.watch(Tick(65_001 * MS), 1, &mut random);
        assert_eq!(breaker.gate(Tick(65_001 * MS)), Gate::Shut);
        assert_eq!(breaker.reason(), Some("no ack from Kafka for 5 s"));
    }

    #[test]
    fn a_probe_that_found_nothing_is_asked_again() {
        let (mut breaker, mut random) = breaker();
        breaker.failed(Tick(1), "x", &mut random);
        breaker.probe_sent();
        breaker.probe_void(Tick(1_000 * MS), &mut random);
        assert_eq!(breaker.gate(Tick(1_000 * MS)), Gate::Shut);
        assert_eq!(breaker.gate(Tick(1_500 * MS + 1)), Gate::Probe);
    }
}
