//! The topic of a message: constant, or a template over its type and attributes with an allow-list.
//!
//! Level 1, pure. A topic that the list does not name is a rejection, never a silent default.

use crate::config;
use crate::error::Rejection;
use crate::message::{Batch, Message, Span};

/// The topics of a route.
#[derive(Debug)]
pub(crate) struct Topics {
    names: Vec<String>,
    /// Number of each topic in the courses; positions, unless the route has changed.
    numbers: Vec<u16>,
    template: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Text(Vec<u8>),
    Type,
    Attribute(Vec<u8>),
}

impl Topics {
    /// Compiles the rule. The config has been checked before.
    pub(crate) fn new(route: &config::Route) -> Topics {
        if !route.topic.contains("${") {
            return Topics { names: vec![route.topic.clone()], numbers: vec![0], template: Vec::new() };
        }
        let mut template = Vec::new();
        let mut rest = route.topic.as_str();
        while let Some((text, after)) = rest.split_once("${") {
            let (field, after) = after.split_once('}').unwrap_or((after, ""));
            template.push(Part::Text(text.as_bytes().to_vec()));
            template.push(match field.strip_prefix("attribute:") {
                Some(name) => Part::Attribute(name.as_bytes().to_vec()),
                None => Part::Type,
            });
            rest = after;
        }
        template.push(Part::Text(rest.as_bytes().to_vec()));
        let numbers = (0..).take(route.topics.len()).collect();
        Topics { names: route.topics.clone(), numbers, template }
    }

    /// Numbers the topics by their positions in a list that names them all.
    pub(crate) fn number_by(&mut self, known: &[String]) {
        let number = |name: &String| known.iter().position(|known| known == name).unwrap_or_default();
        self.numbers = self.names.iter().map(|name| number(name) as u16).collect();
    }

    /// Whether a message may be sent to the topic of this number.
    pub(crate) fn has(&self, number: u16) -> bool {
        self.numbers.contains(&number)
    }

    /// All topics that a message may go to.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of a message's topic.
    pub(crate) fn choose(
        &self,
        batch: &Batch,
        message: &Message,
        type_span: Option<Span>,
    ) -> Result<u16, Rejection> {
        if self.template.is_empty() {
            return Ok(self.numbers[0]);
        }
        let mut wanted = Vec::with_capacity(64);
        for part in &self.template {
            let field = match part {
                Part::Text(text) => Some(text.as_slice()),
                Part::Type => type_span.map(|span| batch.slice(span)),
                Part::Attribute(name) => batch.attribute(message, name).map(|found| batch.slice(found.value)),
            };
            let Some(field) = field else {
                let reason = "a field that the topic template names is missing in the message".to_owned();
                return Err(Rejection { stage: "route", code: "topic_field_missing", reason });
            };
            wanted.extend_from_slice(field);
        }
        let index = self.names.iter().position(|name| name.as_bytes() == wanted);
        index.map(|index| self.numbers[index]).ok_or_else(|| {
            let shown: String = String::from_utf8_lossy(&wanted).chars().take(249).collect();
            let reason = format!("the topic `{shown}` is not in route.topics");
            Rejection { stage: "route", code: "topic_not_allowed", reason }
        })
    }
}
