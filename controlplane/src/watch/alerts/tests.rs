//! The book over time: what is told, what is not, and what a restart remembers.

use dataplane::config::Time;

use super::*;
use crate::watch::alerts::silence::Matcher;

fn rule(name: &str) -> Rule {
    let text = format!(
        "[[rule]]\nname = \"{name}\"\nsummary = \"It is deep.\"\nsource = \"queue_visible_messages\"\nabove = 10\n\
         clear = 5\nfor = \"2s\"\nclear_for = \"1s\"\nseverity = \"page\"\nlabels = {{ team = \"pay\" }}"
    );
    rule::parse(&text).unwrap().remove(0)
}

fn book() -> Book {
    let mut book = Book::default();
    book.set_rules(Origin::Default, vec![rule("deep")]);
    book
}

fn at(seconds: i64) -> Moment {
    Moment { wall_ms: seconds * 1_000, mono_ms: seconds as u64 * 1_000 }
}

fn look(book: &mut Book, second: i64, value: f64) -> Outcome {
    let readings = |_: &Rule| vec![Reading { subject: "orders".to_owned(), value: Some(value) }];
    book.evaluate(&readings, at(second))
}

fn kinds(outcome: &Outcome) -> Vec<NoticeKind> {
    outcome.notices.iter().map(|notice| notice.kind).collect()
}

fn key() -> Key {
    Key { rule: "deep".to_owned(), subject: "orders".to_owned() }
}

fn silence(starts: i64, ends: i64) -> Silence {
    let matchers = vec![Matcher { label: "team".to_owned(), value: "pay".to_owned() }];
    let (created_by, why) = ("ada".to_owned(), "upgrade".to_owned());
    Silence { id: 7, matchers, starts_ms: starts * 1_000, ends_ms: ends * 1_000, created_by, why }
}

#[test]
fn it_is_told_once_when_it_fires_and_once_when_it_is_well() {
    let mut book = book();
    let mut told = Vec::new();
    for second in 0..20 {
        let outcome = look(&mut book, second, if second < 10 { 50.0 } else { 1.0 });
        told.extend(kinds(&outcome).into_iter().map(|kind| (second, kind)));
    }
    assert_eq!(told, [(2, NoticeKind::Firing), (11, NoticeKind::Resolved)]);
    let alerts = book.active(20_000);
    assert_eq!(
        (alerts[0].state, alerts[0].since_ms, alerts[0].resolved_ms),
        (AlertState::Resolved, 2_000, Some(11_000))
    );
    look(&mut book, 11 + 3_601, 1.0);
    assert!(book.active(4_000_000).is_empty(), "an hour later it is history");
}

#[test]
fn what_is_told_has_figures_labels_and_a_runbook() {
    let mut book = book();
    look(&mut book, 0, 50.0);
    look(&mut book, 2, 50.5);
    let alert = &book.active(3_000)[0];
    assert_eq!(alert.description, "pipeline orders: queue_visible_messages is 50.500; above 10 is bad");
    assert_eq!(alert.labels["pipeline"], "orders");
    assert_eq!(alert.labels["team"], "pay");
    assert_eq!(alert.labels["severity"], "page");
    assert_eq!(alert.runbook, "docs/runbooks/deep.md");
}

#[test]
fn a_silenced_alert_is_shown_and_told_only_when_the_silence_ends() {
    let mut book = book();
    book.set_silences(vec![silence(0, 5)]);
    let mut told = Vec::new();
    for second in 0..8 {
        told.extend(kinds(&look(&mut book, second, 50.0)).into_iter().map(|kind| (second, kind)));
        if second == 3 {
            let alert = &book.active(3_000)[0];
            assert_eq!((alert.state, alert.silenced_by.as_slice()), (AlertState::Firing, &[7][..]));
        }
    }
    assert_eq!(told, [(5, NoticeKind::Firing)]);
}

#[test]
fn what_came_and_went_in_silence_is_not_told_at_all() {
    let mut book = book();
    book.set_silences(vec![silence(0, 100)]);
    for second in 0..20 {
        let outcome = look(&mut book, second, if second < 10 { 50.0 } else { 1.0 });
        assert_eq!(kinds(&outcome), [], "{second}");
    }
    // Well again after the silence, but nobody was told that it was bad.
    book.set_silences(Vec::new());
    assert_eq!(kinds(&look(&mut book, 21, 1.0)), []);
}

