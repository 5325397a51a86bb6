//! What Millrace is run against and measured with: an embedded SQS server and a load generator.
//!
//! Nothing here is part of the data path. The server keeps a ledger of everything that happened to every
//! message, which is one half of the proof that nothing is lost and nothing deleted early.

pub mod load;
pub mod sqs;
