//! One kind of call to SQS, resting after a failure.
//!
//! Level 1, pure. Calls that were under way when the first of them failed say nothing new: a failure only
//! counts once the rest that the one before it began is over.

use crate::clock::Tick;
use crate::error::Class;
use crate::retry::Random;
use crate::sqs::errors;

use super::{SOURCE_PAUSE, SOURCE_RETRY};

/// How one kind of call fares.
#[derive(Debug, Default)]
pub(super) struct Rest {
    attempt: u32,
    not_before: Tick,
    reason: String,
}

impl Rest {
    /// A call failed; `what` begins the reason, as in "receiving fails".
    pub(super) fn failed(&mut self, what: &str, code: &str, class: Class, now: Tick, random: &mut Random) {
        if now < self.not_before {
            return;
        }
        self.attempt = self.attempt.saturating_add(1);
        let remedy = errors::remedy(code).map(|remedy| format!("; {remedy}")).unwrap_or_default();
        self.reason = format!("{what}: {code}{remedy}");
        let backoff = match class {
            Class::Pause => SOURCE_PAUSE,
            // The first time new credentials or a learnt clock are expected to mend it at once.
            Class::RefreshCredentials | Class::ClockSkew if self.attempt > 1 => SOURCE_PAUSE,
            _ => SOURCE_RETRY,
        };
        self.not_before = now.plus(backoff.wait(self.attempt, random));
    }

    /// A call was answered.
    pub(super) fn works(&mut self) {
        if self.attempt > 0 {
            *self = Rest::default();
        }
    }

    /// No call before `until`, although none failed.
    pub(super) fn until(&mut self, until: Tick) {
        self.not_before = until;
    }

    /// What failed may be mended: the next call may go at once.
    pub(super) fn end(&mut self) {
        self.not_before = Tick::default();
    }

    /// When the next call may go.
    pub(super) fn not_before(&self) -> Tick {
        self.not_before
    }

    /// The last call failed: one is enough to find out whether the next will.
    pub(super) fn is_failing(&self) -> bool {
        self.attempt > 0
    }

    /// Why, with the remedy where one is known; empty when nothing fails.
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn failures_of_one_moment_count_once() {
        let (mut rest, mut random) = (Rest::default(), Random::new(1));
        for _ in 0..192 {
            rest.failed("deleting fails", "ThrottlingException", Class::Throttled, Tick(0), &mut random);
        }
        assert!(rest.not_before() <= Tick(100 * MS), "{:?}", rest.not_before());
        assert!(rest.reason().starts_with("deleting fails: ThrottlingException"));
        rest.works();
        assert!(!rest.is_failing() && rest.reason().is_empty());
    }

    #[test]
    fn missing_rights_are_asked_for_twice_a_minute_in_the_end() {
        let (mut rest, mut random) = (Rest::default(), Random::new(1));
        let (mut now, mut calls) = (Tick(0), 0);
        while now < Tick(600_000 * MS) {
            rest.failed("deleting fails", "AccessDenied", Class::Pause, now, &mut random);
            now = rest.not_before();
            calls += 1;
        }
        assert!((20..=45).contains(&calls), "{calls} calls in ten minutes");
    }
}
