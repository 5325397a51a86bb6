//! Claims about verdicts: what is delivered where, what is refused and why.

use super::*;
use crate::config::{Bytes, Key, Pipeline, TypeRule};
use crate::message::Attribute;

struct Case {
    batch: Batch,
}

impl Case {
    fn new() -> Case {
        Case { batch: Batch::default() }
    }

    fn span(&mut self, bytes: &[u8]) -> Span {
        let start = self.batch.bytes.len() as u32;
        self.batch.bytes.extend_from_slice(bytes);
        Span { start, len: bytes.len() as u32 }
    }

    fn message(mut self, body: &[u8], attributes: &[(&str, &str)]) -> Case {
        let attributes_start = self.batch.attributes.len() as u32;
        for (name, value) in attributes {
            let (name, data_type) = (self.span(name.as_bytes()), self.span(b"String"));
            let value = self.span(value.as_bytes());
            self.batch.attributes.push(Attribute { name, data_type, value });
        }
        let (id, body) = (self.span(b"the-id"), self.span(body));
        let attributes_len = attributes.len() as u16;
        self.batch.messages.push(Message {
            id,
            body,
            attributes_start,
            attributes_len,
            ..Message::default()
        });
        self
    }

    fn judge(mut self, change: impl FnOnce(&mut Pipeline)) -> (Batch, Plan) {
        let mut pipeline = Pipeline::new("p", "http://q", &["b:1"], "t");
        change(&mut pipeline);
        let plan = Plan::new(&pipeline, false).unwrap();
        plan.judge(&mut self.batch, &mut Types::new());
        assert_eq!(self.batch.courses.len(), self.batch.messages.len());
        (self.batch, plan)
    }
}

fn codes(batch: &Batch) -> Vec<&'static str> {
    batch
        .messages
        .iter()
        .map(|message| message.defect.as_ref().map_or("delivered", |defect| defect.code))
        .collect()
}

fn key_of(case: Case, rule: Key) -> Option<Vec<u8>> {
    let (batch, plan) = case.judge(|p| p.route.key = Some(rule));
    assert_eq!(codes(&batch), ["delivered"]);
    match batch.courses[0].key {
        KeyBytes::Arena(span) => batch.field(span).map(<[u8]>::to_vec),
        KeyBytes::Constant => plan.constant_key().map(<[u8]>::to_vec),
        KeyBytes::None => None,
    }
}

#[test]
fn keys_come_from_where_the_rule_says() {
    let case = || Case::new().message(br#"{"c":{"id":42}}"#, &[("tenant", "blue")]);
    assert_eq!(key_of(case(), Key::None), None);
    assert_eq!(key_of(case(), Key::MessageId).unwrap(), b"the-id");
    assert_eq!(key_of(case(), Key::Attribute { name: "tenant".into() }).unwrap(), b"blue");
    assert_eq!(key_of(case(), Key::Attribute { name: "absent".into() }), None);
    assert_eq!(key_of(case(), Key::JsonPointer { pointer: "/c/id".into() }).unwrap(), b"42");
    assert_eq!(key_of(case(), Key::Constant { value: "k".into() }).unwrap(), b"k");
    assert_eq!(key_of(case(), Key::GroupId), None);
}

#[test]
fn a_fifo_queue_takes_no_other_key_than_its_group() {
    let mut pipeline = Pipeline::new("p", "http://q", &["b:1"], "t");
    assert!(Plan::new(&pipeline, true).is_ok());
    pipeline.route.key = Some(Key::MessageId);
    assert!(Plan::new(&pipeline, true).unwrap_err().contains("route.key"));
}

#[test]
fn bodies_that_break_a_rule_are_rejected_with_its_code() {
    let (batch, _) =
        Case::new().message(b"{\"a\":1", &[]).message(b"{}", &[]).judge(|p| p.validate.json = true);
    assert_eq!(codes(&batch), ["body_not_json", "delivered"]);
    let small = |p: &mut Pipeline| p.validate.body_bytes_max = Bytes(3);
    let (batch, _) = Case::new().message(b"1234", &[]).message(b"123", &[]).judge(small);
    assert_eq!(codes(&batch), ["body_too_large", "delivered"]);
}

#[test]
fn a_text_defect_counts_unless_the_operator_allows_it() {
    let case = || {
        let mut case = Case::new().message(b"x", &[]);
        let reason = "lone surrogate".to_owned();
        case.batch.messages[0].defect = Some(Rejection { stage: "decode", code: "body_not_utf8", reason });
        case
    };
    assert_eq!(codes(&case().judge(|_| {}).0), ["body_not_utf8"]);
    assert_eq!(codes(&case().judge(|p| p.validate.utf8 = false).0), ["delivered"]);
}

#[test]
fn a_topic_template_is_bound_to_its_list() {
    let template = |p: &mut Pipeline| {
        p.type_rule = TypeRule::Attribute { name: "type".into() };
        p.route.topic = "o-${type}-${attribute:zone}".into();
        p.route.topics = vec!["o-a-1".into(), "o-b-1".into()];
    };
    let case = Case::new()
        .message(b"x", &[("type", "b"), ("zone", "1")])
        .message(b"x", &[("type", "c"), ("zone", "1")])
        .message(b"x", &[("type", "a")]);
    let (batch, plan) = case.judge(template);
    assert_eq!(codes(&batch), ["delivered", "topic_not_allowed", "topic_field_missing"]);
    assert_eq!(plan.topics()[batch.courses[0].topic as usize], "o-b-1");
}
