//! The threads that librdkafka starts: who they are, and how much CPU they used.
//!
//! Level 3. librdkafka reports each of its threads as it starts and as it ends (`kafka::ffi`), so that
//! the CPU of a message can be told exactly, client library included. Threads that ended keep counting
//! under one name, so that the sum never falls.

use std::sync::{Arc, Mutex, PoisonError};

use crate::control::ThreadCpu;

/// Name under which the CPU of ended threads is summed.
const ENDED: &str = "kafka:ended";

/// The threads of any number of producers. Clones share one list.
#[derive(Clone, Debug, Default)]
pub(crate) struct ThreadRegistry {
    shared: Arc<Mutex<Threads>>,
}

#[derive(Debug, Default)]
struct Threads {
    alive: Vec<Thread>,
    ended_ns: u64,
}

#[derive(Debug)]
struct Thread {
    id: i32,
    name: String,
    cpu_ns: u64,
}

impl ThreadRegistry {
    /// A thread of this id has started.
    pub(crate) fn started(&self, id: i32, name: &str) {
        self.with(|threads| {
            threads.alive.retain(|thread| thread.id != id);
            threads.alive.push(Thread { id, name: format!("kafka:{name}"), cpu_ns: 0 });
        });
    }

    /// The calling thread belongs to the data plane under this name.
    pub(crate) fn started_here(&self, name: &str) {
        // The link reads `PID/task/TID`; without /proc the thread is simply not listed.
        let link = std::fs::read_link("/proc/thread-self").unwrap_or_default();
        let id = link.file_name().and_then(|name| name.to_str()).and_then(|id| id.parse().ok());
        if let Some(id) = id {
            self.with(|threads| threads.alive.push(Thread { id, name: name.to_owned(), cpu_ns: 0 }));
        }
    }

    /// A thread of this id ends now, having used this much CPU.
    pub(crate) fn ended(&self, id: i32, cpu_ns: u64) {
        self.with(|threads| {
            threads.alive.retain(|thread| thread.id != id);
            threads.ended_ns = threads.ended_ns.saturating_add(cpu_ns);
        });
    }

    /// CPU used by each live thread, and by all ended ones together.
    pub(crate) fn cpu(&self) -> Vec<ThreadCpu> {
        self.with(|threads| {
            for thread in &mut threads.alive {
                // A thread that is just ending keeps its last figure until `ended` corrects it.
                thread.cpu_ns = read_cpu_ns(thread.id).unwrap_or(thread.cpu_ns);
            }
            let alive = threads.alive.iter();
            let mut report: Vec<ThreadCpu> =
                alive.map(|thread| ThreadCpu { name: thread.name.clone(), cpu_ns: thread.cpu_ns }).collect();
            if threads.ended_ns > 0 {
                report.push(ThreadCpu { name: ENDED.to_owned(), cpu_ns: threads.ended_ns });
            }
            report
        })
    }

    /// Thread ids of the live threads.
    #[cfg(test)]
    pub(crate) fn ids(&self) -> Vec<i32> {
        self.with(|threads| threads.alive.iter().map(|thread| thread.id).collect())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Threads) -> T) -> T {
        // The list is whole between any two statements, so a panic elsewhere does not spoil it.
        act(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// CPU time of a thread of this process: the first number of its `schedstat`, nanoseconds.
/// Source: Documentation/scheduler/sched-stats.rst of the kernel.
fn read_cpu_ns(id: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{id}/schedstat")).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_of_ended_threads_is_kept_under_one_name() {
        let threads = ThreadRegistry::default();
        threads.started(-1, "main");
        threads.started(-2, "broker");
        assert_eq!(
            threads.cpu().iter().map(|t| t.name.as_str()).collect::<Vec<_>>(),
            ["kafka:main", "kafka:broker"]
        );
        threads.ended(-1, 700);
        threads.ended(-2, 300);
        assert_eq!(threads.cpu(), [ThreadCpu { name: ENDED.to_owned(), cpu_ns: 1000 }]);
    }

    #[test]
    fn cpu_of_a_live_thread_comes_from_the_kernel_and_grows() {
        let threads = ThreadRegistry::default();
        // The main thread of a process has the process's id.
        let id = i32::try_from(std::process::id()).unwrap();
        threads.started(id, "self");
        let before = threads.cpu()[0].cpu_ns;
        assert!(before > 0, "schedstat of thread {id} could not be read");
    }
}
