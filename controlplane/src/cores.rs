//! Which cores the control plane's threads use: those that the shards leave, if they leave any.

use dataplane::start::Placement;
use rustix::thread::{CpuSet, sched_setaffinity};

/// Allowed cores on which no shard and no named librdkafka thread runs; all allowed ones when none is left.
pub(crate) fn left_by(placement: &Placement) -> Vec<u16> {
    let taken = |core: &u16| {
        placement.cores.contains(&Some(*core))
            || placement.kafka_cores.as_ref().is_some_and(|cores| cores.contains(core))
    };
    let left: Vec<u16> = placement.allowed.iter().copied().filter(|core| !taken(core)).collect();
    if left.is_empty() { placement.allowed.clone() } else { left }
}

/// Confines the calling thread, and threads that it starts from now on, to these cores. Where the kernel refuses,
/// it stays where it is: a control thread on a shard's core costs speed, not correctness.
pub(crate) fn confine_to(cores: &[u16]) {
    let mut set = CpuSet::new();
    for core in cores.iter().map(|core| usize::from(*core)).filter(|core| *core < CpuSet::MAX_CPU) {
        set.set(core);
    }
    if set.count() > 0 {
        let _refused = sched_setaffinity(None, &set);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement(cores: &[Option<u16>], kafka_cores: Option<Vec<u16>>) -> Placement {
        Placement {
            cores: cores.to_vec(),
            kafka_cores,
            allowed: vec![0, 1, 2],
            warnings: Vec::new(),
            memlock_bytes: 0,
            kernel: String::new(),
        }
    }

    #[test]
    fn the_control_plane_keeps_off_the_shards_cores_when_it_can() {
        assert_eq!(left_by(&placement(&[Some(2)], None)), [0, 1]);
        assert_eq!(left_by(&placement(&[Some(2)], Some(vec![1]))), [0]);
        assert_eq!(left_by(&placement(&[Some(0), Some(1), Some(2)], None)), [0, 1, 2]);
        assert_eq!(left_by(&placement(&[None, None], None)), [0, 1, 2]);
    }
}
