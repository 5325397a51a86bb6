//! What the kernel says about this process and its machine: CPU by thread, memory, descriptors, disk, network, pressure.
//!
//! Reads /proc by the crate `procfs` and never fails: a file that is not there, not readable or of a form that the
//! crate does not know leaves its own figures unknown and no others. Bounded in threads, descriptors and interfaces.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use procfs::net::InterfaceDeviceStatus;
use procfs::process::{Io, Limits, Stat, Status};
use procfs::{CpuPressure, FromRead, IoPressure, Meminfo, MemoryPressure};
use serde::Serialize;
use utoipa::ToSchema;

/// Threads that are read one by one.
const THREADS_MAX: usize = 1_024;
/// Descriptors whose kind is looked at; the rest is counted only.
const DESCRIPTORS_MAX: usize = 16_384;
/// Interfaces that are listed.
const INTERFACES_MAX: usize = 32;
/// Largest file of /proc that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// All figures of a moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct System {
    /// The process.
    pub(crate) process: Process,
    /// Its threads by name; threads of one name are added up.
    pub(crate) threads: Vec<Thread>,
    /// Open descriptors by kind.
    pub(crate) descriptors: Descriptors,
    /// Disk of the store's folder.
    pub(crate) disk: Option<Disk>,
    /// Interfaces of this network namespace.
    pub(crate) network: Vec<Interface>,
    /// Memory of the machine.
    pub(crate) memory: Option<Memory>,
    /// Share of time that tasks of the machine waited, over ten seconds.
    pub(crate) pressure: Pressure,
}

/// The process as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Process {
    /// User time, seconds.
    pub(crate) user_seconds: Option<f64>,
    /// System time, seconds.
    pub(crate) system_seconds: Option<f64>,
    /// Resident memory, bytes.
    pub(crate) resident_bytes: Option<u64>,
    /// Largest resident memory so far, bytes.
    pub(crate) resident_peak_bytes: Option<u64>,
    /// Swapped memory, bytes.
    pub(crate) swapped_bytes: Option<u64>,
    /// Locked memory, bytes: io_uring's rings on older kernels.
    pub(crate) locked_bytes: Option<u64>,
    /// Threads.
    pub(crate) threads: Option<u64>,
    /// Page faults that read from disk.
    pub(crate) major_faults: Option<u64>,
    /// Bytes that were read from disks.
    pub(crate) disk_read_bytes: Option<u64>,
    /// Bytes that were written to disks.
    pub(crate) disk_written_bytes: Option<u64>,
}

/// Threads of one name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Thread {
    /// Name.
    pub(crate) name: String,
    /// Number of threads of this name.
    pub(crate) count: u64,
    /// User and system time, seconds.
    pub(crate) cpu_seconds: f64,
    /// Context switches because there was nothing to do.
    pub(crate) voluntary_switches: u64,
    /// Context switches because the time was up: another thread wanted the core.
    pub(crate) involuntary_switches: u64,
}

/// Open descriptors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Descriptors {
    /// All.
    pub(crate) open: Option<u64>,
    /// How many may be open.
    pub(crate) max: Option<u64>,
    /// io_uring instances.
    pub(crate) io_uring: u64,
    /// Sockets.
    pub(crate) sockets: u64,
    /// Event descriptors.
    pub(crate) eventfd: u64,
}

/// A disk.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Disk {
    /// Its size, bytes.
    pub(crate) total_bytes: u64,
    /// What this user may still write, bytes.
    pub(crate) free_bytes: u64,
    /// Free share, 0 to 1.
    pub(crate) free_ratio: f64,
}

/// A network interface, counted since it came up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Interface {
    /// Name.
    pub(crate) name: String,
    /// Bytes received.
    pub(crate) received_bytes: u64,
    /// Bytes sent.
    pub(crate) sent_bytes: u64,
    /// Errors, both ways.
    pub(crate) errors: u64,
    /// Packets dropped, both ways.
    pub(crate) drops: u64,
}

/// Memory of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Memory {
    /// All, bytes.
    pub(crate) total_bytes: u64,
    /// What could be had without swapping, bytes.
    pub(crate) available_bytes: Option<u64>,
}

/// Share of the last ten seconds in which some task waited for it, 0 to 1. Source: Linux, "PSI".
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Pressure {
    /// For a core.
    pub(crate) cpu_ratio: Option<f64>,
    /// For memory.
    pub(crate) memory_ratio: Option<f64>,
    /// For disks.
    pub(crate) io_ratio: Option<f64>,
}

