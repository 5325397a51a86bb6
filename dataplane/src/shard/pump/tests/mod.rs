//! Claims about the pump, driven event by event under a hand-moved clock.

mod changes;
mod troubles;

use super::*;
use crate::error::Class;
use crate::message::{Message, Span};
use crate::shard::budget::Reservation;

const MS: u64 = 1_000_000;

struct Bench {
    pump: Pump,
    now: Tick,
}

impl Bench {
    fn new(fifo: bool, change: impl FnOnce(&mut config::Pipeline)) -> Bench {
        let mut config = config::Pipeline::new("p", "http://q", &["b:1"], "t");
        change(&mut config);
        let mut pump = Pump::new(config, 1);
        let facts = QueueFacts {
            fifo,
            visibility_timeout_s: 30,
            receive_count_max: None,
            message_bytes_max: 1 << 20,
        };
        pump.facts(&facts).unwrap();
        pump.credentials_arrived();
        pump.sink_is_ready();
        Bench { pump, now: Tick(1000 * MS) }
    }

    fn permit(&mut self) -> Reservation {
        match self.pump.may_receive(self.now) {
            Permit::Go { reservation, .. } => reservation,
            other => panic!("{other:?}"),
        }
    }

    /// Receives messages given as (key, group, body) and returns what is produced at once.
    fn receive(&mut self, messages: &[(u128, &str, &str)]) -> Vec<Token> {
        let reservation = self.permit();
        self.answer(reservation, messages)
    }

    /// The receive of this reservation is answered with these messages.
    fn answer(&mut self, reservation: Reservation, messages: &[(u128, &str, &str)]) -> Vec<Token> {
        let mut batch = Batch::default();
        for (key, group, body) in messages {
            let mut span = |text: &str| {
                let start = batch.bytes.len() as u32;
                batch.bytes.extend_from_slice(text.as_bytes());
                Span { start, len: text.len() as u32 }
            };
            let (group, body, receipt) = (span(group), span(body), span("receipt"));
            let mut message = Message { key: *key, body, receipt, ..Message::default() };
            message.system.group = group;
            message.system.receive_count = 1;
            batch.messages.push(message);
        }
        self.pump.judge(&mut batch);
        let received = Received { batch, asked: 10, unusable: 0, took_us: 1000, wall_ms: 0 };
        self.pump.received(received, reservation, self.now);
        self.produce()
    }

    fn produce(&mut self) -> Vec<Token> {
        let mut out = Vec::new();
        self.pump.take_to_produce(self.now, &mut out);
        out
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.pump.tick(self.now);
        self.pump.tick_leases(self.now);
    }

    fn delete_all(&mut self) -> usize {
        let mut out = Vec::new();
        self.pump.take_deletes(self.now.plus_ms(20), &mut out);
        for &(token, version) in &out {
            self.pump.deleted(token, version, EntryOutcome::Done, self.now);
        }
        if !out.is_empty() {
            self.pump.delete_answered();
        }
        out.len()
    }

    fn release_all(&mut self) -> usize {
        let mut out = Vec::new();
        self.pump.take_releases(self.now, &mut out);
        for &(token, delay_s) in &out {
            self.pump.released(token, delay_s, EntryOutcome::Done);
        }
        if !out.is_empty() {
            self.pump.visibility_answered();
        }
        out.len()
    }

    fn counters(&self) -> Counters {
        let counters = self.pump.report().counters;
        assert_eq!(counters.unaccounted(), 0, "{counters:?}");
        counters
    }
}

#[test]
fn only_an_ack_brings_a_message_to_its_delete() {
    let mut bench = Bench::new(false, |_| {});
    let tokens = bench.receive(&[(1, "", "a"), (2, "", "b")]);
    assert_eq!(bench.delete_all(), 0);
    bench.pump.acked(tokens[1], bench.now);
    assert_eq!(bench.delete_all(), 1);
    let counters = bench.counters();
    assert_eq!((counters.delivered, counters.in_flight), (1, 1));
}

#[test]
fn a_redelivery_while_held_is_counted_lost_once_and_delivered_once() {
    let mut bench = Bench::new(false, |_| {});
    let tokens = bench.receive(&[(1, "", "a")]);
    assert!(bench.receive(&[(1, "", "a")]).is_empty());
    bench.pump.acked(tokens[0], bench.now);
    bench.delete_all();
    let counters = bench.counters();
    assert_eq!((counters.received, counters.lease_lost, counters.delivered), (2, 1, 1));
}

#[test]
fn a_delete_with_an_older_handle_is_asked_for_again() {
    let mut bench = Bench::new(false, |_| {});
    let tokens = bench.receive(&[(1, "", "a")]);
    bench.pump.acked(tokens[0], bench.now);
    let mut out = Vec::new();
    bench.pump.take_deletes(bench.now.plus_ms(20), &mut out);
    assert!(bench.receive(&[(1, "", "a")]).is_empty());
    bench.pump.deleted(out[0].0, out[0].1, EntryOutcome::Done, bench.now);
    assert_eq!(bench.counters().in_flight, 1, "the old handle proves nothing");
    assert_eq!(bench.delete_all(), 1);
    assert_eq!(bench.counters().delivered, 1);
}

