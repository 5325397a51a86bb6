//! Exponential back-off with full jitter.
//!
//! Level 1, pure. Full jitter spreads the clients of a recovering peer best; source: AWS Architecture
//! Blog, "Exponential Backoff And Jitter".

use std::time::Duration;

/// A small deterministic random source (SplitMix64), one for each shard, seeded at start.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A source that always gives the same numbers for the same seed.
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }
}

/// The bounds of a back-off. A value, not a counter: the caller says which attempt it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    /// Ceiling of the first wait.
    pub min: Duration,
    /// Ceiling of every wait.
    pub max: Duration,
}

impl Backoff {
    /// How long to wait before attempt `attempt` (1 is the first repeat): between half of the ceiling and
    /// the ceiling, so that a wait is never so short that it becomes a hot loop.
    pub(crate) fn wait(&self, attempt: u32, random: &mut Random) -> Duration {
        let doublings = attempt.saturating_sub(1).min(20);
        let ceiling = self.min.saturating_mul(1 << doublings).min(self.max);
        let half = u64::try_from(ceiling.as_micros() / 2).unwrap_or(u64::MAX);
        Duration::from_micros(half + random.below(half + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_never_fall_under_half_of_their_ceiling() {
        let backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_secs(5) };
        let mut random = Random::new(7);
        for attempt in 1..200 {
            let ceiling =
                Duration::from_millis(100).saturating_mul(1 << (attempt - 1).min(20)).min(backoff.max);
            let wait = backoff.wait(attempt, &mut random);
            assert!(wait >= ceiling / 2 && wait <= ceiling, "attempt {attempt}: {wait:?} of {ceiling:?}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_waits() {
        let (mut one, mut two) = (Random::new(1), Random::new(1));
        let numbers: Vec<u64> = (0..8).map(|_| one.next()).collect();
        assert!(numbers.iter().all(|&number| number == two.next()));
        assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
