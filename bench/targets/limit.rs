//! The limit: what a pump's parts cost when nothing joins them. Not a pump: it deletes what it does not deliver.
//!
//! Receives and deletes on glommio without parsing, taking receipt handles by byte search; and librdkafka producing as
//! many bodies as were received, in bulk and by reference, from memory. A pump that does the same calls on the same
//! libraries cannot cost less; one that keeps promises has to cost more.

mod arguments;
mod bulk;
mod link;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use bench::load::Bodies;
use clap::Parser;
use futures_rustls::TlsConnector;
use glommio::{LocalExecutorBuilder, Placement, timer};
use memchr::memmem;

use arguments::Arguments;
use bulk::Bulk;
use link::Link;

/// As the floor's, deletes and receives by turns on each.
const CONNECTIONS: usize = 32;
/// Messages produced at once.
const BULK: usize = 250;
/// Bytes produced at once, when bodies are large: or nothing would be produced for seconds.
const BULK_BYTES_MAX: usize = 8 << 20;
/// Distinct bodies, as many as the queue's own documents.
const BODIES: u64 = 2048;
/// Bytes of them, when they are large.
const BODIES_BYTES_MAX: u64 = 64 << 20;
/// Memory of a shard's ring for registered buffers, which nothing here uses.
const IO_MEMORY_BYTES: usize = 64 << 10;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut shards = Vec::new();
    for index in 0..arguments.shards {
        let own = arguments.clone();
        let builder = LocalExecutorBuilder::new(Placement::Unbound).name(&format!("limit-{index}"));
        let builder = builder.io_memory(IO_MEMORY_BYTES);
        shards.push(builder.spawn(move || shard(own)).map_err(|error| anyhow!("{error}"))?);
    }
    for shard in shards {
        shard.join().map_err(|error| anyhow!("{error}"))??;
    }
    Ok(())
}

struct Shard {
    address: SocketAddr,
    tls: Option<TlsConnector>,
    queue_url: String,
    bulk: Bulk,
    /// Received and not yet produced.
    owed: Cell<usize>,
    /// Messages produced at once.
    at_once: usize,
    in_flight_max: usize,
}

async fn shard(arguments: Arguments) -> Result<()> {
    let bodies = Bodies::new(1, arguments.body_bytes, 0);
    let count = BODIES.min(BODIES_BYTES_MAX / arguments.body_bytes.max(1) as u64).max(1);
    let pool = (0..count).map(|number| bodies.body(number).text.into_bytes().into_boxed_slice()).collect();
    let shard = Rc::new(Shard {
        address: arguments.address()?,
        tls: arguments.tls()?,
        queue_url: arguments.queue_url.clone(),
        bulk: Bulk::new(arguments.producer().create()?, &arguments.topic, pool)?,
        owed: Cell::new(0),
        at_once: (BULK_BYTES_MAX / arguments.body_bytes.max(1)).clamp(1, BULK),
        in_flight_max: arguments.in_flight_max(),
    });
    let tasks: Vec<_> = (0..CONNECTIONS).map(|_| glommio::spawn_local(turns(Rc::clone(&shard)))).collect();
    for task in tasks {
        task.await?;
    }
    Ok(())
}

/// Receives, deletes, and lets the producer follow.
async fn turns(shard: Rc<Shard>) -> Result<()> {
    let body =
        format!("{{\"QueueUrl\":\"{}\",\"MaxNumberOfMessages\":10,\"WaitTimeSeconds\":20}}", shard.queue_url);
    let receive = link::request(shard.address, "ReceiveMessage", &body);
    let mut link = Link::open(shard.address, shard.tls.as_ref()).await?;
    loop {
        let answer = link.call(&receive).await?;
        let found: Vec<&str> = handles(answer).collect();
        if found.is_empty() {
            continue;
        }
        let count = found.len();
        let delete = link::delete_request(shard.address, &shard.queue_url, found);
        link.call(&delete).await?;
        shard.owed.set(shard.owed.get() + count);
        while shard.owed.get() >= shard.at_once {
            shard.owed.set(shard.owed.get() - shard.at_once);
            shard.bulk.produce(shard.at_once)?;
        }
        while shard.bulk.in_flight() > shard.in_flight_max {
            timer::sleep(Duration::from_millis(1)).await;
            shard.bulk.poll();
        }
    }
}

/// Receipt handles of an answer. Within a body their mark has escaped quotes, so it is never found there.
fn handles(answer: &[u8]) -> impl Iterator<Item = &str> {
    const MARK: &[u8] = b"\"ReceiptHandle\":\"";
    memmem::find_iter(answer, MARK).filter_map(|at| {
        let rest = &answer[at + MARK.len()..];
        std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_found_outside_of_bodies_only() {
        let answer = br#"{"Messages":[{"Body":"{\"ReceiptHandle\":\"no\"}","ReceiptHandle":"a-1"},{"ReceiptHandle":"b"}]}"#;
        assert_eq!(handles(answer).collect::<Vec<_>>(), ["a-1", "b"]);
        assert_eq!(handles(b"{}").count(), 0);
    }
}
