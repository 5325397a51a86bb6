//! The stages between receive and produce: validate, type, route, key.
//!
//! Level 1, pure: a batch goes in, and each of its messages comes out with a course or a defect. What a
//! stage needs that is not in the response (an unescaped key, for example) is appended to the batch's arena while the batch
//! is still private.

pub(crate) mod dead_letter;
pub(crate) mod headers;
mod pointer;
mod route;
mod types;

use crate::config;
use crate::error::Rejection;
use crate::message::{Batch, Course, KeyBytes, Message, Span};

use pointer::Pointer;
use route::Topics;
pub(crate) use types::Types;

/// A pipeline's stages, compiled from its config once.
#[derive(Debug)]
pub(crate) struct Plan {
    body_bytes_max: usize,
    refuse_bad_utf8: bool,
    json: bool,
    type_rule: TypeSource,
    topics: Topics,
    key: KeySource,
}

#[derive(Debug)]
enum TypeSource {
    None,
    Attribute(Vec<u8>),
    Pointer(Pointer),
}

#[derive(Debug)]
enum KeySource {
    None,
    MessageId,
    Group,
    Attribute(Vec<u8>),
    Pointer(Pointer),
    Constant(Vec<u8>),
}

impl Plan {
    /// Compiles the stages. On a FIFO queue the key is the group id.
    ///
    /// # Errors
    /// A key rule that would break the order of a FIFO queue.
    pub(crate) fn new(pipeline: &config::Pipeline, fifo: bool) -> Result<Plan, String> {
        let key = match (&pipeline.route.key, fifo) {
            (None, true) | (Some(config::Key::GroupId), _) => KeySource::Group,
            (Some(_), true) => {
                return Err(format!(
                    "pipeline.{}.route.key: the queue is FIFO, and only the group id keeps its order; remove the key",
                    pipeline.name
                ));
            }
            (None | Some(config::Key::None), false) => KeySource::None,
            (Some(config::Key::MessageId), _) => KeySource::MessageId,
            (Some(config::Key::Attribute { name }), _) => KeySource::Attribute(name.clone().into_bytes()),
            (Some(config::Key::JsonPointer { pointer }), _) => KeySource::Pointer(Pointer::parse(pointer)),
            (Some(config::Key::Constant { value }), _) => KeySource::Constant(value.clone().into_bytes()),
        };
        let type_rule = match &pipeline.type_rule {
            config::TypeRule::None => TypeSource::None,
            config::TypeRule::Attribute { name } => TypeSource::Attribute(name.clone().into_bytes()),
            config::TypeRule::JsonPointer { pointer } => TypeSource::Pointer(Pointer::parse(pointer)),
        };
        Ok(Plan {
            body_bytes_max: usize::try_from(pipeline.validate.body_bytes_max.0).unwrap_or(usize::MAX),
            refuse_bad_utf8: pipeline.validate.utf8,
            json: pipeline.validate.json,
            type_rule,
            topics: Topics::new(&pipeline.route),
            key,
        })
    }

    /// Names of the topics that a course may go to.
    pub(crate) fn topics(&self) -> &[String] {
        self.topics.names()
    }

    /// Numbers the topics of the courses by their positions in a list that names them all.
    pub(crate) fn number_topics(&mut self, known: &[String]) {
        self.topics.number_by(known);
    }

    /// Whether the topic of this number is one of the route's.
    pub(crate) fn has_topic(&self, number: u16) -> bool {
        self.topics.has(number)
    }

    /// The key of every record, when the rule is a constant.
    pub(crate) fn constant_key(&self) -> Option<&[u8]> {
        match &self.key {
            KeySource::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// Judges every message of a batch, in order: each gets a course, or a defect that says why not.
    pub(crate) fn judge(&self, batch: &mut Batch, types: &mut Types) {
        batch.courses.clear();
        for index in 0..batch.messages.len() {
            let course = match self.judge_one(batch, index, types) {
                Ok(course) => course,
                Err(rejection) => {
                    batch.messages[index].defect = Some(rejection);
                    Course::default()
                }
            };
            batch.courses.push(course);
        }
    }

    fn judge_one(&self, batch: &mut Batch, index: usize, types: &mut Types) -> Result<Course, Rejection> {
        let type_span = self.type_of(batch, index);
        let message = &batch.messages[index];
        let type_id = types.id(type_span.map(|span| batch.slice(span)));
        types.received(type_id, message.body.len);
        let chosen = match self.refusal(batch, message) {
            Some(rejection) => Err(rejection),
            None => self.topics.choose(batch, message, type_span),
        };
        let topic = chosen.inspect_err(|_| types.rejected(type_id))?;
        batch.messages[index].defect = None;
        Ok(Course { topic, key: self.key_of(batch, index) })
    }

    fn refusal(&self, batch: &Batch, message: &Message) -> Option<Rejection> {
        if let Some(defect) = &message.defect
            && (self.refuse_bad_utf8 || !message.body.is_some())
        {
            return Some(defect.clone());
        }
        let body = batch.slice(message.body);
        if body.len() > self.body_bytes_max {
            let reason = format!("the body has {} bytes, {} are allowed", body.len(), self.body_bytes_max);
            return Some(Rejection { stage: "validate", code: "body_too_large", reason });
        }
        if self.json
            && let Err(at) = pointer::well_formed(body)
        {
            let reason = format!("the body is no well-formed JSON: {at}");
            return Some(Rejection { stage: "validate", code: "body_not_json", reason });
        }
        None
    }

    fn type_of(&self, batch: &mut Batch, index: usize) -> Option<Span> {
        match &self.type_rule {
            TypeSource::None => None,
            TypeSource::Attribute(name) => {
                batch.attribute(&batch.messages[index], name).map(|found| found.value)
            }
            TypeSource::Pointer(pointer) => pointer.find(batch, index),
        }
    }

    fn key_of(&self, batch: &mut Batch, index: usize) -> KeyBytes {
        let message = &batch.messages[index];
        let span = match &self.key {
            KeySource::None => return KeyBytes::None,
            KeySource::Constant(_) => return KeyBytes::Constant,
            KeySource::MessageId => Some(message.id),
            KeySource::Group => Some(message.system.group),
            KeySource::Attribute(name) => batch.attribute(message, name).map(|found| found.value),
            KeySource::Pointer(pointer) => pointer.find(batch, index),
        };
        span.filter(|span| span.is_some()).map_or(KeyBytes::None, KeyBytes::Arena)
    }
}

#[cfg(test)]
mod tests;
