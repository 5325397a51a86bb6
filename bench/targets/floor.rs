//! The floor: the least program that moves messages from SQS to Kafka and deletes them after their acks.
//!
//! glommio, serde_json and librdkafka as anybody would join them, one thread a shard. No signing, no leases, no metrics, no
//! retries, no order to end by: what Millrace costs beyond this is what its promises cost, and what it saves is its
//! fast path.

mod arguments;
mod link;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use base64::Engine as _;
use clap::Parser;
use futures_rustls::TlsConnector;
use glommio::sync::Semaphore;
use glommio::{LocalExecutorBuilder, Placement, Task, timer};
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use serde::Deserialize;

use arguments::Arguments;
use link::Link;

/// Connections that receive, by measurement: 16 to 64 are alike.
const RECEIVERS: usize = 32;
/// Connections that delete; with 4 they fell behind.
const DELETERS: usize = 16;
/// Entries of a DeleteMessageBatch. Source: its API page.
const BATCH: usize = 10;
/// Longest that an ack waits for nine others, and that acks wait for a look.
const TICK: Duration = Duration::from_millis(2);
/// Memory of a shard's ring for registered buffers, which nothing here uses.
const IO_MEMORY_BYTES: usize = 64 << 10;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let cores = cores()?;
    let mut shards = Vec::new();
    for index in 0..arguments.shards {
        // A core each where they suffice; otherwise the kernel decides.
        let placement = match cores.get(index) {
            Some(&core) if arguments.shards <= cores.len() => Placement::Fixed(core),
            _ => Placement::Unbound,
        };
        let own = arguments.clone();
        let builder =
            LocalExecutorBuilder::new(placement).name(&format!("floor-{index}")).io_memory(IO_MEMORY_BYTES);
        shards.push(builder.spawn(move || shard(own)).map_err(|error| anyhow!("{error}"))?);
    }
    for shard in shards {
        shard.join().map_err(|error| anyhow!("{error}"))??;
    }
    Ok(())
}

/// Cores that this process may use.
fn cores() -> Result<Vec<usize>> {
    let set = rustix::thread::sched_getaffinity(None)?;
    Ok((0..rustix::thread::CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect())
}

/// Receipt handles of acked messages, as librdkafka's reports bring them.
#[derive(Default)]
struct Acks {
    handles: Mutex<Reports>,
}

#[derive(Default)]
struct Reports {
    acked: Vec<String>,
    failed: usize,
}

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = Box<String>;

    fn delivery(&self, result: &DeliveryResult<'_>, handle: Box<String>) {
        let mut reports = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(_) => reports.acked.push(*handle),
            // Not deleted: SQS hands it out again.
            Err(_) => reports.failed += 1,
        }
    }
}

struct Shard {
    arguments: Arguments,
    address: SocketAddr,
    tls: Option<TlsConnector>,
    producer: BaseProducer<Acks>,
    in_flight: Cell<usize>,
    acked: RefCell<VecDeque<String>>,
    /// One unit for each batch that waits.
    batches: Semaphore,
    announced: Cell<usize>,
}

async fn shard(arguments: Arguments) -> Result<()> {
    let shard = Rc::new(Shard {
        address: arguments.address()?,
        tls: arguments.tls()?,
        producer: arguments.producer().create_with_context(Acks::default())?,
        arguments,
        in_flight: Cell::new(0),
        acked: RefCell::default(),
        batches: Semaphore::new(0),
        announced: Cell::new(0),
    });
    let mut tasks: Vec<Task<Result<()>>> = Vec::new();
    for _ in 0..RECEIVERS {
        tasks.push(glommio::spawn_local(receive(Rc::clone(&shard))));
    }
    for _ in 0..DELETERS {
        tasks.push(glommio::spawn_local(delete(Rc::clone(&shard))));
    }
    tasks.push(glommio::spawn_local(async move {
        loop {
            timer::sleep(TICK).await;
            shard.gather(true);
        }
    }));
    // None ends but by an error.
    for task in tasks {
        task.await?;
    }
    Ok(())
}

impl Shard {
    /// Takes delivery reports and announces batches; short ones too when the tick says so.
    fn gather(&self, short_too: bool) {
        self.producer.poll(Duration::ZERO);
        let mut reports = self.producer.context().handles.lock().unwrap_or_else(PoisonError::into_inner);
        self.in_flight.set(self.in_flight.get() - std::mem::take(&mut reports.failed));
        let mut acked = self.acked.borrow_mut();
        acked.extend(reports.acked.drain(..));
        let whole = acked.len() / BATCH + usize::from(short_too && !acked.len().is_multiple_of(BATCH));
        let new = whole.saturating_sub(self.announced.get());
        self.announced.set(self.announced.get() + new);
        if new > 0 {
            self.batches.signal(new as u64);
        }
    }

