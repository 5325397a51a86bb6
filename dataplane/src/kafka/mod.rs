//! The sink: one librdkafka producer per producing shard.
//!
//! Level 3. [`producer`] is the safe face that a shard uses; everything unsafe is in [`ffi`], which
//! guarantees that payloads stay alive while librdkafka points at them. Nothing here waits on the shard's
//! thread: records go in without blocking, reports come out of a queue that wakes the shard through a
//! socket. This module never decides to drop a record: it reports, the shard decides.

pub(crate) mod errors;
pub(crate) mod ffi;
pub(crate) mod options;
pub(crate) mod partition;
pub(crate) mod producer;
mod slab;
mod spread;
pub(crate) mod threads;
pub(crate) mod warm_up;

#[cfg(test)]
mod tests;
