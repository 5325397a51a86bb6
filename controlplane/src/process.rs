//! What the kernel says about this process: CPU time, memory, descriptors.
//!
//! Reads /proc and never fails: a figure that cannot be read is 0.

use std::fs;
use std::sync::LazyLock;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// Figures of the whole process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// User and system time of all threads, seconds.
    pub(crate) cpu_seconds: f64,
    /// Memory that is resident now, bytes.
    pub(crate) rss_bytes: u64,
    /// Largest resident memory so far, bytes.
    pub(crate) rss_peak_bytes: u64,
    /// Open file descriptors.
    pub(crate) open_fds: u64,
    /// Threads.
    pub(crate) threads: u64,
}

/// Leaves no core dumps behind: keys, tokens and bodies would stand in them. Where the kernel refuses, they are as before.
pub(crate) fn no_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::debug!(event = "core_dumps", %error, "core dumps could not be switched off");
    }
}

/// Name of the machine, as Kubernetes and systemd see it. Source: proc(5).
pub(crate) fn host() -> &'static str {
    static HOST: LazyLock<String> = LazyLock::new(|| {
        let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
        name.unwrap_or_else(|| "localhost".to_owned())
    });
    &HOST
}

/// Reads the figures now.
pub(crate) fn usage() -> Usage {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    Usage {
        cpu_seconds: fs::read_to_string("/proc/self/stat").map_or(0.0, |stat| cpu_seconds(&stat)),
        rss_bytes: field(&status, "VmRSS:") << 10,
        rss_peak_bytes: field(&status, "VmHWM:") << 10,
        open_fds: fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
        threads: field(&status, "Threads:"),
    }
}

/// Fields 14 and 15 of /proc/PID/stat, in clock ticks. The name in field 2 may hold spaces. Source: proc(5).
fn cpu_seconds(stat: &str) -> f64 {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.split_whitespace().next()).and_then(|value| value.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_threads_and_descriptors() {
        let usage = usage();
        assert!(usage.rss_bytes > 0 && usage.rss_peak_bytes >= usage.rss_bytes, "{usage:?}");
        assert!(usage.threads > 0 && usage.open_fds > 0, "{usage:?}");
    }

    #[test]
    fn a_process_name_with_spaces_and_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 1 0 100";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert!((cpu_seconds(stat) - 200.0 / ticks).abs() < 1e-9);
    }
}
