//! Scenarios: the real appliance against real servers, each named by the fault that it must survive.
//!
//! One binary, so that all share one Apache Kafka and are linked once. Every scenario is judged by the
//! two-ledger oracle where the embedded SQS server keeps one of them.

mod clocks;
mod conformance;
mod crashes;
mod credentials;
mod deletes;
mod disks;
mod drains;
mod end_to_end;
mod groups;
mod mapping;
mod members;
mod networks;
mod outages;
mod pipelines;
mod platforms;
mod rejects;
mod reloads;
mod rights;
mod routes;
mod secure;
mod sqs_faults;
mod topics;
