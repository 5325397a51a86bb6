//! Claims about changes of a running pump: modes, limits, and configurations taken between two messages.

use super::*;
use crate::config::{Bytes, Rate, Time};
use crate::message::Course;

impl Bench {
    fn apply(&mut self, change: impl FnOnce(&mut config::Pipeline)) -> Result<(), String> {
        let mut new = self.pump.config().clone();
        change(&mut new);
        let prepared = self.pump.prepare(&new)?;
        self.pump.change(prepared, self.now);
        Ok(())
    }

    /// Receives one message after another, each acked and deleted at once, for so long: messages received.
    fn run(&mut self, ms: u64) -> u64 {
        let before = self.counters().received;
        let end = self.now.plus_ms(ms);
        let mut key = u128::from(self.now.0);
        while self.now < end {
            while self.pump.receives_wanted(self.now) > 0 {
                key += 1;
                for token in self.receive(&[(key, "", "0123456789")]) {
                    self.pump.acked(token, self.now);
                }
            }
            assert_eq!(self.pump.may_receive(self.now), Permit::Wait);
            while self.delete_all() > 0 {}
            self.pass(5);
        }
        self.counters().received - before
    }
}

#[test]
fn a_limit_holds_receiving_up_and_nothing_else() {
    let mut bench = Bench::new(false, |_| {});
    bench.pump.set_rate(Rate { messages_per_s: Some(100), ..Rate::default() }, bench.now);
    let received = bench.run(20_000);
    assert!((1_960..=2_040).contains(&received), "{received} in 20 s");
    assert!(bench.pump.report().rate_limited && bench.pump.state().0 == State::Running);
    bench.pump.set_rate(Rate { requests_per_s: Some(40), ..Rate::default() }, bench.now);
    let received = bench.run(20_000);
    // Each message costs a receive and a delete.
    assert!((380..=420).contains(&received), "{received} in 20 s");
    bench.pump.set_rate(Rate::default(), bench.now);
    assert!(!bench.pump.report().rate_limited);
    assert_ne!(bench.pump.receives_wanted(bench.now), 0);
}

#[test]
fn another_limit_stays_until_the_configured_one_changes() {
    let mut bench = Bench::new(false, |_| {});
    let limit = Rate { messages_per_s: Some(7), ..Rate::default() };
    bench.pump.set_rate(limit, bench.now);
    bench.apply(|config| config.queue.wait_time = Time::from_secs(3)).unwrap();
    assert_eq!(bench.pump.report().rate, limit);
    let configured = Rate { bytes_per_s: Some(Bytes(1 << 20)), ..Rate::default() };
    bench.apply(|config| config.rate = configured).unwrap();
    assert_eq!(bench.pump.report().rate, configured);
}

#[test]
fn a_stopped_pipeline_gives_back_what_is_late_and_can_be_started_again() {
    let mut bench = Bench::new(false, |_| {});
    let tokens = bench.receive(&[(1, "", "a"), (2, "", "b")]);
    let late = bench.permit();
    bench.pump.set_mode(Mode::Stop(bench.now.plus_ms(1_000)));
    assert_eq!(bench.pump.may_receive(bench.now), Permit::Wait, "its pollers stay for the start");
    assert_eq!(bench.pump.state().0, State::Draining);
    bench.pump.acked(tokens[0], bench.now);
    bench.delete_all();
    bench.pass(999);
    assert_eq!(bench.release_all(), 0, "there is time left");
    bench.pass(1);
    assert_eq!(bench.release_all(), 1);
    assert_eq!(bench.pump.state().0, State::Draining, "a receive is in flight");
    // What a receive brings that was in flight goes back as well, if Kafka does not take it.
    let batch = Batch::default();
    let nothing = Received { batch, asked: 10, unusable: 0, took_us: 900_000, wall_ms: 0 };
    bench.pump.received(nothing, late, bench.now);
    assert_eq!(bench.pump.state().0, State::Stopped);
    bench.pump.set_mode(Mode::Run);
    assert_eq!(bench.pump.state().0, State::Running);
    let tokens = bench.receive(&[(3, "", "c")]);
    bench.pump.acked(tokens[0], bench.now);
    bench.delete_all();
    let counters = bench.counters();
    assert_eq!((counters.delivered, counters.released, counters.in_flight), (2, 1, 0));
}

