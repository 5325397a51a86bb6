//! Order, locks, deduplication and attempts of FIFO queues.

use super::client::Clocked;
use crate::sqs::OutMessage;

#[test]
fn a_group_waits_while_one_of_its_messages_is_in_flight() {
    let mut clocked = Clocked::fifo();
    for body in ["a1", "a2"] {
        clocked.send_to("a", body);
    }
    clocked.send_to("b", "b1");
    let (body, handle) = clocked.receive(1, 30).remove(0);
    assert_eq!(body, "a1");
    assert_eq!(clocked.bodies(10, 30), ["b1"], "a is locked, b is not");
    clocked.delete(&handle, false).unwrap();
    assert_eq!(clocked.bodies(10, 30), ["a2"]);
}

#[test]
fn one_receive_takes_a_group_in_order_before_it_begins_the_next() {
    let mut clocked = Clocked::fifo();
    for number in 0..4 {
        clocked.send_to("a", &format!("a{number}"));
        clocked.send_to("b", &format!("b{number}"));
    }
    assert_eq!(clocked.bodies(6, 30), ["a0", "a1", "a2", "a3", "b0", "b1"]);
    assert!(clocked.bodies(10, 30).is_empty());
}

#[test]
fn redelivery_keeps_the_order_whatever_came_back_first() {
    let mut clocked = Clocked::fifo();
    for body in ["1", "2", "3", "4"] {
        clocked.send_to("g", body);
    }
    let received = clocked.receive(3, 30);
    clocked.change(&received[2].1, 0).unwrap();
    clocked.change(&received[0].1, 0).unwrap();
    assert!(clocked.bodies(10, 30).is_empty(), "2 is still in flight");
    clocked.send_to("g", "5");
    clocked.change(&received[1].1, 0).unwrap();
    assert_eq!(clocked.bodies(10, 30), ["1", "2", "3", "4", "5"]);
    clocked.pass(30);
    assert_eq!(clocked.bodies(10, 30), ["1", "2", "3", "4", "5"]);
}

#[test]
fn visibility_zero_brings_each_message_of_a_group_once() {
    let mut clocked = Clocked::fifo();
    clocked.send_to("g", "1");
    clocked.send_to("g", "2");
    assert_eq!(clocked.bodies(10, 0), ["1", "2"]);
    assert_eq!(clocked.bodies(10, 0), ["1", "2"]);
    assert_eq!(clocked.depth(), (2, 0, 0));
}

#[test]
fn an_expired_handle_is_refused_even_before_the_message_is_received_again() {
    let mut clocked = Clocked::fifo();
    clocked.send_to("g", "1");
    let (_, handle) = clocked.receive(1, 5).remove(0);
    clocked.pass(5);
    let refused = clocked.delete(&handle, false).unwrap_err();
    assert_eq!(refused.code, "InvalidParameterValue");
    assert!(refused.message.contains("expired"), "{}", refused.message);
    assert_eq!(clocked.bodies(1, 5), ["1"]);
}

#[test]
fn a_twin_within_five_minutes_is_accepted_and_not_delivered() {
    let mut clocked = Clocked::fifo();
    let message =
        || OutMessage { group: Some("g".into()), dedup: Some("same".into()), ..OutMessage::new("x") };
    let first = clocked.send(message()).unwrap();
    clocked.pass(299);
    let twin = clocked.send(message()).unwrap();
    assert_eq!((twin.id, &twin.sequence), (first.id, &first.sequence));
    assert_eq!(clocked.depth(), (1, 0, 0));
    clocked.pass(1);
    assert_ne!(clocked.send(message()).unwrap().id, first.id);
    assert_eq!(clocked.depth(), (2, 0, 0));
}

#[test]
fn a_twin_is_dropped_even_after_the_first_was_deleted() {
    let mut clocked = Clocked::fifo();
    clocked.send_to("g", "once");
    let (_, handle) = clocked.receive(1, 30).remove(0);
    clocked.delete(&handle, false).unwrap();
    clocked.send_to("g", "once");
    assert_eq!(clocked.depth(), (0, 0, 0));
}

#[test]
fn bodies_are_the_deduplication_id_where_the_queue_says_so() {
    let mut clocked = Clocked::new(&[("FifoQueue", "true"), ("ContentBasedDeduplication", "true")]);
    let message = |body: &str| OutMessage { group: Some("g".into()), ..OutMessage::new(body) };
    for body in ["x", "x", "y"] {
        clocked.send(message(body)).unwrap();
    }
    assert_eq!(clocked.bodies(10, 30), ["x", "y"]);
    let own = OutMessage { dedup: Some("own id".into()), ..message("x") };
    clocked.send(own).unwrap();
    assert_eq!(clocked.depth(), (1, 2, 0), "an id of its own goes before the body");
}

#[test]
fn a_fifo_message_needs_a_group_and_an_id_and_takes_no_delay() {
    let mut clocked = Clocked::fifo();
    assert_eq!(clocked.send(OutMessage::new("x")).unwrap_err().code, "MissingParameter");
    let grouped = OutMessage { group: Some("g".into()), ..OutMessage::new("x") };
    assert_eq!(clocked.send(grouped.clone()).unwrap_err().code, "InvalidParameterValue");
    let delayed = OutMessage { dedup: Some("d".into()), delay_s: Some(1), ..grouped };
    assert_eq!(clocked.send(delayed).unwrap_err().code, "InvalidParameterValue");
    assert_eq!(clocked.depth(), (0, 0, 0));
}

#[test]
fn a_moved_head_makes_way_for_the_next_of_its_group() {
    let mut clocked = Clocked::new(&[
        ("FifoQueue", "true"),
        (
            "RedrivePolicy",
            r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead.fifo","maxReceiveCount":1}"#,
        ),
    ]);
    for body in ["1", "2", "3"] {
        clocked.send_to("g", body);
    }
    assert_eq!(clocked.bodies(1, 5), ["1"]);
    clocked.pass(5);
    assert_eq!(clocked.bodies(2, 5), ["2", "3"]);
    assert_eq!(clocked.moved, ["1"]);
    clocked.pass(5);
    assert!(clocked.bodies(10, 5).is_empty());
    assert_eq!(clocked.moved, ["1", "2", "3"]);
    assert_eq!(clocked.depth(), (0, 0, 0));
    clocked.send_to("g", "4");
    assert_eq!(clocked.bodies(10, 5), ["4"], "the group is not left locked");
}

#[test]
fn an_attempt_tried_again_brings_the_same_messages_and_holds_them_anew() {
    let mut clocked = Clocked::fifo();
    clocked.send_to("g", "1");
    clocked.send_to("g", "2");
    let slots = clocked.try_receive(1, 30).unwrap();
    clocked.queue.remember("attempt", &slots, clocked.now_ns);
    clocked.pass(20);
    assert_eq!(clocked.queue.replay("attempt", 30, clocked.now_ns), Some(slots.clone()));
    clocked.pass(20);
    assert_eq!(clocked.depth(), (1, 1, 0), "its timeout began anew");
    clocked.pass(10);
    assert_eq!(clocked.depth(), (2, 0, 0));
    assert_eq!(clocked.queue.replay("attempt", 30, clocked.now_ns), None, "it is visible again");
}
