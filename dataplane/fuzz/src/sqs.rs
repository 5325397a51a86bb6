//! The codec's modules under the paths by which they know each other.

#[path = "../../src/sqs/errors.rs"]
pub(crate) mod errors;
#[path = "../../src/sqs/protocol/mod.rs"]
pub(crate) mod protocol;
#[path = "../../src/sqs/sign/mod.rs"]
pub(crate) mod sign;
