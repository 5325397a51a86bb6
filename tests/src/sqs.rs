//! A sender for any SQS server, through the AWS SDK: what the appliance receives was not made by our code.

use std::collections::HashMap;

use anyhow::{Context, Result};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    MessageAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry, SendMessageBatchResultEntry,
};
use bench::sqs::OutMessage;
use tokio::runtime::Runtime;

/// What a sender is told about a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// MessageId.
    pub id: String,
    /// Sequence number, of a FIFO queue.
    pub sequence: Option<String>,
}

/// A client of one SQS server.
pub struct Sqs {
    runtime: Runtime,
    client: Client,
}

impl Sqs {
    /// A client of the server at `endpoint`.
    ///
    /// # Errors
    /// No runtime can be made.
    pub fn new(endpoint: &str) -> Result<Sqs> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "tests"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        Ok(Sqs { runtime, client: Client::from_conf(config) })
    }

    /// Creates a queue and returns its URL.
    ///
    /// # Errors
    /// The server refuses.
    pub fn create_queue(&self, name: &str, attributes: &[(&str, &str)]) -> Result<String> {
        let mut call = self.client.create_queue().queue_name(name);
        for &(name, value) in attributes {
            call = call.attributes(QueueAttributeName::from(name), value);
        }
        let answer = self.runtime.block_on(call.send())?;
        answer.queue_url.context("no queue URL in the answer")
    }

    /// Sends messages in batches of ten; returns what became of them in order.
    ///
    /// # Errors
    /// The server refuses one.
    pub fn send(&self, queue_url: &str, messages: &[OutMessage]) -> Result<Vec<Accepted>> {
        let mut accepted = Vec::new();
        for chunk in messages.chunks(10) {
            let mut call = self.client.send_message_batch().queue_url(queue_url);
            for (index, message) in chunk.iter().enumerate() {
                call = call.entries(entry(index, message)?);
            }
            let answer = self.runtime.block_on(call.send())?;
            anyhow::ensure!(answer.failed.is_empty(), "refused: {:?}", answer.failed);
            let told = |entry: SendMessageBatchResultEntry| {
                (entry.id, Accepted { id: entry.message_id, sequence: entry.sequence_number })
            };
            let mut sent: HashMap<String, Accepted> = answer.successful.into_iter().map(told).collect();
            for index in 0..chunk.len() {
                accepted.push(sent.remove(&index.to_string()).context("an entry has no answer")?);
            }
        }
        Ok(accepted)
    }

    /// Visible and in-flight messages.
    ///
    /// # Errors
    /// The server refuses.
    pub fn depth(&self, queue_url: &str) -> Result<(u64, u64)> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let call =
            self.client.get_queue_attributes().queue_url(queue_url).set_attribute_names(Some(names.to_vec()));
        let attributes = self.runtime.block_on(call.send())?.attributes.unwrap_or_default();
        let number = |name: &QueueAttributeName| {
            attributes.get(name).and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
        };
        Ok((number(&names[0]), number(&names[1])))
    }
}

fn entry(index: usize, message: &OutMessage) -> Result<SendMessageBatchRequestEntry> {
    let mut entry = SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(&message.body);
    for attribute in &message.attributes {
        let mut value = MessageAttributeValue::builder().data_type(&attribute.data_type);
        value = if attribute.data_type.starts_with("Binary") {
            value.binary_value(Blob::new(attribute.value.clone()))
        } else {
            value.string_value(String::from_utf8(attribute.value.clone())?)
        };
        entry = entry.message_attributes(&attribute.name, value.build()?);
    }
    entry =
        entry.set_message_group_id(message.group.clone()).set_message_deduplication_id(message.dedup.clone());
    Ok(entry.build()?)
}
