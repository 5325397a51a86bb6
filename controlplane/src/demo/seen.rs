//! Which numbers were seen: one bit each, and none for the part that is complete.
//!
//! Pure. A demo that runs for days keeps a few KiB: numbers arrive nearly in order, so the complete part grows.

use std::collections::VecDeque;

/// Numbers ahead of the complete part that are told apart: 8 MiB of bits.
const SPAN_MAX: u64 = 64 << 20;

/// The set of numbers seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// All numbers below 64 times this were seen.
    complete_words: u64,
    words: VecDeque<u64>,
    count: u64,
}

/// What a number is to the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Not seen before.
    First,
    /// Seen before.
    Again,
    /// So far ahead that it cannot have been sent.
    Absurd,
}

impl Seen {
    /// Sees a number.
    pub(super) fn see(&mut self, number: u64) -> Sight {
        let (word, bit) = (number / 64, 1_u64 << (number % 64));
        if word < self.complete_words {
            return Sight::Again;
        }
        let index = word - self.complete_words;
        if index >= SPAN_MAX / 64 {
            return Sight::Absurd;
        }
        let index = index as usize;
        if self.words.len() <= index {
            self.words.resize(index + 1, 0);
        }
        if self.words[index] & bit != 0 {
            return Sight::Again;
        }
        self.words[index] |= bit;
        self.count += 1;
        while self.words.front() == Some(&u64::MAX) {
            self.words.pop_front();
            self.complete_words += 1;
        }
        Sight::First
    }

    /// How many different numbers were seen.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The first numbers below `end` that were not seen.
    pub(super) fn missing(&self, end: u64) -> impl Iterator<Item = u64> + '_ {
        (self.complete_words * 64..end).filter(|number| {
            let index = (number / 64 - self.complete_words) as usize;
            self.words.get(index).is_none_or(|word| word & (1 << (number % 64)) == 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_first_once_in_any_order() {
        let mut seen = Seen::default();
        // 7919 is prime to 10,000: a permutation that jumps far.
        for step in 0..10_000_u64 {
            assert_eq!(seen.see(step * 7919 % 10_000), Sight::First);
        }
        for number in 0..10_000 {
            assert_eq!(seen.see(number), Sight::Again, "{number}");
        }
        assert_eq!(seen.count(), 10_000);
        assert_eq!(seen.missing(10_000).count(), 0);
        assert!(seen.words.len() <= 1, "the complete part costs nothing");
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut seen = Seen::default();
        for number in (0..500).filter(|number| ![3, 64, 200].contains(number)) {
            seen.see(number);
        }
        assert_eq!(seen.missing(502).collect::<Vec<_>>(), [3, 64, 200, 500, 501]);
        assert_eq!(seen.count(), 497);
    }

    #[test]
    fn an_absurd_number_takes_no_memory() {
        let mut seen = Seen::default();
        assert_eq!(seen.see(u64::MAX), Sight::Absurd);
        assert!(seen.words.is_empty());
    }
}