#[test]
fn it_is_told_again_until_somebody_takes_it_on() {
    let mut book = book();
    look(&mut book, 0, 50.0);
    assert_eq!(kinds(&look(&mut book, 2, 50.0)), [NoticeKind::Firing]);
    let four_hours = REMIND_MS / 1_000;
    assert_eq!(kinds(&look(&mut book, 1 + four_hours, 50.0)), []);
    assert_eq!(kinds(&look(&mut book, 2 + four_hours, 50.0)), [NoticeKind::Reminder]);
    let by = Acknowledged { by: "ada".to_owned(), at_ms: 1, note: "on it".to_owned() };
    let event = book.acknowledge(&key(), by.clone()).unwrap();
    assert_eq!((event.event.as_str(), event.text.as_str()), ("acknowledged", "ada: on it"));
    assert_eq!(kinds(&look(&mut book, 2 + 3 * four_hours, 50.0)), []);
    assert_eq!(book.active(1)[0].acknowledged.as_ref(), Some(&by));
    // It is still told when it is well, and a new outbreak is nobody's yet.
    let second = 3 + 3 * four_hours;
    look(&mut book, second, 1.0);
    assert_eq!(kinds(&look(&mut book, second + 1, 1.0)), [NoticeKind::Resolved]);
    look(&mut book, second + 2, 50.0);
    assert_eq!(kinds(&look(&mut book, second + 4, 50.0)), [NoticeKind::Firing]);
    assert_eq!(book.active(1)[0].acknowledged, None);
}

#[test]
fn only_what_fires_can_be_taken_on() {
    let mut book = book();
    let by = Acknowledged { by: "ada".to_owned(), at_ms: 1, note: String::new() };
    assert!(book.acknowledge(&key(), by.clone()).unwrap_err().contains("does not fire"));
    look(&mut book, 0, 50.0);
    assert!(book.acknowledge(&key(), by).is_err(), "pending is not firing");
}

#[test]
fn a_restart_remembers_what_was_told() {
    let mut book = book();
    look(&mut book, 0, 50.0);
    assert!(look(&mut book, 2, 50.0).changed);
    let kept: Vec<(Key, Kept)> = book
        .kept()
        .into_iter()
        .map(|(key, kept)| (key, serde_json::from_str(&serde_json::to_string(&kept).unwrap()).unwrap()))
        .collect();
    assert_eq!(kept.len(), 1);
    let mut again = Book::default();
    again.set_rules(Origin::Default, vec![rule("deep")]);
    again.restore(kept, at(100));
    assert_eq!(kinds(&look(&mut again, 101, 50.0)), []);
    assert_eq!(again.active(101_000)[0].since_ms, 2_000);
    look(&mut again, 102, 1.0);
    assert_eq!(kinds(&look(&mut again, 103, 1.0)), [NoticeKind::Resolved]);
}

#[test]
fn a_rule_of_the_api_replaces_one_of_the_file_and_that_one_which_ships() {
    let mut book = book();
    let off = Rule { enabled: false, ..rule("deep") };
    book.set_rules(Origin::File, vec![Rule { above: Some(99.0), ..rule("deep") }, rule("mine")]);
    assert_eq!(book.rule("deep").unwrap().1, Origin::File);
    book.set_rules(Origin::Api, vec![off]);
    assert_eq!(
        book.rules().map(|(rule, origin)| (rule.name.as_str(), origin)).collect::<Vec<_>>(),
        [("deep", Origin::Api), ("mine", Origin::File)]
    );
    book.set_rules(Origin::Api, Vec::new());
    assert_eq!(book.rule("deep").unwrap().0.above, Some(99.0));
    book.set_rules(Origin::File, Vec::new());
    assert_eq!(book.rule("deep").unwrap().1, Origin::Default);
    assert!(book.rule("mine").is_none());
}

#[test]
fn what_is_switched_off_or_gone_is_forgotten_and_written_down() {
    let mut book = book();
    look(&mut book, 0, 50.0);
    look(&mut book, 2, 50.0);
    book.set_rules(Origin::Api, vec![Rule { enabled: false, ..rule("deep") }]);
    let outcome = look(&mut book, 3, 50.0);
    assert_eq!(outcome.events[0].event, "forgotten");
    assert!(outcome.changed && book.active(3_000).is_empty() && book.kept().is_empty());
}

#[test]
fn tracks_are_bounded_and_what_is_left_out_is_counted() {
    let mut book = book();
    let many = |_: &Rule| {
        (0..TRACKS_MAX + 5).map(|n| Reading { subject: n.to_string(), value: Some(50.0) }).collect()
    };
    book.evaluate(&many, at(0));
    assert_eq!((book.active(0).len(), book.left_out()), (TRACKS_MAX, 5));
}

#[test]
fn a_test_notice_says_that_it_is_one() {
    let book = book();
    let notice = book.test_notice("deep", 5).unwrap();
    assert_eq!(notice.kind, NoticeKind::Test);
    assert!(notice.alert.description.contains("nothing is wrong"));
    assert!(book.test_notice("nothing", 5).is_none());
}

#[test]
fn a_hold_of_zero_tells_at_once() {
    let mut book = Book::default();
    book.set_rules(Origin::File, vec![Rule { hold: Time::from_secs(0), ..rule("deep") }]);
    assert_eq!(kinds(&look(&mut book, 0, 11.0)), [NoticeKind::Firing]);
}
