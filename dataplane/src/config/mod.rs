//! The appliance's configuration as plain types: what an operator may set, with unit, default and range.
//!
//! Level 0. The doc comments are the manual: `millrace config default` and the JSON Schema are made
//! from them. Reading the TOML text is the control plane's work; [`Config::problems`] says what a text
//! that parses still gets wrong.

mod api;
mod api_problems;
mod attach;
mod change;
mod kafka;
mod pipeline;
mod problems;
mod queue;
mod secret;
mod units;
mod watch;

pub use api::{Api, Backup, Issuer, Session, Tls};
pub use attach::{Address, Attach, Door, MutualTls};
pub use change::{Change, LIVE, is_hidden, is_live};
pub use kafka::{Compression, Kafka, Mechanism, Protocol, Security};
pub use pipeline::{
    Breaker, Budget, DeadLetter, Headers, Key, Masking, Pipeline, Rate, Route, TypeRule, Validate,
};
pub use problems::Problem;
pub use queue::{Aws, Queue};
pub use secret::{SecretError, SecretRef};
pub use units::{Bytes, Time};
pub use watch::{Alerts, Cost, Emf, Export, Otlp, Sns, Webhook};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Everything that an appliance is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Cores and threads of the data plane.
    pub shards: Shards,
    /// The control plane's HTTP listener.
    pub api: Api,
    /// What happens on SIGTERM.
    pub drain: Drain,
    /// Pipelines: each moves one queue to one route. At least one, at most 64.
    pub pipeline: Vec<Pipeline>,
    /// Alerts and who is told.
    pub alerts: Alerts,
    /// What SQS requests cost.
    pub cost: Cost,
    /// Export of figures.
    pub export: Export,
    /// Where control planes in other processes attach to this data plane. Read at start; a change needs a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub door: Option<Door>,
    /// Data planes that `millrace controlplane` attaches, at most 64. Read at start; a change needs a restart.
    pub attach: Vec<Attach>,
}

/// Cores and threads of the data plane. Read at start; a change needs a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Shards {
    /// Number of shards, 1 to 256. Unset: one for each core that the affinity mask and the cgroup quota
    /// allow, less `reserve_cores`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u16>,
    /// Pin each shard to a core of its own. Without enough cores the shards run unpinned, with a warning.
    pub pin: bool,
    /// Cores kept free for the control plane when `count` is unset and more than one core is allowed.
    pub reserve_cores: u16,
    /// Cores for librdkafka's threads. Unset: each producer's threads share its shard's core when pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka_cores: Option<Vec<u16>>,
}

impl Default for Shards {
    fn default() -> Self {
        Shards { count: None, pin: true, reserve_cores: 0, kafka_cores: None }
    }
}

/// What happens on SIGTERM: stop receiving, finish what is held, release the rest, exit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Drain {
    /// Time until held messages are released and the process ends, 1 s to 12 h. A receive in flight may
    /// take its whole `wait_time`, so this should be longer; Kubernetes' grace period must be longer still.
    pub deadline: Time,
}

impl Default for Drain {
    fn default() -> Self {
        Drain { deadline: Time::from_secs(25) }
    }
}
