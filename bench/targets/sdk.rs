//! The same job through the usual crates, done well: aws-sdk-sqs and rdkafka's FutureProducer on tokio.
//!
//! Several tasks receive; each hands its ten messages to the producer and a task of their own waits for the acks and
//! deletes them, so that the next receive does not wait for a linger.

mod arguments;

use std::sync::Arc;

use anyhow::{Context, Result};
use arguments::Arguments;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use clap::Parser;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Receives under way for each thread.
const RECEIVERS: usize = 32;
/// Messages of a receive. Source: ReceiveMessage, `MaxNumberOfMessages`.
const BATCH: u32 = 10;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(arguments.shards)
        .thread_name("sdk")
        .enable_all()
        .build()?;
    runtime.block_on(run(arguments))
}

struct Pump {
    arguments: Arguments,
    sqs: Client,
    producer: FutureProducer,
    in_flight: Arc<Semaphore>,
}

async fn run(arguments: Arguments) -> Result<()> {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(&arguments.endpoint)
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "bench"))
        .http_client(http_client(&arguments)?)
        .build();
    let pump = Arc::new(Pump {
        sqs: Client::from_conf(config),
        producer: arguments.producer().create()?,
        in_flight: Arc::new(Semaphore::new(arguments.in_flight_max() * arguments.shards)),
        arguments,
    });
    let receivers = RECEIVERS * pump.arguments.shards;
    let tasks: Vec<_> = (0..receivers).map(|_| tokio::spawn(receive(Arc::clone(&pump)))).collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

fn http_client(arguments: &Arguments) -> Result<SharedHttpClient> {
    let Some(pem) = arguments.ca_pem()? else { return Ok(Builder::new().build_http()) };
    let trusted = TrustStore::empty().with_pem_certificate(pem);
    let context = TlsContext::builder().with_trust_store(trusted).build()?;
    let builder = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(context);
    Ok(builder.build_https())
}

async fn receive(pump: Arc<Pump>) -> Result<()> {
    loop {
        let permits = Arc::clone(&pump.in_flight).acquire_many_owned(BATCH).await?;
        let mut call = pump
            .sqs
            .receive_message()
            .queue_url(&pump.arguments.queue_url)
            .max_number_of_messages(BATCH.cast_signed())
            .wait_time_seconds(20);
        if pump.arguments.attributes {
            call = call.message_attribute_names("All");
        }
        if pump.arguments.fifo {
            call = call.message_system_attribute_names(MessageSystemAttributeName::MessageGroupId);
        }
        let messages = call.send().await?.messages.unwrap_or_default();
        if messages.is_empty() {
            continue;
        }
        let produced =
            messages.into_iter().map(|message| produce(&pump, message)).collect::<Result<Vec<_>>>()?;
        tokio::spawn(finish(Arc::clone(&pump), produced, permits));
    }
}

/// A receipt handle and the ack that it waits for.
struct Produced {
    handle: String,
    ack: DeliveryFuture,
}

fn produce(pump: &Pump, message: Message) -> Result<Produced> {
    let body = message.body.context("SQS gave a message without a body")?;
    let handle = message.receipt_handle.context("SQS gave a message without a handle")?;
    let group = message
        .attributes
        .as_ref()
        .and_then(|attributes| attributes.get(&MessageSystemAttributeName::MessageGroupId));
    let mut record = FutureRecord::<str, str>::to(&pump.arguments.topic).payload(&body);
    record.key = group.map(String::as_str);
    record.headers = message.message_attributes.map(|attributes| {
        attributes.iter().fold(OwnedHeaders::new_with_capacity(attributes.len()), |headers, (key, value)| {
            let binary = value.binary_value.as_ref().map(AsRef::as_ref);
            let value = binary.or(value.string_value.as_deref().map(str::as_bytes));
            headers.insert(Header { key, value })
        })
    });
    // The queue of the producer is longer than what the semaphore lets in flight.
    let ack = pump.producer.send_result(record).map_err(|(error, _)| error)?;
    Ok(Produced { handle, ack })
}

/// Waits for the acks and deletes what has one; the rest comes again.
async fn finish(pump: Arc<Pump>, produced: Vec<Produced>, permits: OwnedSemaphorePermit) {
    let mut entries = Vec::with_capacity(produced.len());
    for (index, Produced { handle, ack }) in produced.into_iter().enumerate() {
        if !matches!(ack.await, Ok(Ok(_))) {
            continue;
        }
        let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(handle);
        // Both parts that are required are there.
        entries.extend(entry.build());
    }
    if !entries.is_empty() {
        let call = pump.sqs.delete_message_batch().queue_url(&pump.arguments.queue_url);
        match call.set_entries(Some(entries)).send().await {
            Ok(answer) if answer.failed.is_empty() => {}
            Ok(answer) => eprintln!("deletes were refused: {:?}", answer.failed),
            Err(error) => eprintln!("a delete failed: {error:?}"),
        }
    }
    drop(permits);
}
