//! The only place of the data plane that reads time.
//!
//! Level 0. Everything else takes `now` as an argument, so that the pure core runs under a simulated
//! clock. Timers use the monotonic clock; wall time is for signing and for reading `SentTimestamp`.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point on the monotonic clock, in nanoseconds since the process first asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(pub u64);

impl Tick {
    /// The point `ms` milliseconds later.
    pub fn plus_ms(self, ms: u64) -> Tick {
        Tick(self.0.saturating_add(ms.saturating_mul(1_000_000)))
    }

    /// The point `span` later.
    pub fn plus(self, span: Duration) -> Tick {
        Tick(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Whole microseconds since `earlier`; 0 when `earlier` is later.
    pub fn us_since(self, earlier: Tick) -> u64 {
        self.0.saturating_sub(earlier.0) / 1_000
    }

    /// Whole milliseconds since `earlier`; 0 when `earlier` is later.
    pub fn ms_since(self, earlier: Tick) -> u64 {
        self.0.saturating_sub(earlier.0) / 1_000_000
    }

    /// Time left until `later`; zero when it has passed.
    pub fn until(self, later: Tick) -> Duration {
        Duration::from_nanos(later.0.saturating_sub(self.0))
    }
}

/// The monotonic clock now. Threads of one process share its origin.
pub fn now() -> Tick {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let origin = *ORIGIN.get_or_init(Instant::now);
    // One nanosecond is added so that no reading equals the `Tick` default, which means "never".
    Tick(u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX).saturating_add(1))
}

/// Wall time in milliseconds since 1970-01-01 UTC; 0 for a clock set before it.
pub fn wall_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
