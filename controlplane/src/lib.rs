//! The control plane: command line, configuration, AWS access, HTTP door, health, metrics and the demo.
//!
//! Everything off the data path. [`main`] reads the command line and calls one function for each verb; the pump
//! itself is the crate `dataplane`, which is started, told and read through its door and nothing else.
//! Nothing here touches a message.

mod apart;
mod api;
mod appliance;
mod aws;
mod board;
mod check;
mod cli;
mod configs;
mod cores;
mod dashboard;
mod demo;
mod exit;
mod fit;
mod fleet;
mod health;
mod http;
mod kafka_admin;
mod logs;
mod metrics;
mod outbound;
mod probe;
mod process;
mod queues;
mod remote;
mod run;
mod secret;
mod serve;
mod settings;
mod snapshot;
mod store;
mod supervisor;
mod supply;
mod term;
mod top;
mod watch;

use std::process::ExitCode;

use clap::Parser;

/// Runs the command line of this process to its exit code.
pub fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match cli.run() {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            term::error(&failure.to_string());
            ExitCode::from(failure.code)
        }
    }
}
