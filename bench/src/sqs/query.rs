//! The query protocol, translated: a form becomes the JSON of the call, the JSON of the answer becomes XML.
//!
//! Source: "Making Query API requests" of the SQS developer guide; the shapes' XML names in the API model.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::ApiError;
use super::http::Request;

/// Parameters of one form.
const PARAMETERS_MAX: usize = 2000;
/// Parts of one parameter's name: `SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue`.
const PARTS_MAX: usize = 8;
const NUMBERS: [&str; 6] = [
    "MaxNumberOfMessages",
    "VisibilityTimeout",
    "WaitTimeSeconds",
    "DelaySeconds",
    "MaxResults",
    "MaxNumberOfMessagesPerSecond",
];
const NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";

/// The parts of the parameters' names as a tree.
#[derive(Default)]
struct Node {
    value: Option<String>,
    children: BTreeMap<String, Node>,
}

/// The action and the JSON of a call in the query protocol: a form that is posted, or the query of a GET. A
/// call without a QueueUrl means the queue of its path.
pub(crate) fn call(request: &Request, body: &[u8]) -> Option<(String, Vec<u8>)> {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    match request.method.as_str() {
        "POST" if request.is_form => read(body, path),
        "GET" if query.contains("Action=") => read(query.as_bytes(), path),
        _ => None,
    }
}

/// Reads a form: the action, and its call as JSON. `None` when it names no action, or is no form.
fn read(form: &[u8], path: &str) -> Option<(String, Vec<u8>)> {
    let mut root = Node::default();
    let mut action = None;
    for pair in form.split(|&byte| byte == b'&').take(PARAMETERS_MAX) {
        let at = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        let name = decode(&pair[..at])?;
        let value = decode(pair.get(at + 1..).unwrap_or_default())?;
        if name == "Action" {
            action = Some(value);
            continue;
        }
        let mut node = &mut root;
        for part in name.split('.').take(PARTS_MAX) {
            node = node.children.entry(part.to_owned()).or_default();
        }
        node.value = Some(value);
    }
    let action = action?;
    let mut call = object(root, &action);
    if path.len() > 1 && !call.contains_key("QueueUrl") {
        call.insert("QueueUrl".to_owned(), Value::from(path));
    }
    Some((action, Value::Object(call).to_string().into_bytes()))
}

fn decode(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = std::str::from_utf8(text.get(at + 1..at + 3)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                at += 2;
            }
            byte => bytes.push(byte),
        }
        at += 1;
    }
    String::from_utf8(bytes).ok()
}

fn object(node: Node, action: &str) -> Map<String, Value> {
    let mut call = Map::new();
    for (name, child) in node.children {
        let (name, value) = member(&name, child, action);
        call.insert(name, value);
    }
    call
}

fn member(name: &str, node: Node, action: &str) -> (String, Value) {
    let named = |to: &str, value: Value| (to.to_owned(), value);
    match name {
        "AttributeName" | "MessageAttributeName" | "MessageSystemAttributeName" | "TagKey" => {
            let texts = ordered(node).into_iter().filter_map(|child| child.value.map(Value::from));
            (format!("{name}s"), Value::Array(texts.collect()))
        }
        "Attribute" => named("Attributes", pairs(node, "Name", |value| value.value.map(Value::from))),
        "Tag" => named("Tags", pairs(node, "Key", |value| value.value.map(Value::from))),
        "MessageAttribute" | "MessageSystemAttribute" => {
            let value = pairs(node, "Name", |value| Some(Value::Object(object(value, ""))));
            (format!("{name}s"), value)
        }
        _ if name.ends_with("BatchRequestEntry") => {
            let entries = ordered(node).into_iter().map(|entry| Value::Object(object(entry, action)));
            named("Entries", Value::Array(entries.collect()))
        }
        _ => {
            let text = node.value.unwrap_or_default();
            let number = text.parse::<i64>().ok().filter(|_| NUMBERS.contains(&name));
            (name.to_owned(), number.map_or(Value::from(text), Value::from))
        }
    }
}

/// The children of a list, by their numbers.
fn ordered(node: Node) -> Vec<Node> {
    let mut children: Vec<(u32, Node)> =
        node.children.into_iter().filter_map(|(number, child)| Some((number.parse().ok()?, child))).collect();
    children.sort_by_key(|(number, _)| *number);
    children.into_iter().map(|(_, child)| child).collect()
}

fn pairs(node: Node, key: &str, read: impl Fn(Node) -> Option<Value>) -> Value {
    let mut map = Map::new();
    for mut child in ordered(node) {
        let name = child.children.remove(key).and_then(|name| name.value);
        let value = child.children.remove("Value").and_then(&read);
        if let (Some(name), Some(value)) = (name, value) {
            map.insert(name, value);
        }
    }
    Value::Object(map)
}

/// Writes an answer as XML. What is no JSON, because a fault spoilt it, stays as it is.
pub(crate) fn answer(action: &str, json: &[u8]) -> Vec<u8> {
    let Ok(Value::Object(members)) = serde_json::from_slice(json) else { return json.to_vec() };
    let mut out = format!("<?xml version=\"1.0\"?><{action}Response xmlns=\"{NAMESPACE}\">");
    if !members.is_empty() {
        out.push_str(&format!("<{action}Result>"));
        for (name, value) in &members {
            write_member(&mut out, action, name, value);
        }
        out.push_str(&format!("</{action}Result>"));
    }
    out.push_str(
        "<ResponseMetadata><RequestId>00000000-0000-4000-8000-000000000000</RequestId></ResponseMetadata>",
    );
    out.push_str(&format!("</{action}Response>"));
    out.into_bytes()
}

