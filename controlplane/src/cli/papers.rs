//! What the binary prints about itself: version, completions, manual pages.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use serde_json::json;

use super::{Cli, Output};
use crate::exit::{self, Failure};

/// Oldest kernel with every io_uring call that the data plane makes.
const KERNEL_MIN: &str = "5.8";

/// Version, build and needs.
pub(super) fn version(output: Output) -> String {
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    let (version, commit, rustc) =
        (env!("CARGO_PKG_VERSION"), env!("MILLRACE_COMMIT"), env!("MILLRACE_RUSTC"));
    match output {
        Output::Json => {
            let paper = json!({
                "version": version, "commit": commit, "rustc": rustc, "librdkafka": librdkafka,
                "librdkafka_features": ["gzip", "snappy", "lz4", "zstd", "ssl", "sasl_plain", "sasl_scram"],
                "kernel_min": KERNEL_MIN, "memlock_bytes_per_shard": 512 << 10,
            });
            format!("{paper:#}\n")
        }
        Output::Text => format!(
            "millrace {version} ({commit})\nrustc {rustc}\nlibrdkafka {librdkafka} with gzip, snappy, lz4, zstd, TLS, SASL PLAIN and SCRAM\n\
             needs Linux {KERNEL_MIN} or newer with io_uring, and 512 KiB of lockable memory a shard\n"
        ),
    }
}

/// The completion script of a shell.
pub(super) fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "millrace", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Writes one manual page for each verb.
///
/// # Errors
/// The folder cannot be written to.
pub(super) fn man(folder: &Path) -> Result<u8, Failure> {
    let refuse = |error: std::io::Error| {
        Failure::new(
            exit::CHECK_FAILED,
            format!("{}: {error}", folder.display()),
            "name a folder that is there and writable",
        )
    };
    if !folder.is_dir() {
        return Err(refuse(std::io::ErrorKind::NotADirectory.into()));
    }
    clap_mangen::generate_to(Cli::command(), folder).map_err(refuse)?;
    let pages = fs::read_dir(folder).map_err(refuse)?.count();
    crate::term::note(&format!("{pages} files in {}", folder.display()));
    Ok(exit::OK)
}