#[test]
fn orders_in_any_sequence_end_where_a_table_says() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Is {
        Running,
        Paused,
        Stopped,
        Drained,
    }
    let mut random = Random::new(11);
    for _ in 0..200 {
        let mut bench = Bench::new(false, |_| {});
        let mut model = Is::Running;
        for _ in 0..30 {
            let drains = random.below(20) == 0;
            let order = random.below(if drains { 5 } else { 4 });
            match order {
                0 => bench.pump.set_mode(Mode::Pause),
                1 => bench.pump.resume(),
                2 => bench.pump.set_mode(Mode::Stop(bench.now)),
                3 => bench.pump.set_mode(Mode::Run),
                _ => bench.pump.set_mode(Mode::Drain),
            }
            model = match (model, order) {
                (Is::Drained, _) | (_, 4) => Is::Drained,
                (Is::Stopped, 0..=2) | (_, 2) => Is::Stopped,
                (Is::Running | Is::Paused, 0) => Is::Paused,
                _ => Is::Running,
            };
            let shown = match model {
                Is::Running => State::Running,
                Is::Paused => State::Paused,
                Is::Stopped | Is::Drained => State::Stopped,
            };
            assert_eq!(bench.pump.state().0, shown);
            match model {
                Is::Running => assert_eq!(bench.pump.receives_wanted(bench.now), 1),
                Is::Paused | Is::Stopped => assert_eq!(bench.pump.may_receive(bench.now), Permit::Wait),
                Is::Drained => assert_eq!(bench.pump.may_receive(bench.now), Permit::Stop),
            }
        }
    }
}

/// A message's topic, by name.
fn topic(bench: &Bench, token: Token) -> String {
    let Course { topic, .. } = bench.pump.course(token);
    bench.pump.topics[usize::from(topic)].clone()
}

#[test]
fn what_is_at_the_producer_keeps_its_topic_and_what_comes_later_takes_the_new_one() {
    let mut bench = Bench::new(false, |_| {});
    let before = bench.receive(&[(1, "", "a")]);
    bench.apply(|config| config.route.topic = "new".into()).unwrap();
    let after = bench.receive(&[(2, "", "b")]);
    assert_eq!((topic(&bench, before[0]), topic(&bench, after[0])), ("t".to_owned(), "new".to_owned()));
    bench.pump.acked(before[0], bench.now);
    bench.pump.acked(after[0], bench.now);
    assert_eq!(bench.delete_all(), 2);
    // Back and forth takes no further numbers.
    for _ in 0..10 {
        bench.apply(|config| config.route.topic = "t".into()).unwrap();
        bench.apply(|config| config.route.topic = "new".into()).unwrap();
    }
    assert_eq!(bench.pump.topics, ["t", "new"]);
    assert_eq!(bench.counters().delivered, 2);
}

#[test]
fn a_route_that_was_refused_is_mended_by_another_topic() {
    let mut bench = Bench::new(false, |_| {});
    let tokens = bench.receive(&[(1, "", "a"), (2, "", "b"), (3, "", "c")]);
    bench.pump.refused(tokens[0], "UNKNOWN_TOPIC_OR_PART", Class::Pause, false, bench.now);
    bench.pump.refused(tokens[1], "UNKNOWN_TOPIC_OR_PART", Class::Pause, false, bench.now);
    assert_eq!(bench.pump.state().0, State::Broken);
    bench.apply(|config| config.route.topic = "there".into()).unwrap();
    assert_eq!(bench.release_all(), 2, "to be judged anew");
    // Its report comes after the change, and says nothing about the new topic.
    bench.pump.refused(tokens[2], "UNKNOWN_TOPIC_OR_PART", Class::Pause, false, bench.now);
    assert_eq!(bench.pump.state().0, State::Running);
    assert_eq!(bench.release_all(), 1);
    let after = bench.receive(&[(4, "", "d")]);
    assert_eq!(topic(&bench, after[0]), "there");
    bench.pump.acked(after[0], bench.now);
    bench.delete_all();
    let counters = bench.counters();
    assert_eq!((counters.delivered, counters.released, counters.in_flight), (1, 3, 0));
}

