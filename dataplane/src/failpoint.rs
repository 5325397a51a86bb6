//! Named points where a crash scenario makes the process kill itself.
//!
//! Level 0. Without the feature `failpoints` nothing of this is compiled in. With it, the environment
//! variable `MILLRACE_FAILPOINT=NAME[:N]` makes the N-th passing of that point a SIGKILL, as abrupt as a
//! power cut.

/// Passes a named point.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) fn pass(_name: &str) {}

/// Passes a named point; the chosen one kills the process at its N-th passing.
#[cfg(feature = "failpoints")]
pub(crate) fn pass(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static CHOSEN: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let chosen = CHOSEN.get_or_init(|| {
        let text = std::env::var("MILLRACE_FAILPOINT").ok()?;
        let (name, nth) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), nth.parse().unwrap_or(1)))
    });
    let Some((wanted, nth)) = chosen else { return };
    if wanted == name && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *nth {
        kill_self();
    }
}

#[cfg(feature = "failpoints")]
#[allow(unsafe_code, reason = "a signal to ourselves has no safe interface in std")]
fn kill_self() -> ! {
    loop {
        // SAFETY: kill(2) with our own process id and SIGKILL touches no memory of ours.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
}