#[test]
fn failed_delete_entries_are_retried_and_then_left_to_the_lease() {
    let mut bench = Bench::new(false, |_| {});
    let tokens = bench.receive(&[(1, "", "a")]);
    bench.pump.acked(tokens[0], bench.now);
    let mut calls = 0;
    let mut out = Vec::new();
    loop {
        bench.pump.take_deletes(bench.now.plus_ms(20), &mut out);
        let Some(&(token, version)) = out.first() else { break };
        calls += 1;
        bench.pump.deleted(token, version, EntryOutcome::Refused(Class::Retry), bench.now);
    }
    assert_eq!(calls, usize::from(limits::DELETE_ATTEMPTS_MAX));
    bench.pass(31_000);
    assert_eq!(bench.counters().lease_lost, 1);
}

#[test]
fn a_late_ack_never_deletes_what_was_lost() {
    let mut bench = Bench::new(false, |config| config.queue.hold_max = config::Time::from_secs(1));
    let tokens = bench.receive(&[(1, "", "a")]);
    bench.pass(31_000);
    assert_eq!(bench.counters().lease_lost, 1);
    bench.pump.acked(tokens[0], bench.now);
    assert_eq!(bench.delete_all(), 0);
    assert_eq!(bench.counters().delivered, 0);
}

#[test]
fn rejected_messages_go_to_the_dead_letter_and_are_deleted_after_its_ack() {
    let mut bench = Bench::new(false, |config| {
        config.validate.json = true;
        config.dead_letter = Some(config::DeadLetter { topic: "dead".into() });
    });
    let tokens = bench.receive(&[(1, "", "no json"), (2, "", "{}")]);
    assert_eq!(tokens.len(), 2);
    assert_eq!(bench.pump.rejection(tokens[0]).unwrap().code, "body_not_json");
    assert!(bench.pump.rejection(tokens[1]).is_none());
    assert_eq!(bench.delete_all(), 0);
    bench.pump.acked(tokens[0], bench.now);
    bench.pump.acked(tokens[1], bench.now);
    bench.delete_all();
    let counters = bench.counters();
    assert_eq!((counters.rejected, counters.delivered, counters.dead_lettered), (1, 1, 1));
}

#[test]
fn without_a_dead_letter_rejected_messages_go_back_to_the_queue() {
    let mut bench = Bench::new(false, |config| config.validate.json = true);
    assert!(bench.receive(&[(1, "", "no json")]).is_empty());
    assert_eq!(bench.release_all(), 1);
    assert_eq!(bench.counters().released, 1);
}

#[test]
fn a_record_that_is_too_large_is_rejected_alone() {
    let dead = |config: &mut config::Pipeline| {
        config.dead_letter = Some(config::DeadLetter { topic: "dead".into() });
    };
    let mut bench = Bench::new(false, dead);
    let tokens = bench.receive(&[(1, "", "a"), (2, "", "b")]);
    bench.pump.refused(tokens[0], "msg_size_too_large", Class::Reject, false, bench.now);
    assert_eq!(bench.produce(), &tokens[..1]);
    assert_eq!(bench.pump.rejection(tokens[0]).unwrap().stage, "produce");
    // The dead letter refuses it as well: nothing is deleted, the queue keeps it.
    bench.pump.refused(tokens[0], "msg_size_too_large", Class::Reject, false, bench.now);
    assert_eq!(bench.delete_all(), 0);
    assert_eq!(bench.release_all(), 1);
    bench.pump.acked(tokens[1], bench.now);
    bench.delete_all();
    let counters = bench.counters();
    assert_eq!((counters.released, counters.delivered), (1, 1));
}

#[test]
fn a_refused_route_opens_the_breaker_and_one_held_message_probes() {
    let mut bench = Bench::new(false, |_| {});
    let tokens = bench.receive(&[(1, "", "a"), (2, "", "b"), (3, "", "c")]);
    for &token in &tokens {
        bench.pump.refused(token, "topic_authorization_failed", Class::Pause, false, bench.now);
    }
    assert_eq!(bench.pump.may_receive(bench.now), Permit::Wait);
    assert_eq!(bench.pump.state().0, State::Broken);
    bench.pass(1);
    assert!(bench.produce().is_empty());
    bench.pass(600);
    let probe = bench.produce();
    assert_eq!(probe.len(), 1);
    bench.pump.acked(probe[0], bench.now);
    assert_eq!(bench.produce().len(), 2, "the probe's ack frees the others");
    assert_eq!(bench.pump.state().0, State::Running);
}

#[test]
fn silence_of_kafka_stops_receiving_and_any_ack_resumes() {
    let mut bench = Bench::new(false, |_| {});
    let tokens = bench.receive(&[(1, "", "a")]);
    bench.pass(5_100);
    assert_eq!(bench.pump.may_receive(bench.now), Permit::Wait);
    bench.pass(20_000);
    assert_eq!(bench.pump.may_receive(bench.now), Permit::Wait, "the held message is the probe");
    bench.pump.acked(tokens[0], bench.now);
    assert!(matches!(bench.pump.may_receive(bench.now), Permit::Go { messages: 10, .. }));
}

