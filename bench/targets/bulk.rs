//! Produces bodies from memory in bulk and by reference, through `rd_kafka_produce_batch`, which the rdkafka crate
//! does not offer.
#![allow(unsafe_code, reason = "librdkafka's batch call takes raw messages")]

use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::ptr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka_sys as sys;

/// Lets the partitioner choose. Source: `RD_KAFKA_PARTITION_UA` of rdkafka.h, a macro that the bindings lack.
const PARTITION_UNASSIGNED: i32 = -1;

/// A producer of what lies in memory.
pub(crate) struct Bulk {
    producer: BaseProducer,
    topic: *mut sys::rd_kafka_topic_t,
    /// Never freed: librdkafka reads them whenever it likes.
    pool: Vec<&'static [u8]>,
    next: Cell<usize>,
    messages: RefCell<Vec<sys::rd_kafka_message_t>>,
}

impl Bulk {
    /// A producer for a topic. The bodies stay in memory until the process ends.
    ///
    /// # Errors
    /// The topic's name holds a zero byte, or there is no body.
    pub(crate) fn new(producer: BaseProducer, topic: &str, pool: Vec<Box<[u8]>>) -> Result<Bulk> {
        ensure!(!pool.is_empty(), "nothing to produce");
        let name = CString::new(topic)?;
        // SAFETY: the client lives as long as `producer`, which this struct keeps and drops after the topic; the name
        // is copied; no configuration is passed.
        let topic = unsafe {
            sys::rd_kafka_topic_new(producer.client().native_ptr(), name.as_ptr(), ptr::null_mut())
        };
        ensure!(!topic.is_null(), "librdkafka refuses the topic {name:?}");
        let pool = pool.into_iter().map(|body| &*Box::leak(body)).collect();
        Ok(Bulk { producer, topic, pool, next: Cell::new(0), messages: RefCell::default() })
    }

    /// Messages that are not acked yet.
    pub(crate) fn in_flight(&self) -> usize {
        usize::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }

    /// Takes delivery reports.
    pub(crate) fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Produces so many bodies.
    ///
    /// # Errors
    /// librdkafka did not take them all: its queue is longer than what is let in flight.
    pub(crate) fn produce(&self, count: usize) -> Result<()> {
        let mut messages = self.messages.borrow_mut();
        messages.clear();
        messages.extend((0..count).map(|_| self.message()));
        let length = i32::try_from(messages.len()).context("a batch of more than 2 thousand million")?;
        // SAFETY: `messages` holds `length` valid messages and is not touched meanwhile. Without flags librdkafka
        // neither copies nor frees the payloads; they are never freed. The opaque is null, as this producer's context
        // expects.
        let taken = unsafe {
            sys::rd_kafka_produce_batch(self.topic, PARTITION_UNASSIGNED, 0, messages.as_mut_ptr(), length)
        };
        self.poll();
        ensure!(taken == length, "librdkafka took {taken} of {length} messages");
        Ok(())
    }

    fn message(&self) -> sys::rd_kafka_message_t {
        let body = self.pool[self.next.get() % self.pool.len()];
        self.next.set(self.next.get() + 1);
        // SAFETY: a message of C, for which all zero is "nothing set".
        let mut message: sys::rd_kafka_message_t = unsafe { std::mem::zeroed() };
        message.payload = body.as_ptr().cast_mut().cast();
        message.len = body.len();
        message
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        // SAFETY: made by `rd_kafka_topic_new`, destroyed once, while the client still lives.
        unsafe { sys::rd_kafka_topic_destroy(self.topic) };
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::config::ClientConfig;
    use rdkafka::mocking::MockCluster;

    use super::*;

    #[test]
    fn every_body_is_acked() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 2, 1).unwrap();
        let producer =
            ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap();
        let pool = (0..7).map(|byte| vec![byte; 100].into_boxed_slice()).collect();
        let bulk = Bulk::new(producer, "t", pool).unwrap();
        bulk.produce(1000).unwrap();
        bulk.producer.flush(Duration::from_secs(20)).unwrap();
        assert_eq!(bulk.in_flight(), 0);
        let high: i64 = (0..2)
            .map(|partition| {
                bulk.producer.client().fetch_watermarks("t", partition, Duration::from_secs(20)).unwrap().1
            })
            .sum();
        assert_eq!(high, 1000);
    }
}
