//! Answers to read: AWS's documented ones, and random ones written in random spellings.
//!
//! Tests only. A model is drawn first and then written as JSON, with members in any order, white space
//! anywhere, unknown members in between and each character escaped in any way that means the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

/// Sources: SQS API reference, ReceiveMessage, "Examples" (the first two, the second with the attributes of
/// the developer guide's FIFO pages); shapes that servers other than AWS send.
pub(super) const DOCUMENTED: &[&str] = &[
    r#"{
    "Messages": [
        {
            "Attributes": {
                "SenderId": "AIDASSYFHUBOBT7F4XT75",
                "ApproximateFirstReceiveTimestamp": "1677112433437",
                "ApproximateReceiveCount": "1",
                "SentTimestamp": "1677112427387"
            },
            "Body": "This is a test message",
            "MD5OfBody": "fafb00f5732ab283681e124bf8747ed1",
            "MessageId": "219f8380-5770-4cc2-8c3e-5c715e145f5e",
            "ReceiptHandle": "AQEBaZ+j5qUoOAoxlmrCQPkBm9njMWXqemmIG6shMHCO6fV20JrQYg/AiZ8JELwLwOu5U61W+aIX5Qzu7GGofxJuvzymr4Ph53RiR0mudj4InLSgpSspYeTRDteBye5tV/txbZDdNZxsi+qqZA9xPnmMscKQqF6pGhnGIKrnkYGl45Nl6GPIZv62LrIRb6mSqOn1fn0yqrvmWuuY3w2UzQbaYunJWGxpzZze21EOBtywknU3Je/g7G9is+c6K9hGniddzhLkK1tHzZKjejOU4jokaiB4nmi0dF3JqLzDsQuPF0Gi8qffhEvw56nl8QCbluSJScFhJYvoagGnDbwOnd9z50L239qtFIgETdpKyirlWwl/NGjWJ45dqWpiW3d2Ws7q"
        }
    ]
}"#,
    r#"{"Messages":[{"MessageId":"5fea7756-0ea4-451a-a703-a558b933e274","ReceiptHandle":"MbZj6wDWli+JvwwJaBV","MD5OfBody":"fafb00f5732ab283681e124bf8747ed1","MD5OfMessageAttributes":"2b0a5b9a2b2b0a5b9a2b2b0a5b9a2b2b","Body":"{\"order\":1,\"note\":\"caf\u00e9 \ud83d\ude00\"}","Attributes":{"SenderId":"AIDA","SentTimestamp":"1238099229000","ApproximateReceiveCount":"5","ApproximateFirstReceiveTimestamp":"1250700979248","SequenceNumber":"18850000000000000000","MessageGroupId":"customer-7","MessageDeduplicationId":"a","AWSTraceHeader":"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1","DeadLetterQueueSourceArn":"arn:aws:sqs:eu-west-1:123456789012:orders"},"MessageAttributes":{"City":{"DataType":"String","StringValue":"Any City"},"Population":{"DataType":"Number.int","StringValue":"1250800"},"Greeting":{"DataType":"Binary.gif","BinaryValue":"SGVsbG8sIFdvcmxkIQ=="},"Old":{"DataType":"String","StringValue":"x","StringListValues":[],"BinaryListValues":[]}}}]}"#,
    "{}",
    "{\"Messages\":[]}",
    "{\"Messages\":null}",
    " {\r\n\t\"Messages\" : [ ] , \"New\" : [ { \"a\" : [ 1.5e-3 , true , null , \"\\\"\" ] } ] } ",
    r#"{"Messages":[{"MessageId":"m","ReceiptHandle":"r","Body":null,"Attributes":null,"MessageAttributes":null}]}"#,
    r#"{"Messages":[{"MessageId":"m","ReceiptHandle":"r","Body":"","MessageAttributes":{}},{"MessageId":"m","ReceiptHandle":"r2","Body":"twin"}]}"#,
];

/// One message of an answer.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Its plain members: name and text.
    texts: BTreeMap<&'static str, String>,
    system: Option<BTreeMap<&'static str, String>>,
    /// Name to data type and value.
    attributes: Option<BTreeMap<String, (String, Content)>>,
}

