//! The source: leases, calls and the wire format of SQS.
//!
//! Level 3, over pure parts of level 1. Never imports the sink.

pub(crate) mod call;
#[cfg(test)]
mod differential_tests;
pub(crate) mod endpoint;
pub(crate) mod errors;
pub(crate) mod lease;
mod md5;
pub(crate) mod protocol;
pub(crate) mod sign;
