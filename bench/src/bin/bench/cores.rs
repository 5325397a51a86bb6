//! Which cores run what: the servers on some, the target alone on others.

use anyhow::{Context, Result, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Cores of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cores {
    /// SQS server, Kafka, generator, reader.
    pub(crate) servers: Vec<u16>,
    /// The target and all its threads.
    pub(crate) target: Vec<u16>,
}

impl Cores {
    /// Takes what was asked for; otherwise the target gets the last allowed core and the servers the others.
    ///
    /// # Errors
    /// A core that this process may not use.
    pub(crate) fn choose(allowed: &[u16], servers: &[u16], target: &[u16]) -> Result<Cores> {
        for core in servers.iter().chain(target) {
            ensure!(allowed.contains(core), "core {core} is not allowed here; allowed are {allowed:?}");
        }
        let last = *allowed.last().context("no core is allowed")?;
        let target = if target.is_empty() { vec![last] } else { target.to_vec() };
        let others = || allowed.iter().copied().filter(|core| !target.contains(core)).collect::<Vec<_>>();
        let mut servers = if servers.is_empty() { others() } else { servers.to_vec() };
        if servers.is_empty() {
            servers.clone_from(&target);
        }
        Ok(Cores { servers, target })
    }

    /// Whether the target has its cores for itself, as far as this harness goes.
    pub(crate) fn are_apart(&self) -> bool {
        self.servers.iter().all(|core| !self.target.contains(core))
    }
}

/// Cores that this process may use.
///
/// # Errors
/// The kernel does not tell.
pub(crate) fn allowed() -> Result<Vec<u16>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|&core| set.is_set(core))
        .filter_map(|core| u16::try_from(core).ok())
        .collect())
}

/// Confines the calling thread, and threads and processes that it starts from now on.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn confine(cores: &[u16]) -> Result<()> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(usize::from(core)));
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on cores {cores:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_gets_a_core_of_its_own_where_there_are_two() {
        let chosen = |allowed: &[u16], servers: &[u16], target: &[u16]| {
            Cores::choose(allowed, servers, target).unwrap()
        };
        let apart = chosen(&[2, 5, 7], &[], &[]);
        assert_eq!((apart.servers.as_slice(), apart.target.as_slice()), (&[2, 5][..], &[7][..]));
        assert!(apart.are_apart());
        assert!(!chosen(&[3], &[], &[]).are_apart());
        assert_eq!(chosen(&[0, 1, 2, 3], &[0], &[2, 3]).servers, [0]);
        assert!(Cores::choose(&[0, 1], &[], &[9]).is_err());
    }

    #[test]
    fn a_confined_thread_stays_where_it_was_put() {
        std::thread::spawn(|| {
            let first = allowed().unwrap()[0];
            confine(&[first]).unwrap();
            assert_eq!(allowed().unwrap(), [first]);
        })
        .join()
        .unwrap();
    }
}