#[derive(Clone, Debug)]
enum Content {
    Text(String),
    Bytes(Vec<u8>),
}

/// Any text, with many characters that need an escape.
pub(super) fn text(length: Range<usize>) -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        '"',
        '\\',
        '/',
        '\n',
        '\r',
        '\t',
        '\u{8}',
        '\u{c}',
        '\0',
        '\u{1f}',
        'u',
        ' ',
        'é',
        '\u{7f}',
        '\u{2028}',
        '\u{d7ff}',
        '\u{e000}',
        '\u{ffff}',
        '\u{10000}',
        '😀',
        '\u{10ffff}',
    ]);
    let character = prop_oneof![4 => prop::char::range(' ', '~'), 2 => special, 1 => any::<char>()];
    vec(character, length).prop_map(String::from_iter)
}

/// A message whose body is present but for a few.
pub(super) fn message() -> impl Strategy<Value = Model> {
    let digits = (0_u64..4_000_000_000).prop_map(|number| number.to_string());
    let system = prop_oneof![
        digits.prop_flat_map(|digits| {
            let names = vec!["SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp"];
            (prop::sample::select(names), Just(digits))
        }),
        (
            prop::sample::select(vec![
                "MessageGroupId",
                "MessageDeduplicationId",
                "SequenceNumber",
                "SenderId",
                "AWSTraceHeader",
                "DeadLetterQueueSourceArn",
                "SomethingNew",
            ]),
            text(0..40)
        ),
    ];
    let content =
        prop_oneof![text(0..60).prop_map(Content::Text), vec(any::<u8>(), 0..60).prop_map(Content::Bytes)];
    (
        "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
        text(1..120),
        option::weighted(0.95, text(0..400)),
        option::of("[0-9a-f]{32}"),
        option::of(vec(system, 0..8).prop_map(BTreeMap::from_iter)),
        option::of(btree_map(text(1..30), ("(String|Number|Binary)(\\.[a-z]{1,9})?", content), 0..5)),
    )
        .prop_map(|(id, handle, body, md5, system, attributes)| {
            let texts = [
                ("MessageId", Some(id)),
                ("ReceiptHandle", Some(handle)),
                ("Body", body),
                ("MD5OfBody", md5.clone()),
                ("MD5OfMessageAttributes", md5),
            ];
            let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text?))).collect();
            Model { texts, system, attributes }
        })
}

/// What a batch answer says about one entry: taken, refused with a code, or nothing.
pub(super) fn entry() -> impl Strategy<Value = Option<Result<(), String>>> {
    option::weighted(0.9, prop_oneof![3 => Just(Ok(())), 1 => "[A-Za-z.]{1,60}".prop_map(Err)])
}

/// Writes a receive answer; `style` decides about the spelling.
pub(super) fn write(messages: &[Model], style: u64) -> String {
    let mut pen = Pen { out: String::new(), state: style | 1 };
    let messages = messages.iter().map(|message| pen.message(message)).collect();
    let list = pen.list('[', messages, ']');
    pen.object(vec![("Messages".to_owned(), list)])
}

/// Writes the answer to a batch request, entries by position.
pub(super) fn write_results(entries: &[Option<Result<(), String>>], style: u64) -> String {
    let mut pen = Pen { out: String::new(), state: style | 1 };
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (position, entry) in entries.iter().enumerate() {
        let mut members = vec![("Id".to_owned(), pen.string(&position.to_string()))];
        match entry {
            None => {}
            Some(Ok(())) => successful.push(pen.object(members)),
            Some(Err(code)) => {
                members.push(("Code".to_owned(), pen.string(code)));
                members.push(("Message".to_owned(), pen.string("why")));
                let fault = pen.coin(2);
                members.push(("SenderFault".to_owned(), fault.to_string()));
                failed.push(pen.object(members));
            }
        }
    }
    let mut lists = vec![("Successful".to_owned(), pen.list('[', successful, ']'))];
    if !failed.is_empty() || pen.coin(2) {
        lists.push(("Failed".to_owned(), pen.list('[', failed, ']')));
    }
    pen.object(lists)
}

