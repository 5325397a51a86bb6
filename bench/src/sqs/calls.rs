//! The actions of SQS over JSON: parse, do, answer.
//!
//! Source: SQS API reference. Long polls end here as [`Outcome::Wait`]; the server keeps them.

mod messages;
mod queues;

use std::collections::HashMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

pub(crate) use messages::Receive;

use super::error::ApiError;
use super::faults::{Action, Faults};
use super::ledger::Ledger;
use super::queue::Queue;
use super::settings::ACCOUNT;

/// Names of operations that are counted.
const OPERATIONS_MAX: usize = 64;

/// What came of a call.
pub(crate) enum Outcome {
    /// A body for status 200.
    Answer(Vec<u8>),
    /// A long poll that has found nothing yet.
    Wait(Receive),
}

/// Counts since the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub calls: HashMap<String, u64>,
}

/// Everything that the server knows.
pub(crate) struct State {
    pub queues: HashMap<String, Queue>,
    pub ledger: Ledger,
    pub faults: Faults,
    pub counts: Counts,
    pub base_url: String,
    /// Deletes with stale handles are refused on standard queues too.
    pub strict_handles: bool,
    started: Instant,
    ids: u128,
}

impl State {
    pub(crate) fn new(seed: u64, keep_ledger: bool, strict_handles: bool) -> State {
        State {
            queues: HashMap::new(),
            ledger: Ledger::new(keep_ledger),
            faults: Faults::default(),
            counts: Counts::default(),
            base_url: String::new(),
            strict_handles,
            started: Instant::now(),
            ids: u128::from(seed) << 64 | 1,
        }
    }

    /// Nanoseconds since the server's start, never 0.
    pub(crate) fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64 + 1
    }

    /// So many numbers that nobody has; [`spread`] makes MessageIds of them.
    pub(crate) fn take_ids(&mut self, count: usize) -> u128 {
        let first = self.ids;
        self.ids += count as u128;
        first
    }

    pub(crate) fn queue_url(&self, name: &str) -> String {
        format!("{}/{ACCOUNT}/{name}", self.base_url)
    }

    /// The queue that a URL names.
    fn queue(&mut self, url: &str) -> Result<&mut Queue, ApiError> {
        let name = url.rsplit('/').next().unwrap_or_default();
        self.queues.get_mut(name).ok_or_else(ApiError::no_queue)
    }

    /// Counts a call. Operations that do not exist are counted too, as far as there is room.
    fn count(&mut self, operation: &str) {
        if let Some(count) = self.counts.calls.get_mut(operation) {
            *count += 1;
        } else if self.counts.calls.len() < OPERATIONS_MAX {
            self.counts.calls.insert(operation.to_owned(), 1);
        }
    }

    /// Does one call of the JSON protocol.
    pub(crate) fn call(
        &mut self,
        operation: &str,
        body: &[u8],
        fault: Option<&Action>,
    ) -> Result<Outcome, ApiError> {
        self.count(operation);
        let answer = match operation {
            "ReceiveMessage" => return self.receive(body, fault),
            "DeleteMessageBatch" => self.delete_batch(body, fault),
            "ChangeMessageVisibilityBatch" => self.change_visibility_batch(body, fault),
            "SendMessageBatch" => self.send_batch(body, fault),
            "DeleteMessage" => self.delete(body),
            "ChangeMessageVisibility" => self.change_visibility(body),
            "SendMessage" => self.send(body),
            _ => self.queue_call(operation, body),
        };
        answer.map(Outcome::Answer)
    }
}

/// The text of a MessageId: the counter's bits, spread so that ids look and sort like random ones.
pub(crate) fn spread(counter: u128) -> u128 {
    let mix = |seed: u64| {
        let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z ^ (z >> 27)
    };
    // Both steps are invertible, so distinct counters give distinct ids.
    let low = mix(counter as u64);
    let high = mix((counter >> 64) as u64 ^ low);
    u128::from(high) << 64 | u128::from(low)
}

pub(crate) fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        match text.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
            Some((name, _)) => ApiError::missing_parameter(name),
            None => ApiError::new("SerializationException", text),
        }
    })
}
