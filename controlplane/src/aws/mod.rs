//! The AWS side off the hot path: the credential chain, queue attributes, and texts that say what to do.
//!
//! Uses the AWS SDK on the control plane's runtime. The shards sign and speak SQS themselves; they get credentials
//! and queue facts from here and nothing else.

mod client;
mod explain;
mod keeper;
mod queue_name;

pub(crate) use client::{Access, https_client};
pub(crate) use explain::{Trouble, causes, no_credentials, of_call};
pub(crate) use keeper::{Keeper, facts_of};
pub(crate) use queue_name::QueueName;
