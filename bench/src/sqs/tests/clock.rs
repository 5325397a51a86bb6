//! Visibility, delays, receipt handles, redrive, retention and the in-flight cap, under the test's clock.

use super::client::Clocked;
use crate::sqs::OutMessage;
use crate::sqs::ledger::Kind;

fn one() -> Clocked {
    let mut clocked = Clocked::new(&[]);
    clocked.send(OutMessage::new("a")).unwrap();
    clocked
}

#[test]
fn a_message_is_hidden_until_its_visibility_ends_and_then_comes_again() {
    let mut clocked = one();
    assert_eq!(clocked.bodies(10, 30), ["a"]);
    assert_eq!(clocked.depth(), (0, 1, 0));
    clocked.pass(29);
    assert!(clocked.bodies(10, 30).is_empty());
    clocked.pass(1);
    assert_eq!(clocked.depth(), (1, 0, 0));
    let slots = clocked.try_receive(10, 30).unwrap();
    assert_eq!(clocked.queue.slot(slots[0]).receive_count, 2);
}

#[test]
fn timers_of_different_lengths_end_each_at_its_own_time() {
    let mut clocked = Clocked::new(&[]);
    for (number, visibility_s) in [40, 5, 20, 10].into_iter().enumerate() {
        clocked.send(OutMessage::new(number.to_string())).unwrap();
        assert_eq!(clocked.bodies(1, visibility_s), [number.to_string()]);
    }
    for (seconds, body) in [(5, "1"), (5, "3"), (10, "2"), (20, "0")] {
        clocked.pass(seconds);
        assert_eq!(clocked.bodies(10, 43_200), [body]);
    }
}

#[test]
fn visibility_zero_brings_each_message_once_a_receive_and_leaves_it_visible() {
    let mut clocked = one();
    clocked.send(OutMessage::new("b")).unwrap();
    assert_eq!(clocked.bodies(10, 0), ["a", "b"]);
    assert_eq!(clocked.depth(), (2, 0, 0));
    assert_eq!(clocked.bodies(10, 0), ["a", "b"]);
}

#[test]
fn a_delayed_message_comes_when_its_delay_is_over() {
    let mut clocked = Clocked::new(&[("DelaySeconds", "7")]);
    clocked.send(OutMessage::new("queue's")).unwrap();
    clocked.send(OutMessage { delay_s: Some(3), ..OutMessage::new("own") }).unwrap();
    clocked.send(OutMessage { delay_s: Some(0), ..OutMessage::new("none") }).unwrap();
    assert_eq!(clocked.depth(), (1, 0, 2));
    assert_eq!(clocked.bodies(10, 30), ["none"]);
    clocked.pass(3);
    assert_eq!(clocked.bodies(10, 30), ["own"]);
    clocked.pass(4);
    assert_eq!(clocked.bodies(10, 30), ["queue's"]);
    let refused = clocked.send(OutMessage { delay_s: Some(901), ..OutMessage::new("long") });
    assert_eq!(refused.unwrap_err().code, "InvalidParameterValue");
}

#[test]
fn a_delete_takes_the_message_out_also_after_its_visibility_ended() {
    let mut clocked = one();
    let (_, handle) = clocked.receive(1, 30).remove(0);
    clocked.pass(31);
    assert_eq!(clocked.depth(), (1, 0, 0));
    clocked.delete(&handle, true).unwrap();
    assert_eq!(clocked.depth(), (0, 0, 0));
    assert!(!clocked.queue.has_visible() || clocked.bodies(1, 30).is_empty());
    clocked.delete(&handle, true).unwrap();
    assert_eq!(clocked.kinds().last(), Some(&Kind::DeleteAbsent));
}

#[test]
fn a_place_used_again_does_not_answer_to_the_old_handle_or_come_twice() {
    let mut clocked = one();
    let (_, old) = clocked.receive(1, 30).remove(0);
    clocked.pass(31);
    assert_eq!(clocked.depth(), (1, 0, 0), "it is listed as visible when it is deleted");
    clocked.delete(&old, false).unwrap();
    clocked.send(OutMessage::new("first")).unwrap();
    clocked.send(OutMessage::new("second")).unwrap();
    clocked.delete(&old, false).unwrap();
    assert_eq!(clocked.bodies(10, 30), ["first", "second"]);
    assert!(clocked.bodies(10, 30).is_empty());
    assert_eq!(clocked.change(&old, 5).unwrap_err().code, "MessageNotInflight");
}

#[test]
fn a_stale_handle_deletes_nothing_and_is_refused_only_where_asked() {
    let mut clocked = one();
    let (_, stale) = clocked.receive(1, 1).remove(0);
    clocked.pass(2);
    let (_, fresh) = clocked.receive(1, 30).remove(0);
    assert_ne!(stale, fresh);
    clocked.delete(&stale, false).unwrap();
    assert_eq!(clocked.depth(), (0, 1, 0));
    assert_eq!(clocked.delete(&stale, true).unwrap_err().code, "InvalidParameterValue");
    assert_eq!(clocked.kinds().iter().filter(|kind| **kind == Kind::DeleteStale).count(), 2);
    clocked.delete(&fresh, true).unwrap();
    assert_eq!(clocked.depth(), (0, 0, 0));
}

