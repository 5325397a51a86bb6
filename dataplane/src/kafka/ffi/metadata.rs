//! What the cluster says about a topic.
//!
//! Level 3. Blocks: for the thread that makes the producer, never for a shard.

use std::time::Duration;

use rdkafka_sys::bindings as sys;

use super::client::Client;
use super::{millis, raw};
use crate::kafka::errors::code;

/// A topic as the cluster describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kafka) struct TopicState {
    /// 0, or why the topic cannot be used.
    pub(in crate::kafka) code: i32,
    /// Partitions that have a leader or not.
    pub(in crate::kafka) partitions: u32,
}

impl Client {
    /// Asks any broker about a topic. An error is a code: no broker could be asked.
    pub(super) fn topic_state(
        &self,
        topic: *mut sys::rd_kafka_topic_t,
        timeout: Duration,
    ) -> Result<TopicState, i32> {
        let mut metadata = std::ptr::null();
        // SAFETY: instance and topic are live; `metadata` is valid for writing.
        let asked =
            unsafe { raw::rd_kafka_metadata(self.instance(), 0, topic, &raw mut metadata, millis(timeout)) };
        if asked != code::NO_ERROR {
            return Err(asked);
        }
        // SAFETY: on success `metadata` points to a live answer with `topic_cnt` topics. The code is read
        // as an integer, see `Polled::next_report`.
        let state = unsafe {
            let topics = (*metadata).topics;
            ((*metadata).topic_cnt > 0).then(|| TopicState {
                code: (&raw const (*topics).err).cast::<i32>().read(),
                partitions: u32::try_from((*topics).partition_cnt).unwrap_or(0),
            })
        };
        // SAFETY: the answer is ours, and nothing points into it any more.
        unsafe { sys::rd_kafka_metadata_destroy(metadata) };
        state.ok_or(code::UNKNOWN_TOPIC_OR_PART)
    }
}
