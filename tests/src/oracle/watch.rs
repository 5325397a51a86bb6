//! Looks at both ledgers while a run goes on: how long the SQS ledger is, then what Kafka has confirmed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use bench::sqs::Server;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::reader::{Record, consumer, partitions};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Longest wait for one watermark; a look that waits longer is given up, and the next one judges.
const PATIENCE: Duration = Duration::from_secs(1);

/// One look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Entries of the SQS ledger before Kafka was asked.
    pub events: usize,
    /// High watermarks by topic and partition, asked afterwards.
    pub watermarks: HashMap<(String, i32), i64>,
}

impl Look {
    /// Whether a record was confirmed at this look.
    pub(super) fn has(&self, record: &Record) -> bool {
        self.watermark(record).is_some_and(|watermark| record.offset < watermark)
    }

    /// Whether a record's partition was looked at.
    pub(super) fn knows(&self, record: &Record) -> bool {
        self.watermark(record).is_some()
    }

    fn watermark(&self, record: &Record) -> Option<i64> {
        self.watermarks.get(&(record.topic.clone(), record.partition)).copied()
    }
}

/// Topic and partition.
type Place = (String, i32);

/// A thread that looks; it ends when dropped.
pub struct Watch {
    stop: Arc<AtomicBool>,
    places: Arc<Mutex<Vec<Place>>>,
    looks: Arc<Mutex<Vec<Look>>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to look at a server's ledger and at topics.
    ///
    /// # Errors
    /// Kafka does not know the topics.
    pub fn begin(server: Arc<Server>, bootstrap: &str, topics: &[&str]) -> Result<Watch> {
        let consumer = consumer(bootstrap)?;
        let mut places = Vec::new();
        for &topic in topics {
            places.extend(places_of(&consumer, topic)?);
        }
        let places = Arc::new(Mutex::new(places));
        let places_too = Arc::clone(&places);
        let stop = Arc::new(AtomicBool::new(false));
        let looks = Arc::new(Mutex::new(Vec::new()));
        let (stop_too, looks_too) = (Arc::clone(&stop), Arc::clone(&looks));
        let thread = std::thread::spawn(move || {
            let mut events = 0;
            while !stop_too.load(Ordering::Relaxed) {
                // Only the new part is copied.
                events += server.ledger(events).len();
                let places = places_too.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(watermarks) = watermarks(&consumer, &places) {
                    let look = Look { events, watermarks };
                    looks_too.lock().unwrap_or_else(PoisonError::into_inner).push(look);
                }
                std::thread::sleep(PAUSE);
            }
        });
        Ok(Watch { stop, places, looks, thread: Some(thread) })
    }

    /// Looks at one more topic.
    ///
    /// # Errors
    /// Kafka does not know the topic.
    pub fn add(&self, bootstrap: &str, topic: &str) -> Result<()> {
        let more = places_of(&consumer(bootstrap)?, topic)?;
        self.places.lock().unwrap_or_else(PoisonError::into_inner).extend(more);
        Ok(())
    }

    /// Ends, and gives the looks.
    pub fn end(mut self) -> Vec<Look> {
        self.join();
        std::mem::take(&mut self.looks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn join(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _it_had_panicked = thread.join();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.join();
    }
}

fn places_of(consumer: &BaseConsumer, topic: &str) -> Result<Vec<Place>> {
    Ok(partitions(consumer, topic)?.into_iter().map(|number| (topic.to_owned(), number)).collect())
}

/// `None` when Kafka does not answer: the scenario may have stopped it.
fn watermarks(consumer: &BaseConsumer, places: &[Place]) -> Option<HashMap<(String, i32), i64>> {
    let ask = |(topic, partition): &Place| {
        let (_, high) = consumer.fetch_watermarks(topic, *partition, PATIENCE).ok()?;
        Some(((topic.clone(), *partition), high))
    };
    places.iter().map(ask).collect()
}
