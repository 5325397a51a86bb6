//! Verbs that ask a running appliance over its API: the same routes, roles and audit as for everybody.
//!
//! The token comes from the environment or from a file that only its owner can read, never from the command line,
//! where every process of the machine could read it.

mod alerts;
mod api;
mod client;
pub(crate) mod configs;
mod events;
mod figures;
mod pipelines;
mod rejected;
mod session;
mod tables;
mod topics;
mod verbs;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use dataplane::config::Time;

pub(crate) use alerts::AlertsArgs;
pub(crate) use api::Api;
pub(crate) use figures::{InstancesArgs, LatencyArgs, QueuesArgs, SessionsArgs};
pub(crate) use pipelines::PipelinesArgs;
pub(crate) use rejected::{RejectedArgs, TapArgs};
pub(crate) use topics::{GroupsArgs, TopicsArgs};
pub(crate) use verbs::run;

/// Which appliance, and as whom.
#[derive(Clone, Debug, Args)]
pub(crate) struct Remote {
    /// URL of the API
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "MILLRACE_API",
        default_value = "http://127.0.0.1:8080"
    )]
    api: String,
    /// Authority of the API's certificate, in PEM, besides those of the machine
    #[arg(long, global = true, value_name = "FILE", env = "MILLRACE_API_CA")]
    api_ca: Option<PathBuf>,
    /// File with a token, instead of the session of `millrace login`; MILLRACE_TOKEN goes before both
    #[arg(long, global = true, value_name = "FILE", env = "MILLRACE_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

/// A verb and its flags.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Begin a session.
    Login(LoginArgs),
    /// End it.
    Logout(Remote),
    /// Pipelines.
    Pipelines(PipelinesArgs),
    /// Users.
    Users(UsersArgs),
    /// API keys.
    Keys(KeysArgs),
    /// The audit log.
    Audit(AuditArgs),
    /// Take or list backups.
    Backup(BackupArgs),
    /// Bring one back.
    Restore(RestoreArgs),
    /// Topics.
    Topics(TopicsArgs),
    /// Consumer groups.
    Groups(GroupsArgs),
    /// Queues.
    Queues(QueuesArgs),
    /// Rejected messages.
    Rejected(RejectedArgs),
    /// What passes.
    Tap(TapArgs),
    /// The configuration in force.
    Config(configs::Asked),
    /// Alerts.
    Alerts(AlertsArgs),
    /// Latencies.
    Latency(LatencyArgs),
    /// What SQS costs.
    Cost(Remote),
    /// Instances.
    Instances(InstancesArgs),
    /// Shards.
    Shards(Remote),
    /// Sessions.
    Sessions(SessionsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Name of the user; the password is asked for, or read from stdin
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct UsersArgs {
    #[command(subcommand)]
    verb: UserVerb,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RoleFlag {
    /// Reads.
    Viewer,
    /// Also pauses and resumes.
    Operator,
    /// Also users, keys and backups.
    Admin,
}

impl RoleFlag {
    fn as_str(self) -> &'static str {
        match self {
            RoleFlag::Viewer => "viewer",
            RoleFlag::Operator => "operator",
            RoleFlag::Admin => "admin",
        }
    }
}

#[derive(Debug, Subcommand)]
enum UserVerb {
    /// List the users
    List,
    /// Make a user; the password is asked for, or read from stdin
    Add {
        /// Name of the user
        name: String,
        /// What the user may do
        #[arg(long)]
        role: RoleFlag,
    },
    /// Change role, password or whether the user may sign in
    Change {
        /// Name of the user
        name: String,
        /// What the user may do
        #[arg(long)]
        role: Option<RoleFlag>,
        /// Ask for a new password, or read it from stdin
        #[arg(long)]
        password: bool,
        /// The user may not sign in
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
        /// The user may sign in again
        #[arg(long)]
        enable: bool,
    },
    /// Remove a user and the user's sessions
    Remove {
        /// Name of the user
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    verb: KeyVerb,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum KeyVerb {
    /// List the API keys
    List,
    /// Make an API key; it is printed this once
    Create {
        /// Name of the key
        name: String,
        /// What it may do
        #[arg(long)]
        role: RoleFlag,
        /// Time until it ends by itself, for example 720h
        #[arg(long, value_name = "TIME", value_parser = Time::parse)]
        expires: Option<Time>,
    },
    /// Revoke an API key, at once
    Revoke {
        /// Id of the key
        id: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Of this principal only
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// Of this operation only, for example pipelines_pause
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// Newest entries
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// List the backups instead of taking one
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// Name of the backup, as `millrace backup --list` shows it
    #[arg(value_name = "NAME")]
    name: String,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    remote: Remote,
}
