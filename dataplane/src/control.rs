//! The door between the planes: plain data only.
//!
//! Commands go down, snapshots come up. Nothing that crosses holds a reference or a channel, so the same
//! types serve within one process and over a socket.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::{Config, Rate};
use crate::stats::{Codes, Counters, Latency};

/// Something that the data plane is told to do. Every shard gets every command.
///
/// A data plane in a process of its own fetches credentials and queue facts itself: secrets cross no socket.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Fresh AWS credentials of one pipeline. Old ones are used until these arrive.
    #[serde(skip)]
    Credentials {
        /// Name of the pipeline.
        pipeline: String,
        /// The credentials.
        credentials: Credentials,
    },
    /// What SQS says about a pipeline's queue; receiving starts with the first of these.
    #[serde(skip)]
    QueueFacts {
        /// Name of the pipeline.
        pipeline: String,
        /// The facts.
        facts: QueueFacts,
    },
    /// Stop receiving for a pipeline; what is held is finished.
    Pause {
        /// Name of the pipeline.
        pipeline: String,
    },
    /// Receive again for a paused pipeline; a stopped one stays so.
    Resume {
        /// Name of the pipeline.
        pipeline: String,
    },
    /// Drain one pipeline: as `Pause`, and what is still held at the drain's deadline is released.
    Stop {
        /// Name of the pipeline.
        pipeline: String,
    },
    /// Receive again, whether the pipeline is paused or stopped.
    Start {
        /// Name of the pipeline.
        pipeline: String,
    },
    /// Other limits for a pipeline, until its `rate` in the configuration changes.
    Rate {
        /// Name of the pipeline.
        pipeline: String,
        /// The limits, of all shards together.
        rate: Rate,
    },
    /// A changed configuration. Each shard takes what [`Config::adopting`] takes, all at once, or refuses it whole.
    Apply {
        /// Number of the configuration, higher than any before it. A shard passes over one that it has seen.
        epoch: u64,
        /// The configuration; it has no [problems](Config::problems).
        config: Arc<Config>,
    },
    /// Stop receiving everywhere, finish what is held, release the rest at the deadline, end.
    Drain,
    /// Release what is held now and end: the second signal.
    Abort,
}

/// AWS credentials; secrets are wiped when dropped and never printed.
#[derive(Clone)]
pub struct Credentials {
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: Zeroizing<String>,
    /// Session token of temporary credentials.
    pub session_token: Option<Zeroizing<String>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// What SQS says about a queue. Source: GetQueueAttributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueFacts {
    /// `FifoQueue`.
    pub fifo: bool,
    /// `VisibilityTimeout`, seconds.
    pub visibility_timeout_s: u32,
    /// `maxReceiveCount` of the redrive policy.
    pub receive_count_max: Option<u32>,
    /// `MaximumMessageSize`, bytes.
    pub message_bytes_max: u32,
}

/// Something that a shard asks of the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// SQS refuses a pipeline's credentials: fetch fresh ones.
    Credentials {
        /// Name of the pipeline.
        pipeline: String,
    },
}

/// State of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for credentials, queue facts or its producer.
    Starting,
    /// Receives and delivers.
    Running,
    /// Told to stop receiving.
    Paused,
    /// The breaker is open: Kafka or SQS refuses; nothing is received until a probe succeeds.
    Broken,
    /// Finishing before the end.
    Draining,
    /// Nothing is held any more and nothing will be received.
    Stopped,
}

/// One pipeline on one shard, as published once a second.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PumpReport {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Its state on this shard.
    pub state: State,
    /// Why it is not `Running`, in one sentence; empty otherwise.
    pub reason: String,
    /// Counters since the start.
    pub counters: Counters,
    /// Latencies since the start.
    pub latency: Latency,
    /// Message types, at most [`crate::limits::TYPES_MAX`] and `other`.
    pub types: Vec<TypeReport>,
    /// SQS errors by `operation:code`.
    pub sqs_errors: Codes,
    /// Kafka errors by code.
    pub kafka_errors: Codes,
    /// Rejected messages by code.
    pub rejections: Codes,
    /// Receives in flight now.
    pub pollers: u32,
    /// Learnt offset of AWS's clock against ours, seconds.
    pub clock_skew_s: i64,
    /// Limits in force, of all shards together.
    pub rate: Rate,
    /// Whether receiving waits for a limit at this moment.
    pub rate_limited: bool,
}

/// A configuration that a shard has refused whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its number.
    pub epoch: u64,
    /// Why, in one sentence that names the field.
    pub reason: String,
}

/// One message type on one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeReport {
    /// Name of the type.
    pub name: String,
    /// Messages received.
    pub count: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Messages rejected.
    pub errors: u64,
}

/// One shard, as published once a second.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShardReport {
    /// Number of the shard, from 0.
    pub shard: u16,
    /// Core that it is pinned to.
    pub core: Option<u16>,
    /// The kernel leaves completions until the shard asks for them, instead of interrupting it (Linux 5.19).
    pub cooperative_rings: bool,
    /// Monotonic time of this report, nanoseconds.
    pub at_ns: u64,
    /// Turns of the shard's clock task: a shard that is alive goes on counting.
    pub turns: u64,
    /// Longest time between two turns that were due within 100 ms, microseconds, in the last second.
    pub stall_us: u64,
    /// Number of the configuration in force; 0 is the one that the process started with.
    pub epoch: u64,
    /// The last configuration that was refused, until a later one is in force.
    pub refused: Option<Refused>,
    /// Pipelines on this shard.
    pub pumps: Vec<PumpReport>,
}

/// CPU time of one thread of the data plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadCpu {
    /// Name of the thread.
    pub name: String,
    /// User and system time, nanoseconds.
    pub cpu_ns: u64,
}