#[test]
fn a_topic_that_waits_alone_is_forgotten_with_its_route() {
    let mut bench = Bench::new(false, |config| {
        config.type_rule = config::TypeRule::JsonPointer { pointer: "/t".into() };
        config.route.topic = "${type}".into();
        config.route.topics = vec!["a".into(), "b".into()];
    });
    let tokens = bench.receive(&[(1, "", r#"{"t":"a"}"#), (2, "", r#"{"t":"b"}"#)]);
    bench.pump.refused(tokens[1], "UNKNOWN_TOPIC_OR_PART", Class::Pause, false, bench.now);
    bench.pump.acked(tokens[0], bench.now);
    assert!(bench.pump.state().1.contains("topic b is refused"));
    bench.apply(|config| config.route.topics = vec!["a".into(), "c".into()]).unwrap();
    assert_eq!(bench.pump.state(), (State::Running, String::new()));
    assert_eq!(bench.release_all(), 1);
    let tokens = bench.receive(&[(3, "", r#"{"t":"c"}"#)]);
    assert_eq!(topic(&bench, tokens[0]), "c");
}

#[test]
fn a_change_that_contradicts_the_queue_is_refused_and_changes_nothing() {
    let mut bench = Bench::new(true, |_| {});
    let refused = bench.apply(|config| {
        config.route.key = Some(config::Key::MessageId);
        config.queue.pollers_max = 3;
    });
    assert!(refused.unwrap_err().contains("route.key"));
    assert_eq!(bench.pump.config().queue.pollers_max, 320);
    assert_eq!(bench.receive(&[(1, "g", "a"), (2, "g", "b")]).len(), 1, "order is kept as before");
}

#[test]
fn a_contradiction_is_mended_without_a_restart() {
    let mut config = config::Pipeline::new("p", "http://q", &["b:1"], "t");
    config.route.key = Some(config::Key::MessageId);
    let mut pump = Pump::new(config, 1);
    let facts = QueueFacts {
        fifo: true,
        visibility_timeout_s: 30,
        receive_count_max: None,
        message_bytes_max: 1 << 20,
    };
    pump.facts(&facts).unwrap_err();
    pump.credentials_arrived();
    pump.sink_is_ready();
    assert_eq!(pump.state().0, State::Starting);
    let mut bench = Bench { pump, now: Tick(1000 * MS) };
    bench.apply(|config| config.route.key = None).unwrap();
    assert_eq!(bench.pump.state(), (State::Running, String::new()));
    assert_eq!(bench.receive(&[(1, "g", "a"), (2, "g", "b")]).len(), 1, "it is a FIFO queue");
}

#[test]
fn more_topics_than_a_process_may_name_are_refused() {
    let mut bench = Bench::new(false, |_| {});
    for n in 1..limits::TOPICS_MAX {
        bench.apply(|config| config.route.topic = format!("t-{n}")).unwrap();
    }
    let refused = bench.apply(|config| config.route.topic = "one-more".into());
    assert!(refused.unwrap_err().contains("restart to name others"));
    bench.apply(|config| config.route.topic = "t".into()).unwrap();
}

#[test]
fn leases_are_never_reckoned_longer_than_what_may_have_been_asked_for() {
    let mut bench = Bench::new(false, |_| {});
    let in_force = |bench: &Bench| bench.pump.terms.visibility.as_secs();
    bench.apply(|config| config.queue.visibility_timeout = Some(Time::from_secs(300))).unwrap();
    assert_eq!((bench.pump.visibility_s(), in_force(&bench)), (300, 30));
    bench.pass(100);
    bench.pass(24_000);
    assert_eq!(in_force(&bench), 30, "an answer to a long poll from before may still come");
    bench.pass(2_000);
    assert_eq!(in_force(&bench), 300);
    bench.apply(|config| config.queue.visibility_timeout = Some(Time::from_secs(60))).unwrap();
    assert_eq!((bench.pump.visibility_s(), in_force(&bench)), (60, 60), "the shorter one counts at once");
    // Up and down again within one long poll: the shortest of all that were asked for.
    bench.apply(|config| config.queue.visibility_timeout = Some(Time::from_secs(20))).unwrap();
    bench.apply(|config| config.queue.visibility_timeout = Some(Time::from_secs(600))).unwrap();
    assert_eq!(in_force(&bench), 20);
    bench.pass(100);
    bench.pass(26_000);
    assert_eq!(in_force(&bench), 600);
}

#[test]
fn budgets_fleets_and_the_breaker_change_at_once() {
    let mut bench = Bench::new(false, |_| {});
    bench
        .apply(|config| {
            config.budget.in_flight_messages_max = 10;
            config.breaker.ack_stall = Time::from_secs(1);
            config.queue.deleters_max = 2;
        })
        .unwrap();
    bench.receive(&[(1, "", "a")]);
    assert_eq!(bench.pump.may_receive(bench.now), Permit::Wait, "nine places are no room for ten");
    assert_eq!(bench.pump.deleters_wanted(), 2);
    bench.pass(1_100);
    assert_eq!(bench.pump.state().0, State::Broken, "no ack for a second");
    bench.apply(|config| config.budget.in_flight_messages_max = 1_000).unwrap();
    assert!(bench.pump.config().kafka == config::Pipeline::new("p", "http://q", &["b:1"], "t").kafka);
}

#[test]
fn what_needs_a_restart_is_left_as_it_was() {
    let mut bench = Bench::new(false, |_| {});
    bench
        .apply(|config| {
            config.queue.url = "http://other".into();
            config.kafka.brokers = vec!["c:1".into()];
            config.queue.pollers_max = 5;
        })
        .unwrap();
    let config = bench.pump.config();
    assert_eq!((config.queue.url.as_str(), config.kafka.brokers[0].as_str()), ("http://q", "b:1"));
    assert_eq!(config.queue.pollers_max, 5);
}
