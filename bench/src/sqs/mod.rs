//! An SQS server for demos, tests and benchmarks: real HTTP, TLS if asked for, one thread, everything in memory.
//!
//! It speaks AWS JSON 1.0 and the query protocol, keeps SQS's documented rules (visibility, FIFO groups,
//! redrive, limits), checks signatures when it is given keys, plays seeded faults, and writes a ledger. Not a
//! product: it forgets all at its end.

mod attributes;
mod calls;
mod error;
mod faults;
mod http;
mod ledger;
mod message;
mod query;
mod queue;
mod server;
mod settings;
mod sign;
#[cfg(test)]
mod tests;
mod tls;

pub use error::ApiError;
pub use faults::{Action, FaultPlan, Rule};
pub use ledger::{Event, Kind, Ledger};
pub use message::{Attribute, OutMessage};
pub use queue::Depth;
pub use server::{Server, ServerConfig, Stats};
pub use sign::Keys;
pub use tls::Identity;
