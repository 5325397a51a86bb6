//! This machine: kernel, io_uring, lockable memory, cores, descriptors, clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dataplane::config::Config;
use dataplane::start;
use rustix::process::{Resource, getrlimit};

use super::list::List;
use crate::term::bytes;

/// Descriptors beyond connections: rings, wakes, listener, logs, librdkafka's own.
const DESCRIPTORS_BASE: u64 = 128;
/// Connections of one producer to its cluster, at most: bootstrap, brokers, coordinator.
const BROKER_CONNECTIONS: u64 = 32;
/// No clock of a machine that can run this program was ever right before 2025.
const CLOCK_MIN: Duration = Duration::from_secs(1_735_689_600);

/// Looks at this machine.
pub(super) fn look(list: &mut List, config: &Config) {
    list.enter("platform");
    match start::preflight(&config.shards) {
        Ok(placement) => {
            list.ok("kernel", format!("{}, io_uring works", placement.kernel));
            list.ok(
                "locked memory",
                format!(
                    "{} may be locked, {} shards need 512 KiB each",
                    bytes(placement.memlock_bytes),
                    placement.cores.len()
                ),
            );
            let cores: Vec<String> = placement.cores.iter().flatten().map(u16::to_string).collect();
            let place = if cores.is_empty() {
                "unpinned".to_owned()
            } else {
                format!("on cores {}", cores.join(", "))
            };
            list.ok(
                "cores",
                format!("{} shards {place}; allowed are {:?}", placement.cores.len(), placement.allowed),
            );
            for warning in &placement.warnings {
                list.warn(
                    "placement",
                    warning,
                    "lower shards.count, or allow more cores (taskset, cpuset, CPU limit)",
                );
            }
            if placement.allowed.len() == 1 {
                list.warn(
                    "one core",
                    "shards, control plane and librdkafka share it",
                    "figures of this machine do not represent the design",
                );
            }
            descriptors(list, config, placement.cores.len() as u64);
        }
        Err(error) => list.fail("preflight", error.exit_code, error.text, error.remedy),
    }
    clock(list, SystemTime::now());
}

fn descriptors(list: &mut List, config: &Config, shards: u64) {
    let each: u64 = config
        .pipeline
        .iter()
        .map(|pipeline| {
            u64::from(pipeline.queue.pollers_max)
                + u64::from(pipeline.queue.deleters_max)
                + BROKER_CONNECTIONS
        })
        .sum();
    let need = DESCRIPTORS_BASE + shards * each;
    // The preflight has raised the soft limit to the hard one, as `run` does.
    match getrlimit(Resource::Nofile).current {
        Some(have) if have < need => list.warn(
            "descriptors",
            format!("{have} may be open, up to {need} can be needed"),
            format!("`ulimit -n {need}`, systemd: LimitNOFILE={need}, container: --ulimit nofile={need}"),
        ),
        have => list.ok(
            "descriptors",
            format!(
                "{} may be open, up to {need} can be needed",
                have.map_or("any number".to_owned(), |have| have.to_string())
            ),
        ),
    }
}

fn clock(list: &mut List, now: SystemTime) {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    if since < CLOCK_MIN {
        list.fail(
            "clock",
            crate::exit::CONFIG,
            "this machine's clock is before 2025: AWS will refuse every signature",
            "set it, for example with `timedatectl set-ntp true`",
        );
    } else {
        list.ok("clock", "plausible; --connect compares it with AWS's");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described_line_by_line() {
        let mut list = List::default();
        look(&mut list, &crate::board::fixture::config());
        let text = list.text(false);
        for name in ["kernel:", "locked memory:", "cores:", "descriptors:", "clock:"] {
            assert!(text.contains(name), "{name} is missing in\n{text}");
        }
    }

    #[test]
    fn a_clock_that_cannot_be_right_fails() {
        let mut list = List::default();
        clock(&mut list, UNIX_EPOCH + Duration::from_secs(1_000_000_000));
        assert_eq!(list.exit_code(), 78);
    }
}