fn write_member(out: &mut String, action: &str, name: &str, value: &Value) {
    let batch = format!("{action}ResultEntry");
    let item = match name {
        "Messages" => "Message",
        "Successful" | "Results" => &batch,
        "Failed" => "BatchResultErrorEntry",
        "QueueUrls" | "queueUrls" => "QueueUrl",
        "Attributes" => "Attribute",
        "MessageAttributes" => "MessageAttribute",
        "Tags" => "Tag",
        _ => name,
    };
    match value {
        Value::Array(values) => values.iter().for_each(|value| write_element(out, action, item, value)),
        Value::Object(map) if item != name => {
            let key = if item == "Tag" { "Key" } else { "Name" };
            for (name, value) in map {
                out.push_str(&format!("<{item}>"));
                write_element(out, action, key, &Value::from(name.as_str()));
                write_element(out, action, "Value", value);
                out.push_str(&format!("</{item}>"));
            }
        }
        _ => write_element(out, action, item, value),
    }
}

fn write_element(out: &mut String, action: &str, name: &str, value: &Value) {
    out.push_str(&format!("<{name}>"));
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| write_member(out, action, name, value)),
        Value::String(text) => escape(out, text),
        Value::Null => {}
        other => out.push_str(&other.to_string()),
    }
    out.push_str(&format!("</{name}>"));
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A parser would make a line feed of it.
            '\r' => out.push_str("&#xD;"),
            _ => out.push(c),
        }
    }
}

/// Writes a refusal as XML.
pub(crate) fn refusal(error: &ApiError) -> Vec<u8> {
    let mut out = format!(
        "<?xml version=\"1.0\"?><ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{}</Code><Message>",
        error.query_code
    );
    escape(&mut out, &error.message);
    out.push_str("</Message><Detail/></Error><RequestId>00000000-0000-4000-8000-000000000000</RequestId></ErrorResponse>");
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(form: &str) -> (String, Value) {
        let (action, json) = read(form.as_bytes(), "/").unwrap();
        (action, serde_json::from_slice(&json).unwrap())
    }

    #[test]
    fn forms_become_the_calls_of_the_json_protocol() {
        let (action, got) = call(
            "Action=SendMessageBatch&Version=2012-11-05&QueueUrl=http%3A%2F%2Fh%2F0%2Fq&SendMessageBatchRequestEntry.2.Id=b&SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageBody=x+y%26z&SendMessageBatchRequestEntry.1.DelaySeconds=5&SendMessageBatchRequestEntry.1.MessageAttribute.1.Name=n&SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType=Number&SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue=1",
        );
        assert_eq!(action, "SendMessageBatch");
        assert_eq!(
            got,
            json!({"Version":"2012-11-05","QueueUrl":"http://h/0/q","Entries":[
                {"Id":"a","MessageBody":"x y&z","DelaySeconds":5,"MessageAttributes":{"n":{"DataType":"Number","StringValue":"1"}}},
                {"Id":"b"}]})
        );
        let (_, got) = call(
            "Action=CreateQueue&QueueName=q&Attribute.1.Name=FifoQueue&Attribute.1.Value=true&Tag.1.Key=k&Tag.1.Value=v",
        );
        assert_eq!(got, json!({"QueueName":"q","Attributes":{"FifoQueue":"true"},"Tags":{"k":"v"}}));
        let (_, got) = call(
            "Action=ReceiveMessage&MaxNumberOfMessages=10&AttributeName.1=All&MessageAttributeName.1=.*",
        );
        assert_eq!(
            got,
            json!({"MaxNumberOfMessages":10,"AttributeNames":["All"],"MessageAttributeNames":[".*"]})
        );
    }

    #[test]
    fn what_is_no_form_is_refused_without_a_panic() {
        for form in ["", "a=b", "Action=%", "Action=%zz", "Action=%ff", "=&=&"] {
            assert!(read(form.as_bytes(), "/").is_none(), "{form}");
        }
        let deep = format!("Action=X&{}=1", "a.".repeat(5000));
        assert!(read(deep.as_bytes(), "/").is_some());
    }

    #[test]
    fn answers_become_the_xml_of_the_query_protocol() {
        let message = json!({"Messages":[{"Body":"<a>&\r\n","Attributes":{"SenderId":"x"},"MessageAttributes":{"n":{"DataType":"String","StringValue":"v"}}}]});
        let xml = String::from_utf8(answer("ReceiveMessage", message.to_string().as_bytes())).unwrap();
        for part in [
            "<ReceiveMessageResponse xmlns=",
            "<ReceiveMessageResult><Message>",
            "<Body>&lt;a&gt;&amp;&#xD;\n</Body>",
            "<Attribute><Name>SenderId</Name><Value>x</Value></Attribute>",
            "<MessageAttribute><Name>n</Name><Value><DataType>String</DataType><StringValue>v</StringValue></Value></MessageAttribute>",
        ] {
            assert!(xml.contains(part), "{part} in {xml}");
        }
        let batch = json!({"Successful":[{"Id":"a"}],"Failed":[{"Id":"b","SenderFault":true}]});
        let xml = String::from_utf8(answer("DeleteMessageBatch", batch.to_string().as_bytes())).unwrap();
        assert!(xml.contains("<DeleteMessageBatchResultEntry><Id>a</Id></DeleteMessageBatchResultEntry>"));
        assert!(xml.contains("<BatchResultErrorEntry><Id>b</Id><SenderFault>true</SenderFault>"));
        let xml = String::from_utf8(answer("DeleteMessage", b"{}")).unwrap();
        assert!(!xml.contains("Result"));
    }
}