/// Writes JSON in a random but repeatable spelling.
struct Pen {
    out: String,
    /// Of an xorshift generator; never 0.
    state: u64,
}

impl Pen {
    fn random(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state >> 11
    }

    /// True once in `of` times.
    fn coin(&mut self, of: u64) -> bool {
        self.random().is_multiple_of(of)
    }

    fn space(&mut self) -> &'static str {
        ["", "", "", "", " ", "\n", "\t", "\r\n  "][self.random() as usize % 8]
    }

    fn list(&mut self, open: char, items: Vec<String>, close: char) -> String {
        let mut out = format!("{}{open}{}", self.space(), self.space());
        for (index, item) in items.into_iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            _ = write!(out, "{comma}{}{item}{}", self.space(), self.space());
        }
        out + &format!("{close}{}", self.space())
    }

    /// Members in any order, with unknown ones among them.
    fn object(&mut self, mut members: Vec<(String, String)>) -> String {
        if self.coin(4) {
            let unknown = ["null", "-1.5e+3", "[]", "{\"a\":[{\"b\":\"\\\\\"}]}", "\"}\"", "false"];
            members
                .push(("X-Unknown".to_owned(), unknown[self.random() as usize % unknown.len()].to_owned()));
        }
        for end in (1..members.len()).rev() {
            let other = self.random() as usize % (end + 1);
            members.swap(end, other);
        }
        self.members(members)
    }

    fn members(&mut self, members: Vec<(String, String)>) -> String {
        let written = members
            .into_iter()
            .map(|(name, value)| format!("{}{}:{}{value}", self.string(&name), self.space(), self.space()))
            .collect();
        self.list('{', written, '}')
    }

    /// A string whose characters are escaped where they must be, and elsewhere now and then.
    fn string(&mut self, text: &str) -> String {
        let one_in = [u64::MAX, u64::MAX, 40, 3][self.random() as usize % 4];
        self.out.clear();
        self.out.push('"');
        for character in text.chars() {
            let short = "\"\\/\n\r\t\u{8}\u{c}".find(character).map(|at| b"\"\\/nrtbf"[at] as char);
            let must = character < ' ' || character == '"' || character == '\\';
            match short {
                Some(short) if (must && !self.coin(5)) || self.coin(one_in) => {
                    self.out.extend(['\\', short]);
                }
                _ if must || self.coin(one_in) => self.numeric(character),
                _ => self.out.push(character),
            }
        }
        self.out.push('"');
        self.out.clone()
    }

    /// `\uXXXX`, twice for a character beyond the first plane, in digits of either case.
    fn numeric(&mut self, character: char) {
        for unit in character.encode_utf16(&mut [0; 2]) {
            let digits = if self.coin(2) { format!("{unit:04x}") } else { format!("{unit:04X}") };
            self.out.push_str("\\u");
            self.out.push_str(&digits);
        }
    }

    fn message(&mut self, message: &Model) -> String {
        let mut members: Vec<_> =
            message.texts.iter().map(|(name, text)| ((*name).to_owned(), self.string(text))).collect();
        if let Some(system) = &message.system {
            let system = system.iter().map(|(name, text)| ((*name).to_owned(), self.string(text))).collect();
            members.push(("Attributes".to_owned(), self.members(system)));
        }
        if let Some(attributes) = &message.attributes {
            let attributes = attributes
                .iter()
                .map(|(name, (data_type, content))| (name.clone(), self.attribute(data_type, content)))
                .collect();
            members.push(("MessageAttributes".to_owned(), self.members(attributes)));
        }
        self.object(members)
    }

    fn attribute(&mut self, data_type: &str, content: &Content) -> String {
        let mut members = vec![("DataType".to_owned(), self.string(data_type))];
        let (name, value) = match content {
            Content::Text(text) => ("StringValue", self.string(text)),
            // Never escaped: the SDK takes an escape for a fault in the base64, and no server writes one.
            Content::Bytes(bytes) => ("BinaryValue", format!("\"{}\"", STANDARD.encode(bytes))),
        };
        members.push((name.to_owned(), value));
        self.object(members)
    }
}