#[test]
fn a_fatal_producer_resends_in_order() {
    let mut bench = Bench::new(false, |_| {});
    let tokens = bench.receive(&[(1, "", "a"), (2, "", "b")]);
    bench.pump.refused(tokens[0], "_fatal", Class::Rebuild, true, bench.now);
    bench.pump.refused(tokens[1], "_purge_queue", Class::Rebuild, false, bench.now);
    assert!(bench.pump.rebuild_wanted());
    bench.pump.sink_is_gone("rebuilding");
    bench.pass(10);
    assert!(bench.produce().is_empty());
    bench.pump.sink_is_ready();
    assert_eq!(bench.produce(), tokens);
}

#[test]
fn a_group_never_overtakes_itself() {
    let mut bench = Bench::new(true, |_| {});
    let first = bench.receive(&[(1, "g", "a"), (2, "g", "b"), (3, "h", "c")]);
    assert_eq!(first.len(), 2, "one message of each group");
    bench.pump.refused(first[0], "request_timed_out", Class::Retry, true, bench.now);
    assert!(bench.produce().is_empty());
    bench.pass(200);
    assert_eq!(bench.produce(), &first[..1]);
    bench.pump.acked(first[0], bench.now);
    let second = bench.produce();
    assert_eq!(second.len(), 1);
    bench.pump.acked(second[0], bench.now);
    bench.pump.acked(first[1], bench.now);
    bench.delete_all();
    assert_eq!(bench.counters().delivered, 3);
}

#[test]
fn a_head_that_goes_back_takes_its_group_along() {
    let mut bench = Bench::new(true, |_| {});
    let first = bench.receive(&[(1, "g", "a"), (2, "g", "b"), (3, "g", "c"), (4, "h", "d")]);
    bench.pump.refused(first[0], "_msg_timed_out", Class::Release, true, bench.now);
    assert!(bench.produce().is_empty());
    assert_eq!(bench.release_all(), 3);
    let counters = bench.counters();
    assert_eq!((counters.released, counters.in_flight, counters.ambiguous), (3, 1, 1));
}

#[test]
fn a_drain_takes_what_comes_and_gives_back_what_kafka_has_not() {
    let mut bench = Bench::new(false, |_| {});
    let tokens = bench.receive(&[(1, "", "a"), (2, "", "b")]);
    let reservation = bench.permit();
    bench.pump.set_mode(Mode::Drain);
    assert_eq!(bench.pump.may_receive(bench.now), Permit::Stop);
    assert!(!bench.pump.is_done());
    bench.pump.acked(tokens[0], bench.now);
    assert_eq!(bench.pump.release_unfinished(bench.now), 1);
    bench.release_all();
    bench.delete_all();
    assert!(!bench.pump.is_done(), "a receive is still in flight");
    bench.pump.receive_failed("closed", Class::Retry, reservation, bench.now);
    assert!(bench.pump.is_done());
    let counters = bench.counters();
    assert_eq!((counters.delivered, counters.released), (1, 1));
}

#[test]
fn an_abort_waits_for_answers_that_are_on_their_way_and_gives_them_back_too() {
    let mut bench = Bench::new(false, |_| {});
    bench.receive(&[(1, "", "a")]);
    let young = bench.permit();
    bench.pump.set_mode(Mode::Drain);
    assert_eq!(bench.pump.release_unfinished(bench.now), 1);
    assert_eq!(bench.release_all(), 1);
    assert!(bench.pump.may_bring_messages(bench.now), "an answer may be on its way");
    bench.pass(2_000);
    assert!(!bench.pump.may_bring_messages(bench.now), "an idle long poll");
    bench.answer(young, &[(2, "", "b"), (3, "", "c")]);
    assert_eq!(bench.pump.release_unfinished(bench.now), 2);
    assert_eq!(bench.release_all(), 2);
    assert!(bench.pump.is_done());
}

#[test]
fn errors_of_the_queue_never_become_a_hot_loop() {
    let mut bench = Bench::new(false, |_| {});
    let mut calls = 0;
    let end = bench.now.plus_ms(60_000);
    while bench.now < end {
        if let Permit::Go { reservation, .. } = bench.pump.may_receive(bench.now) {
            calls += 1;
            bench.pump.receive_failed("AccessDenied", Class::Pause, reservation, bench.now);
        }
        bench.pass(5);
    }
    assert!((4..=12).contains(&calls), "{calls} calls in a minute");
}

#[test]
fn empty_answers_that_come_at_once_are_slowed_down() {
    let mut bench = Bench::new(false, |_| {});
    let mut calls = 0;
    let end = bench.now.plus_ms(60_000);
    while bench.now < end {
        if let Permit::Go { reservation, .. } = bench.pump.may_receive(bench.now) {
            calls += 1;
            let received =
                Received { batch: Batch::default(), asked: 10, unusable: 0, took_us: 300, wall_ms: 0 };
            bench.pump.received(received, reservation, bench.now);
        }
        bench.pass(5);
    }
    assert!(calls < 150, "{calls} calls in a minute");
}
