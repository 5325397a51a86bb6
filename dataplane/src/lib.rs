//! The data plane: receives from SQS, produces to Kafka, deletes what Kafka has confirmed.
//!
//! One shard per core, each a glommio executor that shares nothing. Only [`config`], [`control`],
//! [`stats`] and [`start`] are for other crates; the walk of one message is told in ARCHITECTURE.md.

pub mod clock;
pub mod error;
pub mod limits;
pub mod message;

pub mod config;
pub mod control;
pub mod stats;

mod blueprints;
mod failpoint;
mod handoff;
#[cfg(feature = "internals")]
pub mod internals;
pub(crate) mod kafka;
mod net;
mod pipeline;
mod placement;
mod retry;
mod shard;
mod sqs;
pub mod start;
