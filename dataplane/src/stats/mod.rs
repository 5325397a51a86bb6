//! What a shard counts and times, as plain data that crosses the door.
//!
//! Level 1, pure. A shard is the only writer of its own numbers; it publishes a copy once a second.

mod counters;
mod crossing;
mod latency;

pub use counters::{Codes, Counters};
pub use latency::{Latency, Percentiles, STAGES, Stage};
