//! Claims about partial trouble: a topic of several, deletes that fail, calls for visibility.

use super::*;

/// A pump whose messages go to the topic that their body names: `a` or `b`.
fn two_topics() -> Bench {
    Bench::new(false, |config| {
        config.type_rule = config::TypeRule::JsonPointer { pointer: "/t".into() };
        config.route.topic = "${type}".into();
        config.route.topics = vec!["a".into(), "b".into()];
        config.budget.in_flight_messages_max = 80;
    })
}

const A: &str = r#"{"t":"a"}"#;
const B: &str = r#"{"t":"b"}"#;

fn refuse(bench: &mut Bench, token: Token) {
    bench.pump.refused(token, "UNKNOWN_TOPIC_OR_PART", Class::Pause, false, bench.now);
}

#[test]
fn a_refused_topic_waits_alone_and_goes_on_after_its_probe() {
    let mut bench = two_topics();
    let tokens = bench.receive(&[(1, "", A), (2, "", B), (3, "", B)]);
    refuse(&mut bench, tokens[1]);
    refuse(&mut bench, tokens[2]);
    bench.pump.acked(tokens[0], bench.now);
    let (state, reason) = bench.pump.state();
    assert_eq!(state, State::Running);
    assert!(reason.contains("topic b is refused: UNKNOWN_TOPIC_OR_PART; 2 of"), "{reason}");

    let later = bench.receive(&[(4, "", A), (5, "", B)]);
    assert_eq!(later.len(), 1, "only the healthy topic's message goes");
    bench.pass(1_000);
    let probe = bench.produce();
    assert_eq!(probe.len(), 1);
    refuse(&mut bench, probe[0]);
    bench.pass(500);
    assert!(bench.produce().is_empty());
    bench.pass(1_600);
    let probe = bench.produce();
    assert_eq!(probe.len(), 1);
    bench.pump.acked(probe[0], bench.now);
    assert_eq!(bench.produce().len(), 2, "the others of that topic");
    assert_eq!(bench.pump.state(), (State::Running, String::new()));
}

#[test]
fn what_waits_for_a_topic_leaves_three_quarters_of_the_budget_to_the_others() {
    let mut bench = two_topics();
    let mut key = 0;
    for _ in 0..20 {
        let messages: Vec<_> = (0..3).map(|_| (key += 1, key)).map(|((), key)| (key, "", B)).collect();
        for token in bench.receive(&messages) {
            refuse(&mut bench, token);
        }
        bench.release_all();
    }
    let counters = bench.counters();
    assert_eq!((counters.in_flight, counters.released), (20, 40));
    let healthy = bench.receive(&[(1_000, "", A)]);
    bench.pump.acked(healthy[0], bench.now);
    bench.delete_all();
    assert_eq!(bench.counters().delivered, 1);
}

#[test]
fn deletes_that_are_denied_rest_and_stop_the_receiving() {
    let mut bench = Bench::new(false, |_| {});
    let mut key = 0;
    for _ in 0..30 {
        key += 1;
        let tokens = bench.receive(&[(key, "", "x")]);
        bench.pump.acked(tokens[0], bench.now);
    }
    let (mut calls, mut receives) = (0, 0);
    let end = bench.now.plus_ms(120_000);
    while bench.now < end {
        let mut out = Vec::new();
        bench.pump.take_deletes(bench.now, &mut out);
        if !out.is_empty() {
            calls += 1;
            bench.pump.delete_call_failed(&out, "AccessDenied", Class::Pause, bench.now);
        }
        if bench.pump.receives_wanted(bench.now) > 0 {
            receives += 1;
            key += 1;
            let tokens = bench.receive(&[(key, "", "x")]);
            assert_eq!(bench.pump.receives_wanted(bench.now), 0, "one message finds out");
            bench.pump.acked(tokens[0], bench.now);
        }
        bench.pass(5);
    }
    assert!((4..=12).contains(&calls), "{calls} delete calls in two minutes");
    assert!((1..=8).contains(&receives), "{receives} receives although nothing can be deleted");
    let (state, reason) = bench.pump.state();
    assert_eq!(state, State::Broken);
    assert!(reason.starts_with("deleting fails: AccessDenied"), "{reason}");
}

#[test]
fn deletes_go_on_as_soon_as_one_works() {
    let mut bench = Bench::new(false, |_| {});
    let tokens = bench.receive(&[(1, "", "a"), (2, "", "b")]);
    tokens.iter().for_each(|&token| bench.pump.acked(token, bench.now));
    let mut out = Vec::new();
    bench.pass(20);
    bench.pump.take_deletes(bench.now, &mut out);
    bench.pump.delete_call_failed(&out, "ThrottlingException", Class::Throttled, bench.now);
    assert_eq!(bench.delete_all(), 0);
    bench.pass(100);
    assert_eq!(bench.delete_all(), 2);
    assert_eq!(bench.pump.state().0, State::Running);
    assert!(matches!(bench.pump.may_receive(bench.now), Permit::Go { messages: 10, .. }));
}

#[test]
fn visibility_calls_run_beside_each_other_and_one_alone_after_a_failure() {
    let mut bench = Bench::new(false, |_| {});
    for first in (0..400_u128).step_by(10) {
        let keys: Vec<_> = (first..first + 10).map(|key| (key, "", "x")).collect();
        bench.receive(&keys);
    }
    bench.pass(15_000);
    assert_eq!(bench.pump.visibility_calls_wanted(bench.now), limits::VISIBILITY_CALLS_MAX);
    let mut calls = Vec::new();
    loop {
        let mut tokens = Vec::new();
        bench.pump.take_extends(bench.now, &mut tokens);
        if tokens.is_empty() {
            break;
        }
        calls.push(tokens);
    }
    assert_eq!(calls.len(), limits::VISIBILITY_CALLS_MAX);
    for _ in &calls {
        bench.pump.visibility_call_failed("extend", "ThrottlingException", Class::Throttled, bench.now);
    }
    assert_eq!(bench.pump.visibility_calls_wanted(bench.now), 0, "all of them rest");
    bench.pass(100);
    assert_eq!(bench.pump.visibility_calls_wanted(bench.now), 1);
}

#[test]
fn a_drain_gives_each_follower_of_a_group_back_once() {
    let mut bench = Bench::new(true, |_| {});
    bench.receive(&[(1, "g", "a"), (2, "g", "b"), (3, "g", "c")]);
    bench.pump.set_mode(Mode::Drain);
    bench.pump.release_unfinished(bench.now);
    let mut out = Vec::new();
    bench.pump.take_releases(bench.now, &mut out);
    assert_eq!(out.len(), 3, "{out:?}");
}