#[test]
fn text_that_is_no_handle_is_refused() {
    let mut clocked = one();
    let (_, handle) = clocked.receive(1, 30).remove(0);
    let mut forged = handle.clone().into_bytes();
    forged[11] ^= 1;
    let forged = String::from_utf8(forged).unwrap();
    for text in ["", "AQEB", "no handle", &handle[..119], &forged, &"ü".repeat(60)] {
        assert_eq!(clocked.delete(text, false).unwrap_err().code, "ReceiptHandleIsInvalid", "{text}");
        assert_eq!(clocked.change(text, 1).unwrap_err().code, "ReceiptHandleIsInvalid", "{text}");
    }
    assert_eq!(clocked.depth(), (0, 1, 0));
}

#[test]
fn change_visibility_prolongs_shortens_and_gives_back() {
    let mut clocked = one();
    let (_, handle) = clocked.receive(1, 10).remove(0);
    clocked.pass(9);
    clocked.change(&handle, 60).unwrap();
    clocked.pass(59);
    assert!(clocked.bodies(1, 30).is_empty());
    clocked.change(&handle, 2).unwrap();
    clocked.pass(2);
    let (_, handle) = clocked.receive(1, 10).remove(0);
    clocked.change(&handle, 0).unwrap();
    assert_eq!(clocked.depth(), (1, 0, 0));
    assert_eq!(clocked.change(&handle, 5).unwrap_err().code, "MessageNotInflight");
}

#[test]
fn no_message_stays_hidden_for_more_than_twelve_hours() {
    let mut clocked = one();
    let (_, handle) = clocked.receive(1, 43_200).remove(0);
    clocked.change(&handle, 43_200).unwrap();
    clocked.pass(100);
    assert_eq!(clocked.change(&handle, 43_200).unwrap_err().code, "InvalidParameterValue");
    clocked.change(&handle, 43_100).unwrap();
    clocked.pass(43_100);
    assert_eq!(clocked.depth(), (1, 0, 0));
}

#[test]
fn after_max_receives_a_message_moves_instead_of_coming_again() {
    let mut clocked = Clocked::new(&[(
        "RedrivePolicy",
        r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":"2"}"#,
    )]);
    clocked.send(OutMessage::new("poison")).unwrap();
    for _ in 0..2 {
        assert_eq!(clocked.bodies(10, 5), ["poison"]);
        clocked.pass(5);
    }
    assert!(clocked.bodies(10, 5).is_empty());
    assert_eq!(clocked.moved, ["poison"]);
    assert_eq!(clocked.depth(), (0, 0, 0));
    assert_eq!(clocked.kinds().last(), Some(&Kind::Moved));
}

#[test]
fn a_message_past_its_retention_is_dropped() {
    let mut clocked = Clocked::new(&[("MessageRetentionPeriod", "60")]);
    clocked.send(OutMessage::new("old")).unwrap();
    clocked.pass(30);
    clocked.send(OutMessage::new("young")).unwrap();
    clocked.pass(31);
    assert_eq!(clocked.bodies(10, 5), ["young"]);
    assert_eq!(clocked.kinds().iter().filter(|kind| **kind == Kind::Purged).count(), 1);
}

#[test]
fn the_120_001st_in_flight_is_refused() {
    let mut clocked = Clocked::new(&[]);
    for _ in 0..120_001 {
        clocked.send(OutMessage::new("x")).unwrap();
    }
    assert_eq!(clocked.try_receive(119_995, 30).unwrap().len(), 119_995);
    assert_eq!(clocked.try_receive(10, 30).unwrap().len(), 5, "as many as still fit");
    let refused = clocked.try_receive(10, 30).unwrap_err();
    assert_eq!((refused.code, refused.status), ("OverLimit", 403));
    assert!(!clocked.queue.has_visible(), "a long poll would be woken in vain");
    clocked.pass(30);
    assert_eq!(clocked.try_receive(10, 30).unwrap().len(), 10);
}

#[test]
fn purge_drops_all_states_and_old_handles_do_nothing() {
    let mut clocked = one();
    let (_, handle) = clocked.receive(1, 30).remove(0);
    clocked.send(OutMessage::new("visible")).unwrap();
    clocked.send(OutMessage { delay_s: Some(5), ..OutMessage::new("delayed") }).unwrap();
    assert_eq!(clocked.depth(), (1, 1, 1));
    let (now_ns, ledger) = (clocked.now_ns, &mut clocked.ledger);
    clocked.queue.purge(now_ns, ledger);
    assert_eq!(clocked.depth(), (0, 0, 0));
    clocked.delete(&handle, false).unwrap();
    clocked.send(OutMessage::new("new")).unwrap();
    clocked.pass(60);
    assert_eq!(clocked.bodies(10, 30), ["new"]);
    assert_eq!(clocked.depth(), (0, 1, 0));
}
