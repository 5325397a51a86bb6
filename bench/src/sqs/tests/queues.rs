//! Actions on queues.

use serde_json::json;

use super::client::{Client, messages, receive, served};
use crate::sqs::OutMessage;

#[test]
fn creating_twice_finds_the_queue_and_refuses_other_attributes() {
    let (_server, mut client, url) = served(&[]);
    assert_eq!(client.ok("CreateQueue", &json!({ "QueueName": "q" }))["QueueUrl"], json!(url));
    let other = json!({ "QueueName": "q", "Attributes": { "DelaySeconds": "5" } });
    assert_eq!(client.refused("CreateQueue", &other), "QueueAlreadyExists");
    for name in ["", "a b", "q.fifo", &"q".repeat(81)] {
        let code = client.refused("CreateQueue", &json!({ "QueueName": name }));
        assert_eq!(code, "InvalidParameterValue", "{name}");
    }
    let wrong = json!({ "QueueName": "w", "Attributes": { "VisibilityTimeout": "43201" } });
    assert_eq!(client.refused("CreateQueue", &wrong), "InvalidAttributeValue");
    let unknown = json!({ "QueueName": "w", "Attributes": { "Colour": "red" } });
    assert_eq!(client.refused("CreateQueue", &unknown), "InvalidAttributeName");
}

#[test]
fn attributes_show_what_was_set_and_what_is_there() {
    let (server, mut client, url) = served(&[("VisibilityTimeout", "77")]);
    server.send("q", vec![OutMessage::new("x"), OutMessage::new("y")]).unwrap();
    client.ok("ReceiveMessage", &json!({ "QueueUrl": url }));
    let call = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
    let attributes = client.ok("GetQueueAttributes", &call)["Attributes"].clone();
    assert_eq!(attributes["VisibilityTimeout"], "77");
    assert_eq!(attributes["ApproximateNumberOfMessages"], "1");
    assert_eq!(attributes["ApproximateNumberOfMessagesNotVisible"], "1");
    assert_eq!(attributes["QueueArn"], "arn:aws:sqs:us-east-1:000000000000:q");
    client.ok("SetQueueAttributes", &json!({ "QueueUrl": url, "Attributes": { "VisibilityTimeout": "5" } }));
    let call = json!({ "QueueUrl": url, "AttributeNames": ["VisibilityTimeout"] });
    let answer = client.ok("GetQueueAttributes", &call);
    assert_eq!(answer, json!({ "Attributes": { "VisibilityTimeout": "5" } }));
}

#[test]
fn queues_are_listed_by_prefix_and_gone_when_deleted() {
    let (server, mut client, url) = served(&[]);
    server.create_queue("other", &[]).unwrap();
    let listed = client.ok("ListQueues", &json!({ "QueueNamePrefix": "q" }));
    assert_eq!(listed["QueueUrls"], json!([url]));
    client.ok("DeleteQueue", &json!({ "QueueUrl": url }));
    assert_eq!(
        client.refused("GetQueueUrl", &json!({ "QueueName": "q" })),
        "AWS.SimpleQueueService.NonExistentQueue"
    );
    assert_eq!(client.ok("ListQueues", &json!({ "QueueNamePrefix": "q" })), json!({}));
}

#[test]
fn tags_are_kept() {
    let (_server, mut client, url) = served(&[]);
    client.ok("TagQueue", &json!({ "QueueUrl": url, "Tags": { "a": "1", "b": "2" } }));
    client.ok("UntagQueue", &json!({ "QueueUrl": url, "TagKeys": ["a"] }));
    assert_eq!(client.ok("ListQueueTags", &json!({ "QueueUrl": url }))["Tags"], json!({ "b": "2" }));
}

#[test]
fn a_poison_message_goes_to_the_dead_letter_queue_with_its_origin() {
    let (server, mut client, url) = served(&[]);
    server.create_queue("dead", &[("DelaySeconds", "0")]).unwrap();
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":"1"}"#;
    client.ok("SetQueueAttributes", &json!({ "QueueUrl": url, "Attributes": { "RedrivePolicy": policy } }));
    let sent = client.ok("SendMessage", &json!({ "QueueUrl": url, "MessageBody": "poison" }));
    let call = json!({ "QueueUrl": url, "VisibilityTimeout": 0 });
    assert_eq!(messages(&client.ok("ReceiveMessage", &call)).len(), 1);
    assert_eq!(messages(&client.ok("ReceiveMessage", &call)).len(), 0);
    let dead = receive(&mut client, &server.queue_url("dead")).remove(0);
    assert_eq!((&dead["Body"], &dead["MessageId"]), (&json!("poison"), &sent["MessageId"]));
    assert_eq!(dead["Attributes"]["DeadLetterQueueSourceArn"], "arn:aws:sqs:us-east-1:000000000000:q");
    let sources = client.ok("ListDeadLetterSourceQueues", &json!({ "QueueUrl": server.queue_url("dead") }));
    assert_eq!(sources["queueUrls"], json!([url]));
}

#[test]
fn a_queue_that_is_deleted_is_gone_with_its_messages_and_its_long_polls() {
    let (server, mut client, url) = served(&[]);
    let long_poll = json!({ "QueueUrl": url, "WaitTimeSeconds": 20 });
    std::io::Write::write_all(&mut client.stream, &Client::request("ReceiveMessage", &long_poll)).unwrap();
    let mut other = Client::new(&server);
    // Answered only after the long poll was taken.
    other.ok("ListQueues", &json!({}));
    assert!(server.delete_queue("q"));
    assert_eq!(client.answer().unwrap().json()["__type"], "com.amazonaws.sqs#QueueDoesNotExist");
    assert_eq!((server.depth("q"), server.delete_queue("q")), (None, false));
}
