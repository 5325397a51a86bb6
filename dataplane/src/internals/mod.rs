//! Stations of the walk for programs of this tree that measure them: `benches/`.
//!
//! Only with the feature `internals`, which nothing that ships turns on. Thin: it holds no logic of its own; it
//! makes what a station needs and drives it as the tasks of a shard do.

mod codec;
mod stations;

pub use codec::{Requests, batch_results, decode, encode_delete, levels, unescape};
pub use stations::{Judge, LeaseTable, Ring, Walk};
