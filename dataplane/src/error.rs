//! What to do about an error: the closed set of classes that both error tables map into.
//!
//! Level 0. The tables themselves are `sqs::errors` and `kafka::errors`; nothing in the data path
//! decides by an error's text.

use serde::{Deserialize, Serialize};

/// The action that an error calls for. There is no class that drops a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The same call, asked again with new AWS time: learn the clock offset, sign again.
    ClockSkew,
    /// The message is no longer ours to finish: a stale handle or an expired lease.
    LeaseLost,
    /// Configuration or rights of the other side: stop receiving for this route, alarm, probe slowly.
    Pause,
    /// The producer is unusable: build a new one and send what is not acked again.
    Rebuild,
    /// Ask for new credentials, sign again, then pause if it stays.
    RefreshCredentials,
    /// This message can never be accepted: dead letter, neighbours are unaffected.
    Reject,
    /// Give the message back to the queue; it may or may not be stored.
    Release,
    /// Passing: the same again after a back-off, order kept.
    Retry,
    /// The other side asks for less: back off and use fewer connections.
    Throttled,
}

impl Class {
    /// Stable text of the class for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::ClockSkew => "clock_skew",
            Class::LeaseLost => "lease_lost",
            Class::Pause => "pause",
            Class::Rebuild => "rebuild",
            Class::RefreshCredentials => "refresh_credentials",
            Class::Reject => "reject",
            Class::Release => "release",
            Class::Retry => "retry",
            Class::Throttled => "throttled",
        }
    }
}

/// Why a message went to the dead letter: the stage that refused it and a stable code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Stage of the walk: `decode`, `validate`, `route` or `produce`.
    pub stage: &'static str,
    /// Stable code, listed in the operator's guide (for example `body_not_json`).
    pub code: &'static str,
    /// One sentence for a person; never holds body bytes.
    pub reason: String,
}
