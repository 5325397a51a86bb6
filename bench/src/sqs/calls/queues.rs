//! Actions on queues: create, look up, set, list, purge, tag.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{State, parse, wall_ms};
use crate::sqs::error::ApiError;
use crate::sqs::queue::Queue;
use crate::sqs::settings::{Settings, arn};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Call {
    #[serde(default)]
    queue_url: String,
    #[serde(default)]
    queue_name: String,
    #[serde(default)]
    queue_name_prefix: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

impl State {
    pub(super) fn queue_call(&mut self, operation: &str, body: &[u8]) -> Result<Vec<u8>, ApiError> {
        let call: Call = parse(body)?;
        let answer = match operation {
            "CreateQueue" => self.create_queue(&call.queue_name, &call.attributes, call.tags)?,
            "GetQueueUrl" => {
                self.queues.get(&call.queue_name).ok_or_else(ApiError::no_queue)?;
                json!({ "QueueUrl": self.queue_url(&call.queue_name) })
            }
            "ListQueues" => self.list_queues(&call.queue_name_prefix),
            "GetQueueAttributes" => self.queue_attributes(&call)?,
            "SetQueueAttributes" => self.set_attributes(&call)?,
            "PurgeQueue" => self.purge(&call.queue_url)?,
            "DeleteQueue" => {
                let name = self.queue(&call.queue_url)?.name.clone();
                self.delete_queue(&name);
                json!({})
            }
            "TagQueue" => {
                self.queue(&call.queue_url)?.tags.extend(call.tags);
                json!({})
            }
            "UntagQueue" => {
                self.queue(&call.queue_url)?.tags.retain(|name, _| !call.tag_keys.contains(name));
                json!({})
            }
            "ListQueueTags" => json!({ "Tags": self.queue(&call.queue_url)?.tags }),
            "ListDeadLetterSourceQueues" => self.dead_letter_sources(&call.queue_url)?,
            _ => {
                let text = format!("The action {operation} is not valid for this endpoint.");
                return Err(ApiError {
                    query_code: "InvalidAction",
                    ..ApiError::new("UnknownOperationException", text)
                });
            }
        };
        Ok(answer.to_string().into_bytes())
    }

    /// Creates a queue, or finds it with the same attributes.
    pub(crate) fn create_queue(
        &mut self,
        name: &str,
        attributes: &BTreeMap<String, String>,
        tags: BTreeMap<String, String>,
    ) -> Result<Value, ApiError> {
        let stem = name.strip_suffix(".fifo").unwrap_or(name);
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if stem.is_empty() || name.len() > 80 || !stem.chars().all(legal) {
            return Err(ApiError::invalid_parameter(
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
            ));
        }
        let mut settings = Settings::default();
        for (attribute, value) in attributes {
            settings.set(attribute, value)?;
        }
        if settings.fifo != name.ends_with(".fifo") {
            return Err(ApiError::invalid_parameter(
                "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length.",
            ));
        }
        match self.queues.get(name) {
            Some(queue) if queue.settings != settings => {
                return Err(ApiError {
                    query_code: "QueueAlreadyExists",
                    ..ApiError::new(
                        "QueueNameExists",
                        "A queue already exists with the same name and a different value for an attribute.",
                    )
                });
            }
            Some(_) => {}
            None => {
                let mut queue = Queue::new(name, settings, wall_ms() / 1000);
                queue.tags = tags;
                self.queues.insert(name.to_owned(), queue);
            }
        }
        Ok(json!({ "QueueUrl": self.queue_url(name) }))
    }

    fn list_queues(&self, prefix: &str) -> Value {
        let mut names: Vec<&String> = self.queues.keys().filter(|name| name.starts_with(prefix)).collect();
        names.sort();
        let urls: Vec<String> = names.into_iter().map(|name| self.queue_url(name)).collect();
        if urls.is_empty() { json!({}) } else { json!({ "QueueUrls": urls }) }
    }

    fn queue_attributes(&mut self, call: &Call) -> Result<Value, ApiError> {
        let now_ns = self.now_ns();
        let mut ledger = std::mem::take(&mut self.ledger);
        let queue = self.queue(&call.queue_url);
        let shown = queue.map(|queue| {
            queue.advance(now_ns, &mut ledger);
            let depth = queue.depth();
            let mut shown = queue.settings.shown();
            shown.extend([
                ("QueueArn".to_owned(), arn(&queue.name)),
                ("ApproximateNumberOfMessages".to_owned(), depth.visible.to_string()),
                ("ApproximateNumberOfMessagesNotVisible".to_owned(), depth.in_flight.to_string()),
                ("ApproximateNumberOfMessagesDelayed".to_owned(), depth.delayed.to_string()),
                ("CreatedTimestamp".to_owned(), queue.created_s.to_string()),
                ("LastModifiedTimestamp".to_owned(), queue.created_s.to_string()),
            ]);
            shown
        });
        self.ledger = ledger;
        let names = &call.attribute_names;
        let wanted = |name: &str| names.iter().any(|asked| asked == "All" || asked == name);
        let shown: BTreeMap<String, String> = shown?.into_iter().filter(|(name, _)| wanted(name)).collect();
        if shown.is_empty() { Ok(json!({})) } else { Ok(json!({ "Attributes": shown })) }
    }

    fn set_attributes(&mut self, call: &Call) -> Result<Value, ApiError> {
        let queue = self.queue(&call.queue_url)?;
        let mut settings = queue.settings.clone();
        for (name, value) in &call.attributes {
            settings.set(name, value)?;
        }
        if settings.fifo != queue.settings.fifo {
            return Err(ApiError::invalid_parameter(
                "You can specify the FifoQueue attribute only during queue creation.",
            ));
        }
        queue.settings = settings;
        Ok(json!({}))
    }

    /// Deletes a queue with all that it holds. Returns whether there was one.
    pub(crate) fn delete_queue(&mut self, name: &str) -> bool {
        let now_ns = self.now_ns();
        let Some(mut queue) = self.queues.remove(name) else { return false };
        queue.purge(now_ns, &mut self.ledger);
        true
    }

    fn purge(&mut self, url: &str) -> Result<Value, ApiError> {
        let now_ns = self.now_ns();
        let mut ledger = std::mem::take(&mut self.ledger);
        let purged = self.queue(url).map(|queue| queue.purge(now_ns, &mut ledger));
        self.ledger = ledger;
        purged.map(|()| json!({}))
    }

    fn dead_letter_sources(&mut self, url: &str) -> Result<Value, ApiError> {
        let name = self.queue(url)?.name.clone();
        let points_here =
            |queue: &&Queue| queue.settings.redrive.as_ref().is_some_and(|(target, _)| *target == name);
        let urls: Vec<String> =
            self.queues.values().filter(points_here).map(|queue| self.queue_url(&queue.name)).collect();
        Ok(json!({ "queueUrls": urls }))
    }
}
