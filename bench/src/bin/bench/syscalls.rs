//! System calls of a target, counted after the window, because counting costs.
//!
//! perf counts the kernel's own trace point, some hundred nanoseconds a call; it needs root and a mounted tracefs. Where
//! it is refused, the kernel's account of reads and writes stands in, which knows of no sendto, recvfrom, epoll_wait or
//! io_uring_enter. strace would count all, and slow the target so much that it batches differently.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Who counted.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Counter {
    /// perf: all calls.
    Perf,
    /// /proc/PID/io: reads and writes only.
    ProcIo,
}

/// System calls a message.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Syscalls {
    /// Calls a message.
    pub(crate) per_message: f64,
    /// Who counted.
    pub(crate) counter: Counter,
}

/// System calls a second of a process and all its threads; lets `time` pass.
pub(crate) fn per_second(pid: u32, time: Duration) -> Option<(f64, Counter)> {
    let seconds = time.as_secs_f64();
    if let Some(count) = by_perf(pid, seconds) {
        return Some((count as f64 / seconds, Counter::Perf));
    }
    let before = reads_and_writes(pid)?;
    std::thread::sleep(time);
    let count = reads_and_writes(pid)?.saturating_sub(before);
    Some((count as f64 / seconds, Counter::ProcIo))
}

fn by_perf(pid: u32, seconds: f64) -> Option<u64> {
    let (pid, seconds) = (pid.to_string(), seconds.to_string());
    let arguments = ["stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", &pid, "--", "sleep", &seconds];
    let output = Command::new("perf").args(arguments).output().ok()?;
    counted(&String::from_utf8_lossy(&output.stderr))
}

/// `12345,,raw_syscalls:sys_enter,…`; the number is a text in angle brackets where it could not be counted.
fn counted(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains("sys_enter"))?;
    line.split(',').next()?.parse().ok()
}

/// Source: proc_pid_io(5).
fn reads_and_writes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    Some(field("syscr:")? + field("syscw:")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_and_a_refusal_is_none() {
        assert_eq!(counted("# started\n812345,,raw_syscalls:sys_enter,2000000,100.00,,\n"), Some(812_345));
        assert_eq!(counted("<not counted>,,raw_syscalls:sys_enter,0,100.00,,\n"), None);
        assert_eq!(counted("perf: command not found"), None);
    }

    #[test]
    fn calls_are_seen_whoever_counts() {
        let done = std::sync::atomic::AtomicBool::new(false);
        let (rate, _) = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let _read = fs::read("/proc/self/comm");
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let counted = per_second(std::process::id(), Duration::from_millis(300));
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            counted.unwrap()
        });
        assert!(rate > 10.0, "{rate}");
    }
}
