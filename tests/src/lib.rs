//! The harness: starts servers that this project did not write, runs the appliance against them, and
//! judges what happened from two ledgers.
//!
//! A missing jar, package or binary is a failure that names `make test`, never a silent skip.

pub mod appliance;
pub mod disk;
pub mod elasticmq;
pub mod http;
pub mod issuer;
pub mod kafka;
pub mod kernel;
pub mod moto;
pub mod oracle;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod random;
pub mod rates;
pub mod reader;
pub mod scratch;
pub mod sqs;
pub mod world;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Root of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Waits until `done` holds, looking 50 times a second.
///
/// # Errors
/// The time is up; the text says what was waited for.
pub fn wait_until(what: &str, seconds: u64, mut done: impl FnMut() -> bool) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_secs(seconds);
    while !done() {
        anyhow::ensure!(Instant::now() < end, "waited {seconds} s in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