/// Reads everything. `proc` is `/proc`; `state` is a folder on the disk to look at.
pub(crate) fn read(proc: &Path, state: Option<&Path>) -> System {
    let me = proc.join("self");
    System {
        process: process(&me),
        threads: threads(&me.join("task")),
        descriptors: descriptors(&me),
        disk: state.and_then(disk),
        network: network(&me.join("net/dev")),
        memory: parse::<Meminfo>(&proc.join("meminfo"))
            .map(|memory| Memory { total_bytes: memory.mem_total, available_bytes: memory.mem_available }),
        pressure: pressure(&proc.join("pressure")),
    }
}

/// The content of a file in the form that the crate knows.
fn parse<T: FromRead>(file: &Path) -> Option<T> {
    T::from_read(content(file)?.as_slice()).ok()
}

fn content(file: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(file).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// procfs' parser counts columns from the right and panics where a line has too few.
fn limits(file: &Path) -> Option<Limits> {
    let text = String::from_utf8(content(file)?).ok()?;
    let is_table = text.lines().all(|line| line.split_whitespace().count() > 3);
    is_table.then(|| Limits::from_read(text.as_bytes()).ok()).flatten()
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn process(me: &Path) -> Process {
    let stat = parse::<Stat>(&me.join("stat"));
    let status = parse::<Status>(&me.join("status"));
    let io = parse::<Io>(&me.join("io"));
    let kib = |field: fn(&Status) -> Option<u64>| status.as_ref().and_then(field).map(|kib| kib << 10);
    Process {
        user_seconds: stat.as_ref().map(|stat| seconds(stat.utime)),
        system_seconds: stat.as_ref().map(|stat| seconds(stat.stime)),
        resident_bytes: kib(|status| status.vmrss),
        resident_peak_bytes: kib(|status| status.vmhwm),
        swapped_bytes: kib(|status| status.vmswap),
        locked_bytes: kib(|status| status.vmlck),
        threads: status.as_ref().map(|status| status.threads),
        major_faults: stat.as_ref().map(|stat| stat.majflt),
        disk_read_bytes: io.as_ref().map(|io| io.read_bytes),
        disk_written_bytes: io.as_ref().map(|io| io.write_bytes),
    }
}

fn threads(tasks: &Path) -> Vec<Thread> {
    let mut by_name: BTreeMap<String, Thread> = BTreeMap::new();
    let Ok(entries) = fs::read_dir(tasks) else { return Vec::new() };
    for entry in entries.flatten().take(THREADS_MAX) {
        // A thread that ends meanwhile is no longer there.
        let Some(stat) = parse::<Stat>(&entry.path().join("stat")) else { continue };
        let status = parse::<Status>(&entry.path().join("status"));
        let switches = |field: fn(&Status) -> Option<u64>| status.as_ref().and_then(field).unwrap_or(0);
        let thread = by_name.entry(stat.comm.clone()).or_default();
        thread.count += 1;
        thread.cpu_seconds += seconds(stat.utime + stat.stime);
        thread.voluntary_switches += switches(|status| status.voluntary_ctxt_switches);
        thread.involuntary_switches += switches(|status| status.nonvoluntary_ctxt_switches);
    }
    by_name.into_iter().map(|(name, thread)| Thread { name, ..thread }).collect()
}

fn descriptors(me: &Path) -> Descriptors {
    let max = limits(&me.join("limits")).and_then(|limits| match limits.max_open_files.soft_limit {
        procfs::process::LimitValue::Value(value) => Some(value),
        procfs::process::LimitValue::Unlimited => None,
    });
    let mut found = Descriptors { max, ..Descriptors::default() };
    let Ok(entries) = fs::read_dir(me.join("fd")) else { return found };
    let mut open = 0;
    for entry in entries.flatten() {
        open += 1;
        if open as usize > DESCRIPTORS_MAX {
            continue;
        }
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        match target.to_string_lossy() {
            target if target.starts_with("socket:") => found.sockets += 1,
            target if target == "anon_inode:[io_uring]" => found.io_uring += 1,
            target if target == "anon_inode:[eventfd]" => found.eventfd += 1,
            _ => {}
        }
    }
    found.open = Some(open);
    found
}

fn disk(folder: &Path) -> Option<Disk> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    let (total, free) = (disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize);
    (total > 0).then(|| Disk { total_bytes: total, free_bytes: free, free_ratio: free as f64 / total as f64 })
}

fn network(file: &Path) -> Vec<Interface> {
    let Some(InterfaceDeviceStatus(devices)) = parse(file) else { return Vec::new() };
    let mut interfaces: Vec<Interface> = devices
        .into_values()
        .map(|device| Interface {
            name: device.name,
            received_bytes: device.recv_bytes,
            sent_bytes: device.sent_bytes,
            errors: device.recv_errs.saturating_add(device.sent_errs),
            drops: device.recv_drop.saturating_add(device.sent_drop),
        })
        .collect();
    interfaces.sort_by(|one, two| one.name.cmp(&two.name));
    interfaces.truncate(INTERFACES_MAX);
    interfaces
}

fn pressure(folder: &Path) -> Pressure {
    let ratio = |percent: f32| f64::from(percent) / 100.0;
    Pressure {
        cpu_ratio: parse::<CpuPressure>(&folder.join("cpu")).map(|cpu| ratio(cpu.some.avg10)),
        memory_ratio: parse::<MemoryPressure>(&folder.join("memory")).map(|memory| ratio(memory.some.avg10)),
        io_ratio: parse::<IoPressure>(&folder.join("io")).map(|io| ratio(io.some.avg10)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const STAT: &str = "7 (shard-0) S 1 7 7 0 -1 4194304 100 0 3 0 150 50 0 0 20 0 4 0 100 1000 20 \
        18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0";
    const STATUS: &str = include_str!("system_status.txt");

    fn put(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_live_proc_has_figures_of_this_process() {
        let state = tempfile::tempdir().unwrap();
        let system = read(Path::new("/proc"), Some(state.path()));
        assert!(system.process.resident_bytes.unwrap() > 1 << 20, "{system:?}");
        assert!(system.process.resident_peak_bytes >= system.process.resident_bytes);
        let threads: u64 = system.threads.iter().map(|thread| thread.count).sum();
        assert!(threads >= 2, "{:?}", system.threads);
        assert!(system.descriptors.open.unwrap() >= 3, "{:?}", system.descriptors);
        let disk = system.disk.unwrap();
        assert!(disk.total_bytes >= disk.free_bytes && (0.0..=1.0).contains(&disk.free_ratio), "{disk:?}");
        assert!(system.network.iter().any(|interface| interface.name == "lo"), "{:?}", system.network);
        assert!(system.memory.unwrap().total_bytes > 64 << 20);
    }

    #[test]
    fn a_socket_that_is_held_is_counted() {
        let _socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(read(Path::new("/proc"), None).descriptors.sockets >= 1);
    }

    #[test]
    fn threads_of_one_name_are_added_up() {
        let root = tempfile::tempdir().unwrap();
        for thread in ["7", "8"] {
            put(root.path(), &format!("self/task/{thread}/stat"), STAT);
            put(root.path(), &format!("self/task/{thread}/status"), STATUS);
        }
        let threads = read(root.path(), None).threads;
        assert_eq!(threads.len(), 1, "{threads:?}");
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let one = &threads[0];
        assert_eq!((one.name.as_str(), one.count), ("shard-0", 2));
        assert!((one.cpu_seconds - 400.0 / ticks).abs() < 1e-9, "{one:?}");
        assert_eq!((one.voluntary_switches, one.involuntary_switches), (24, 6));
    }

    #[test]
    fn a_whole_fixture_is_read() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "self/stat", STAT);
        put(root.path(), "self/status", STATUS);
        put(
            root.path(),
            "self/io",
            "rchar: 9\nwchar: 9\nsyscr: 1\nsyscw: 1\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n",
        );
        put(
            root.path(),
            "self/net/dev",
            "Inter-|   Receive                                                |  Transmit\n \
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n \
             eth0: 1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0\n",
        );
        put(
            root.path(),
            "pressure/cpu",
            "some avg10=12.50 avg60=1.00 avg300=0.50 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
        );
        put(root.path(), "self/fd/placeholder", "");
        symlink("anon_inode:[io_uring]", root.path().join("self/fd/5")).unwrap();
        symlink("socket:[123]", root.path().join("self/fd/6")).unwrap();
        let system = read(root.path(), None);
        assert_eq!(system.process.disk_written_bytes, Some(8192));
        assert_eq!(system.process.major_faults, Some(3));
        let expected =
            Interface { name: "eth0".into(), received_bytes: 1000, sent_bytes: 2000, errors: 4, drops: 6 };
        assert_eq!(system.network, [expected]);
        assert_eq!(system.pressure.cpu_ratio, Some(0.125));
        assert_eq!(
            (system.descriptors.open, system.descriptors.io_uring, system.descriptors.sockets),
            (Some(3), 1, 1)
        );
    }

    #[test]
    fn an_odd_kernel_leaves_its_own_figures_unknown_and_no_others() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "self/stat", "garbage");
        put(root.path(), "self/status", "Name:\tx\nnothing else\n");
        put(root.path(), "self/net/dev", "eth0 without columns\n");
        put(root.path(), "pressure/memory", "some avg10=? avg60=0\n");
        put(root.path(), "self/io", "read_bytes: -1\n");
        put(root.path(), "self/limits", "no table");
        put(root.path(), "self/task/1/stat", "");
        put(root.path(), "meminfo", "MemTotal: many kB\n");
        let system = read(root.path(), Some(Path::new("/nowhere")));
        assert_eq!(system, System { descriptors: Descriptors::default(), ..System::default() });
        assert_eq!(read(Path::new("/nowhere"), None), System::default());
    }
}
