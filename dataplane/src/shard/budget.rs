//! What one pipeline may hold on one shard, in messages and in bytes.
//!
//! Level 1, pure. Room is reserved before a receive is sent and turned into what really came. Acked but
//! not yet deleted messages still count. The reservation is what a receive is expected to bring at most
//! (learnt, beginning with the worst case); a response that turns out larger is not read from its socket
//! until the budget can hold it, so the bound stays strict.

/// Room for messages and bytes.
#[derive(Debug)]
pub(crate) struct Budget {
    messages_max: u64,
    bytes_max: u64,
    messages_held: u64,
    bytes_held: u64,
    messages_reserved: u64,
    bytes_reserved: u64,
    /// Largest recent response, decaying: what the next receive is expected to bring.
    bytes_expected: u64,
}

/// Room set aside for one receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reservation {
    /// Messages.
    pub messages: u64,
    /// Bytes.
    pub bytes: u64,
    /// Bytes that a limited rate was charged for it, to be settled by what really comes; 0: it was not charged.
    pub charged: u64,
}

/// Smallest expectation, so that one small answer does not make the next one wait for room.
const EXPECTED_BYTES_MIN: u64 = 16 << 10;

impl Budget {
    /// An empty budget. `bytes_worst` is the largest answer that the first receive may bring.
    pub(crate) fn new(messages_max: u64, bytes_max: u64, bytes_worst: u64) -> Budget {
        assert!(
            bytes_worst <= bytes_max,
            "one receive must fit the budget, or nothing could ever be received"
        );
        Budget {
            messages_max,
            bytes_max,
            messages_held: 0,
            bytes_held: 0,
            messages_reserved: 0,
            bytes_reserved: 0,
            bytes_expected: bytes_worst,
        }
    }

    /// Sets room aside for a receive of up to `messages`, or refuses.
    pub(crate) fn reserve(&mut self, messages: u64) -> Option<Reservation> {
        let reservation = Reservation { messages, bytes: self.bytes_expected, charged: 0 };
        let fits = self.messages_held + self.messages_reserved + messages <= self.messages_max
            && self.bytes_held + self.bytes_reserved + reservation.bytes <= self.bytes_max;
        fits.then(|| {
            self.messages_reserved += reservation.messages;
            self.bytes_reserved += reservation.bytes;
            reservation
        })
    }

    /// Raises a reservation to `bytes`, once the answer's true size is known. `false` means: wait, and
    /// read nothing more of the answer.
    pub(crate) fn raise(&mut self, reservation: &mut Reservation, bytes: u64) -> bool {
        let Some(more) = bytes.checked_sub(reservation.bytes).filter(|&more| more > 0) else { return true };
        // While nothing is held, one answer may always go on: all others wait without reading.
        let fits = self.bytes_held + self.bytes_reserved + more <= self.bytes_max;
        if fits {
            self.bytes_reserved += more;
            reservation.bytes = bytes;
        }
        fits
    }

    /// Gives a waiting answer's own reservation back, so that waiting answers cannot lock each other out.
    pub(crate) fn lower(&mut self, reservation: &mut Reservation) {
        self.bytes_reserved -= reservation.bytes;
        reservation.bytes = 0;
    }

    /// Ends a reservation: `messages` and `bytes` are held from now on (0 and 0 for an empty answer).
    pub(crate) fn settle(&mut self, reservation: Reservation, messages: u64, bytes: u64) {
        self.messages_reserved -= reservation.messages;
        self.bytes_reserved -= reservation.bytes;
        self.messages_held += messages;
        self.bytes_held += bytes;
        if messages > 0 {
            // A quarter more than the largest seen; it sinks by an eighth with each smaller answer.
            let decayed = self.bytes_expected - self.bytes_expected / 8;
            self.bytes_expected = decayed.max(bytes + bytes / 4).max(EXPECTED_BYTES_MIN).min(self.bytes_max);
        }
    }

    /// Messages ended.
    pub(crate) fn release_messages(&mut self, messages: u64) {
        assert!(messages <= self.messages_held, "more messages ended than were held");
        self.messages_held -= messages;
    }

    /// A batch's memory was freed.
    pub(crate) fn release_bytes(&mut self, bytes: u64) {
        assert!(bytes <= self.bytes_held, "more bytes were freed than were held");
        self.bytes_held -= bytes;
    }

    /// Other bounds. What is held beyond them stays; nothing is reserved until it has shrunk below them.
    pub(crate) fn resize(&mut self, messages_max: u64, bytes_max: u64) {
        self.messages_max = messages_max;
        self.bytes_max = bytes_max;
        self.bytes_expected = self.bytes_expected.min(bytes_max);
    }

    /// Bytes that the next receive is expected to bring at most.
    pub(crate) fn bytes_expected(&self) -> u64 {
        self.bytes_expected
    }

    /// Bytes held now.
    pub(crate) fn bytes_held(&self) -> u64 {
        self.bytes_held
    }

    /// Whether less than a quarter of the room is used: what a controller may grow on.
    pub(crate) fn has_ample_room(&self) -> bool {
        (self.messages_held + self.messages_reserved) * 4 < self.messages_max * 3
            && (self.bytes_held + self.bytes_reserved) * 4 < self.bytes_max * 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_first_receive_reserves_its_worst_case_and_later_ones_what_was_learnt() {
        let mut budget = Budget::new(1000, 64 * MIB, 32 * MIB);
        let one = budget.reserve(10).unwrap();
        let two = budget.reserve(10).unwrap();
        assert!(budget.reserve(10).is_none(), "two worst cases fill the budget");
        budget.settle(one, 10, 12_000);
        budget.settle(two, 0, 0);
        for _ in 0..100 {
            let next = budget.reserve(10).unwrap();
            budget.settle(next, 10, 12_000);
            budget.release_messages(10);
            budget.release_bytes(12_000);
        }
        assert_eq!(budget.reserve(10).unwrap().bytes, EXPECTED_BYTES_MIN);
    }

    #[test]
    fn messages_are_bounded_with_reservations_counted() {
        let mut budget = Budget::new(25, 64 * MIB, MIB);
        let one = budget.reserve(10).unwrap();
        let _two = budget.reserve(10).unwrap();
        assert!(budget.reserve(10).is_none());
        budget.settle(one, 3, 100);
        assert!(budget.reserve(10).is_some());
    }

    #[test]
    fn a_smaller_budget_waits_until_what_is_held_fits_it() {
        let mut budget = Budget::new(1000, 64 * MIB, MIB);
        for _ in 0..4 {
            let one = budget.reserve(10).unwrap();
            budget.settle(one, 10, 10 * MIB);
        }
        budget.resize(30, 32 * MIB);
        assert!(budget.reserve(10).is_none());
        budget.release_messages(30);
        assert!(budget.reserve(10).is_none(), "there is room for messages and not for bytes");
        budget.release_bytes(30 * MIB);
        assert!(budget.reserve(10).is_some());
    }

    #[test]
    fn a_larger_answer_waits_until_it_fits_and_the_last_one_always_fits() {
        let mut budget = Budget::new(1000, 32 * MIB, MIB);
        let mut one = budget.reserve(10).unwrap();
        let mut two = budget.reserve(10).unwrap();
        assert!(budget.raise(&mut one, 31 * MIB));
        assert!(!budget.raise(&mut two, 20 * MIB));
        budget.lower(&mut two);
        budget.settle(one, 10, 31 * MIB);
        assert!(!budget.raise(&mut two, 20 * MIB));
        budget.release_messages(10);
        budget.release_bytes(31 * MIB);
        assert!(budget.raise(&mut two, 32 * MIB));
    }
}
