//! Claims about the wire: the query protocol says what JSON says, and signatures are checked.

use std::io::Write;

use super::client::{Client, served};
use crate::sqs::{Keys, Server, ServerConfig};

/// Posts a form to a path; status and XML.
fn post(client: &mut Client, path: &str, form: &str) -> (u16, String) {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    client.stream.write_all(request.as_bytes()).unwrap();
    let answer = client.answer().unwrap();
    assert_eq!(answer.header("content-type"), Some("text/xml"));
    (answer.status, String::from_utf8(answer.body).unwrap())
}

/// The text between a tag's first opening and its end.
fn element<'a>(xml: &'a str, tag: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{tag}>")).unwrap_or_else(|| panic!("no {tag} in {xml}"));
    rest.split("</").next().unwrap_or_default()
}

#[test]
fn a_message_goes_through_the_query_protocol() {
    let (server, mut client, url) = served(&[]);
    let path = &url[server.endpoint().len()..];
    let (status, sent) = post(
        &mut client,
        path,
        "Action=SendMessage&MessageBody=%3Ca%3E+b&MessageAttribute.1.Name=n&MessageAttribute.1.Value.DataType=Number&MessageAttribute.1.Value.StringValue=7",
    );
    assert_eq!(status, 200, "{sent}");
    let (_, got) = post(
        &mut client,
        "/",
        &format!(
            "Action=ReceiveMessage&QueueUrl={url}&MaxNumberOfMessages=10&AttributeName.1=All&MessageAttributeName.1=All"
        ),
    );
    assert_eq!(element(&got, "MessageId"), element(&sent, "MessageId"));
    assert_eq!(element(&got, "MD5OfBody"), element(&sent, "MD5OfMessageBody"));
    assert_eq!(element(&got, "Body"), "&lt;a&gt; b");
    assert!(got.contains("<Name>ApproximateReceiveCount</Name><Value>1</Value>"), "{got}");
    assert!(got.contains("<DataType>Number</DataType>"), "{got}");
    let handle = element(&got, "ReceiptHandle").replace('+', "%2B").replace('=', "%3D");
    let form = format!(
        "Action=DeleteMessageBatch&DeleteMessageBatchRequestEntry.1.Id=a&DeleteMessageBatchRequestEntry.1.ReceiptHandle={handle}&DeleteMessageBatchRequestEntry.2.Id=b&DeleteMessageBatchRequestEntry.2.ReceiptHandle=x"
    );
    let (_, deleted) = post(&mut client, path, &form);
    assert_eq!(element(&deleted, "DeleteMessageBatchResultEntry><Id"), "a");
    assert_eq!(element(&deleted, "Code"), "ReceiptHandleIsInvalid");
    assert_eq!(server.depth("q").unwrap().in_flight, 0);
}

#[test]
fn long_polls_and_get_speak_xml_too() {
    let (_server, mut client, url) = served(&[]);
    let (status, none) =
        post(&mut client, "/", &format!("Action=ReceiveMessage&QueueUrl={url}&WaitTimeSeconds=1"));
    assert_eq!((status, none.contains("<Message>")), (200, false), "{none}");
    client.stream.write_all(b"GET /?Action=GetQueueUrl&QueueName=q HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let answer = client.answer().unwrap();
    assert_eq!(element(&String::from_utf8(answer.body).unwrap(), "QueueUrl"), url);
}

#[test]
fn refusals_have_the_query_protocols_codes() {
    let (_server, mut client, _) = served(&[]);
    let (status, xml) = post(&mut client, "/0/none", "Action=ReceiveMessage");
    assert_eq!((status, element(&xml, "Code")), (400, "AWS.SimpleQueueService.NonExistentQueue"));
    let (status, xml) = post(&mut client, "/", "Action=Nonsense");
    assert_eq!((status, element(&xml, "Code")), (400, "InvalidAction"));
}

#[test]
fn an_unsigned_call_is_refused_in_both_protocols_when_keys_are_set() {
    let keys = Keys { access_key: "AKIDEXAMPLE".to_owned(), secret_key: "s".to_owned(), ..Keys::default() };
    let server = Server::start(ServerConfig { keys: Some(keys), ..ServerConfig::default() }).unwrap();
    let mut client = Client::new(&server);
    let answer = client.call("ListQueues", &serde_json::json!({}));
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("x-amzn-query-error"), Some("MissingAuthenticationToken;Sender"));
    let (status, xml) = post(&mut client, "/", "Action=ListQueues");
    assert_eq!((status, element(&xml, "Code")), (403, "MissingAuthenticationToken"));
}
