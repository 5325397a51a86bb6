//! The source side of a pipeline: which queue, how it is reached, how it is polled.
//!
//! Level 0, plain types.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::Time;

/// The SQS queue that a pipeline receives from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// URL of the queue, as AWS shows it.
    pub url: String,
    /// AWS region that requests are signed for. Unset: taken from the URL, else from the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Another endpoint than the URL's host: a VPC endpoint or an emulator, for example
    /// `https://vpce-0a1b.sqs.eu-west-1.vpce.amazonaws.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Use the region's dual-stack endpoint (IPv6).
    #[serde(default)]
    pub dual_stack: bool,
    /// Use the region's FIPS endpoint.
    #[serde(default)]
    pub fips: bool,
    /// HTTP proxy for the connections to SQS, for example `http://proxy:3128`. Variables such as `HTTPS_PROXY`
    /// are not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// PEM file with the certificate authorities that may sign the endpoint's certificate, instead of the
    /// machine's trust store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Long poll of each receive, 0 s to 20 s, whole seconds.
    #[serde(default = "wait_time")]
    pub wait_time: Time,
    /// Visibility timeout asked for with each receive, 1 s to 12 h. Unset: the queue's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility_timeout: Option<Time>,
    /// Longest time that a message is held by extending its lease, up to 12 h; then it is left to the queue.
    #[serde(default = "hold_max")]
    pub hold_max: Time,
    /// Most receives in flight for this queue on one shard, 1 to 512. The fleet finds its size itself, from
    /// one on an empty queue to what fills a core at the round trip there is; each has a connection.
    #[serde(default = "pollers_max")]
    pub pollers_max: u16,
    /// Most deletes in flight for this queue on one shard, 1 to 512; each has a connection.
    #[serde(default = "deleters_max")]
    pub deleters_max: u16,
    /// Compare MD5OfBody of each message; costs about 1.7 µs of CPU a KiB. TCP and TLS have checksums of
    /// their own.
    #[serde(default)]
    pub verify_md5: bool,
    /// How AWS credentials are found.
    #[serde(default)]
    pub aws: Aws,
}

/// How AWS credentials are found: the default chain (environment, profile, SSO, web identity, container,
/// instance metadata), optionally through a role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Aws {
    /// Profile of the shared config files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Role to assume, for a queue of another account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// External id that the role's trust policy asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Session name shown in CloudTrail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_name: Option<String>,
}

impl Queue {
    /// A queue with every setting at its default.
    pub fn new(url: &str) -> Queue {
        Queue {
            url: url.to_owned(),
            region: None,
            endpoint: None,
            dual_stack: false,
            fips: false,
            proxy: None,
            ca_file: None,
            wait_time: wait_time(),
            visibility_timeout: None,
            hold_max: hold_max(),
            pollers_max: pollers_max(),
            deleters_max: deleters_max(),
            verify_md5: false,
            aws: Aws::default(),
        }
    }
}

fn wait_time() -> Time {
    Time::from_secs(20)
}

fn hold_max() -> Time {
    Time::from_secs(600)
}

fn pollers_max() -> u16 {
    320
}

fn deleters_max() -> u16 {
    320
}
