//! Which cores the shards get, and whether this machine can run them at all.
//!
//! Level 5. glommio reports a refused io_uring as an old kernel and ignores affinity masks and quotas, so
//! the platform is asked here first, and every refusal says what to do.

mod probe;

use std::fmt;
use std::fs;

use crate::config::Shards;
use crate::limits;

/// Exit code of a platform or configuration that cannot work; the same as Vector's.
const EXIT_CONFIG: u8 = 78;

/// Why the data plane cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError {
    /// What is wrong.
    pub text: String,
    /// What to do about it.
    pub remedy: String,
    /// Exit code of the process.
    pub exit_code: u8,
}

impl StartError {
    /// A refusal that the operator can mend.
    pub(crate) fn new(text: impl Into<String>, remedy: impl Into<String>) -> StartError {
        StartError { text: text.into(), remedy: remedy.into(), exit_code: EXIT_CONFIG }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.text, self.remedy)
    }
}

impl std::error::Error for StartError {}

/// Where the shards run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Core of each shard; `None` when it is not pinned.
    pub cores: Vec<Option<u16>>,
    /// Cores for librdkafka's threads; `None`: each shard's own.
    pub kafka_cores: Option<Vec<u16>>,
    /// Cores that the affinity mask allows.
    pub allowed: Vec<u16>,
    /// What the operator should know, for example that shards are not pinned.
    pub warnings: Vec<String>,
    /// Locked memory limit after it was raised, bytes.
    pub memlock_bytes: u64,
    /// Kernel release.
    pub kernel: String,
}

/// Asks the platform and decides where shards run.
///
/// # Errors
/// io_uring is refused, too little memory may be locked, or a named core is not allowed.
pub fn preflight(shards: &Shards) -> Result<Placement, StartError> {
    let kernel = read("/proc/sys/kernel/osrelease");
    let allowed = parse_list(&status_field("Cpus_allowed_list:"));
    let quota = std::thread::available_parallelism().map_or(1, usize::from);
    let mut placement = place(shards, &allowed, quota)?;
    placement.kernel.clone_from(&kernel);
    io_uring_works(&kernel)?;
    placement.memlock_bytes = memlock_suffices(placement.cores.len())?;
    raise_descriptors();
    Ok(placement)
}

/// Takes as many descriptors as the hard limit gives: each connection to SQS is one, and the soft limit is
/// 1,024 on most machines for the sake of programs that use select(2).
fn raise_descriptors() {
    if let Ok((soft, hard)) = rlimit::Resource::NOFILE.get()
        && soft < hard
    {
        // Refused: `check` tells what there is and what can be needed.
        let _kept = rlimit::Resource::NOFILE.set(hard, hard);
    }
}

/// The decision itself: `allowed` cores, and how many of them the cgroup quota pays for.
fn place(shards: &Shards, allowed: &[u16], quota: usize) -> Result<Placement, StartError> {
    let mut warnings = Vec::new();
    let usable = quota.min(allowed.len()).max(1);
    let reserve = usize::from(shards.reserve_cores).min(usable - 1);
    let count = shards.count.map_or(usable - reserve, usize::from).clamp(1, limits::SHARDS_MAX);
    if let Some(core) = shards.kafka_cores.iter().flatten().find(|core| !allowed.contains(core)) {
        return Err(StartError::new(
            format!("shards.kafka_cores names core {core}, which this process may not use"),
            format!("allowed are {allowed:?}"),
        ));
    }
    let pinned = shards.pin && count <= usable;
    if shards.pin && !pinned {
        warnings.push(format!(
            "{count} shards on {usable} usable cores: they run unpinned and share cores; figures will not represent the design"
        ));
    }
    // The last cores are taken: core 0 serves most interrupts.
    let first = allowed.len().saturating_sub(count);
    let cores = (0..count).map(|shard| pinned.then(|| allowed[first + shard])).collect();
    Ok(Placement {
        cores,
        kafka_cores: shards.kafka_cores.clone(),
        allowed: allowed.to_vec(),
        warnings,
        memlock_bytes: 0,
        kernel: String::new(),
    })
}