    fn produce(&self, message: &Message<'_>) -> Result<()> {
        let group = message.attributes.get("MessageGroupId");
        let headers = headers(&message.message_attributes)?;
        let mut handle = Box::new(message.receipt_handle.to_owned());
        loop {
            let mut record: BaseRecord<'_, str, str, _> =
                BaseRecord::with_opaque_to(&self.arguments.topic, handle).payload(&message.body);
            record.key = group.map(AsRef::as_ref);
            record.headers = headers.clone();
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), record)) => {
                    handle = record.delivery_opaque;
                    self.producer.poll(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default, rename = "Messages")]
    messages: Vec<Message<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message<'a> {
    #[serde(borrow)]
    body: Cow<'a, str>,
    receipt_handle: &'a str,
    #[serde(borrow, default)]
    attributes: BTreeMap<&'a str, Cow<'a, str>>,
    #[serde(borrow, default)]
    message_attributes: BTreeMap<Cow<'a, str>, Value<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Value<'a> {
    #[serde(borrow)]
    string_value: Option<Cow<'a, str>>,
    binary_value: Option<&'a str>,
}

fn headers(attributes: &BTreeMap<Cow<'_, str>, Value<'_>>) -> Result<Option<OwnedHeaders>> {
    if attributes.is_empty() {
        return Ok(None);
    }
    let mut headers = OwnedHeaders::new_with_capacity(attributes.len());
    for (name, value) in attributes {
        let binary = value.binary_value.map(|text| base64::engine::general_purpose::STANDARD.decode(text));
        let binary = binary.transpose()?;
        let bytes = binary.as_deref().or(value.string_value.as_deref().map(str::as_bytes));
        headers = headers.insert(Header { key: name, value: bytes });
    }
    Ok(Some(headers))
}

async fn receive(shard: Rc<Shard>) -> Result<()> {
    let attributes = if shard.arguments.attributes { ",\"MessageAttributeNames\":[\"All\"]" } else { "" };
    let group =
        if shard.arguments.fifo { ",\"MessageSystemAttributeNames\":[\"MessageGroupId\"]" } else { "" };
    let body = format!(
        "{{\"QueueUrl\":\"{}\",\"MaxNumberOfMessages\":10,\"WaitTimeSeconds\":20{attributes}{group}}}",
        shard.arguments.queue_url
    );
    let request = link::request(shard.address, "ReceiveMessage", &body);
    let mut link = Link::open(shard.address, shard.tls.as_ref()).await?;
    loop {
        while shard.in_flight.get() + BATCH > shard.arguments.in_flight_max() {
            timer::sleep(Duration::from_millis(1)).await;
        }
        shard.in_flight.set(shard.in_flight.get() + BATCH);
        let answer: Answer<'_> = serde_json::from_slice(link.call(&request).await?)?;
        shard.in_flight.set(shard.in_flight.get() + answer.messages.len() - BATCH);
        for message in &answer.messages {
            shard.produce(message)?;
        }
        shard.gather(false);
    }
}

async fn delete(shard: Rc<Shard>) -> Result<()> {
    let mut link = Link::open(shard.address, shard.tls.as_ref()).await?;
    loop {
        shard.batches.acquire(1).await.map_err(|error| anyhow!("{error}"))?;
        shard.announced.set(shard.announced.get() - 1);
        let batch: Vec<String> = {
            let mut acked = shard.acked.borrow_mut();
            let count = acked.len().min(BATCH);
            acked.drain(..count).collect()
        };
        if batch.is_empty() {
            continue;
        }
        let request =
            link::delete_request(shard.address, &shard.arguments.queue_url, batch.iter().map(String::as_str));
        let answer = link.call(&request).await?;
        // What was not deleted comes again: at least once is all that is promised.
        if memchr::memmem::find(answer, b"\"Failed\":[{").is_some() {
            eprintln!("a delete was refused: {}", String::from_utf8_lossy(answer));
        }
        let left = shard.in_flight.get().checked_sub(batch.len());
        shard.in_flight.set(left.context("more was deleted than received")?);
    }
}
