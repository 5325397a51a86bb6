//! What a process costs, from /proc: CPU time by mode and thread, memory, context switches; and how busy cores were.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Counters of a process since its start.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// CPU time in user mode, microseconds; threads that have ended included.
    pub(crate) user_us: u64,
    /// CPU time in the kernel, microseconds.
    pub(crate) system_us: u64,
    /// Times that a thread waited; of threads that live.
    pub(crate) voluntary: u64,
    /// Times that a thread was preempted.
    pub(crate) involuntary: u64,
    /// CPU time by thread name, nanoseconds; threads of one name together.
    pub(crate) threads_ns: BTreeMap<String, u64>,
}

impl Usage {
    /// Reads a process.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) fn read(pid: u32) -> io::Result<Usage> {
        let root = Path::new("/proc").join(pid.to_string());
        let stat = fs::read_to_string(root.join("stat"))?;
        let (user, system) =
            ticks(&stat).ok_or_else(|| io::Error::other("/proc/PID/stat is not understood"))?;
        // The sum of both is exact but for one tick: the kernel scales them to the scheduler's own account.
        let tick_us = 1_000_000 / rustix::param::clock_ticks_per_second().max(1);
        let mut usage = Usage { user_us: user * tick_us, system_us: system * tick_us, ..Usage::default() };
        for task in fs::read_dir(root.join("task"))?.flatten() {
            // A thread may end between the listing and the reading.
            let text = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let status = text("status");
            usage.voluntary += field(&status, "voluntary_ctxt_switches:").unwrap_or(0);
            usage.involuntary += field(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0);
            let ran_ns =
                text("schedstat").split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0);
            *usage.threads_ns.entry(text("comm").trim().to_owned()).or_default() += ran_ns;
        }
        Ok(usage)
    }

    /// What was added since.
    pub(crate) fn since(&self, before: &Usage) -> Usage {
        let threads = self.threads_ns.iter().map(|(name, ran_ns)| {
            (name.clone(), ran_ns.saturating_sub(before.threads_ns.get(name).copied().unwrap_or(0)))
        });
        Usage {
            user_us: self.user_us.saturating_sub(before.user_us),
            system_us: self.system_us.saturating_sub(before.system_us),
            voluntary: self.voluntary.saturating_sub(before.voluntary),
            involuntary: self.involuntary.saturating_sub(before.involuntary),
            threads_ns: threads.filter(|(_, ran_ns)| *ran_ns > 0).collect(),
        }
    }

    /// CPU time in both modes.
    pub(crate) fn cpu_us(&self) -> u64 {
        self.user_us + self.system_us
    }
}

/// Largest resident memory since a process's start, bytes.
pub(crate) fn rss_peak_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmHWM:")
}

/// Resident memory of a process, bytes.
pub(crate) fn rss_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmRSS:")
}

fn status_bytes(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    field(&status, name).unwrap_or(0) * 1024
}

/// Microseconds that cores were not idle since boot, stolen time included.
///
/// # Errors
/// /proc/stat cannot be read.
pub(crate) fn cores_busy_us(cores: &[u16]) -> io::Result<u64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let tick_us = 1_000_000 / rustix::param::clock_ticks_per_second().max(1);
    Ok(cores.iter().filter_map(|core| busy_ticks(&stat, *core)).sum::<u64>() * tick_us)
}

/// utime and stime. Source: proc_pid_stat(5), fields 14 and 15; the name in brackets may hold anything.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The number after a name at a line's beginning.
fn field(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// All but idle and iowait. Source: proc_stat(5); guest time is a part of user time.
fn busy_ticks(stat: &str, core: u16) -> Option<u64> {
    let name = format!("cpu{core} ");
    let rest = stat.lines().find_map(|line| line.strip_prefix(&name))?;
    let fields: Vec<u64> = rest.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    let idle = fields.get(3)? + fields.get(4)?;
    Some(fields.iter().take(8).sum::<u64>() - idle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_is_passed_over() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 100 0 0 0 250 75 0 0 20 0 3 0 100";
        assert_eq!(ticks(stat), Some((250, 75)));
        assert_eq!(ticks("no bracket"), None);
    }

    #[test]
    fn idle_time_is_not_busy() {
        let stat = "cpu  9 9\ncpu1 10 1 20 1000 500 3 4 5 6 0\ncpu11 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(busy_ticks(stat, 1), Some(43));
        assert_eq!(busy_ticks(stat, 2), None);
    }

    #[test]
    fn work_that_is_done_shows_in_the_account() {
        let before = Usage::read(std::process::id()).unwrap();
        let began = std::time::Instant::now();
        let mut sum = 0_u64;
        while began.elapsed().as_millis() < 150 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let spent = Usage::read(std::process::id()).unwrap().since(&before);
        assert!(spent.cpu_us() > 10_000, "{spent:?}");
        assert!(spent.threads_ns.values().sum::<u64>() > 10_000_000, "{spent:?}");
        let resident = rss_bytes(std::process::id());
        assert!(resident > 1 << 20 && resident <= rss_peak_bytes(std::process::id()));
        assert!(cores_busy_us(&[0]).unwrap() > 0);
    }
}