fn io_uring_works(kernel: &str) -> Result<(), StartError> {
    let Err(error) = probe::io_uring() else { return Ok(()) };
    let disabled = read("/proc/sys/kernel/io_uring_disabled");
    let cause = match error.raw_os_error() {
        Some(libc::EPERM) if disabled == "1" || disabled == "2" => {
            format!("the sysctl kernel.io_uring_disabled is {disabled}")
        }
        Some(libc::EPERM) => {
            "a seccomp profile (of the container runtime or the service manager) refuses it".to_owned()
        }
        Some(libc::ENOSYS) => format!("kernel {kernel} has no io_uring or a seccomp profile hides it"),
        Some(libc::ENOMEM) => "the locked memory limit is too small for a ring".to_owned(),
        _ => error.to_string(),
    };
    Err(StartError::new(
        format!("io_uring cannot be used: {cause}"),
        "allow io_uring_setup, io_uring_enter and io_uring_register (syscalls 425 to 427) in the seccomp profile, \
         set kernel.io_uring_disabled to 0, and use kernel 5.8 or newer",
    ))
}

/// glommio wants 512 KiB of lockable memory for each executor, whatever the kernel charges.
fn memlock_suffices(shards: usize) -> Result<u64, StartError> {
    let need = limits::MEMLOCK_BYTES_MIN * shards as u64;
    let (soft, hard) = rlimit::Resource::MEMLOCK.get().map_err(|error| {
        StartError::new(format!("RLIMIT_MEMLOCK cannot be read: {error}"), "check the sandbox")
    })?;
    if soft < hard {
        // Raising the soft limit up to the hard one needs no rights; when it fails the old one counts.
        let _raised = rlimit::Resource::MEMLOCK.set(hard, hard);
    }
    let have = rlimit::Resource::MEMLOCK.get().map_or(soft, |(soft, _)| soft);
    if have < need {
        return Err(StartError::new(
            format!("{} KiB of memory may be locked, {shards} shards need {} KiB", have >> 10, need >> 10),
            format!(
                "raise the limit (`ulimit -l {}`, systemd: LimitMEMLOCK={need}, container: --ulimit memlock={need}) or use fewer shards",
                need >> 10
            ),
        ));
    }
    Ok(have)
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn status_field(name: &str) -> String {
    let status = read("/proc/self/status");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.map(|value| value.trim().to_owned()).unwrap_or_default()
}

/// Reads the kernel's list form, `0-3,8`.
fn parse_list(text: &str) -> Vec<u16> {
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
            cores.extend(first..=last.min(first.saturating_add(4096)));
        }
    }
    if cores.is_empty() { vec![0] } else { cores }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_fill_the_allowed_cores_within_the_quota() {
        let shards = Shards::default();
        assert_eq!(place(&shards, &[0, 1, 2, 3], 8).unwrap().cores, [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(place(&shards, &[4, 6, 9], 2).unwrap().cores, [Some(6), Some(9)]);
        let reserved = Shards { reserve_cores: 1, ..Shards::default() };
        assert_eq!(place(&reserved, &[0, 1], 2).unwrap().cores, [Some(1)]);
        assert_eq!(place(&reserved, &[3], 1).unwrap().cores, [Some(3)], "one core is never reserved away");
    }

    #[test]
    fn more_shards_than_cores_run_unpinned_with_a_warning() {
        let shards = Shards { count: Some(4), ..Shards::default() };
        let placement = place(&shards, &[0, 1], 2).unwrap();
        assert_eq!(placement.cores, [None; 4]);
        assert!(placement.warnings[0].contains("4 shards on 2"));
    }

    #[test]
    fn a_core_that_is_not_allowed_is_named() {
        let shards = Shards { kafka_cores: Some(vec![7]), ..Shards::default() };
        let error = place(&shards, &[0, 1], 2).unwrap_err();
        assert_eq!(error.exit_code, 78);
        assert!(error.to_string().contains("core 7"), "{error}");
    }

    #[test]
    fn core_lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_list("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(parse_list("3"), [3]);
        assert_eq!(parse_list(""), [0]);
    }

    #[test]
    fn this_machine_passes_the_preflight() {
        let placement = preflight(&Shards { count: Some(1), ..Shards::default() }).unwrap();
        assert_eq!(placement.cores.len(), 1);
        assert!(placement.memlock_bytes >= limits::MEMLOCK_BYTES_MIN);
    }
}
