//! Batches that librdkafka still points into: each stays alive until all its records are reported.
//!
//! Level 3, no unsafe code. A record's opaque value names its batch's slot, the slot's generation and the
//! record's position, so that a report that comes twice or for nothing is told apart and counted, never
//! followed.

use std::sync::Arc;

use crate::limits::BATCH_ENTRIES_MAX;
use crate::message::Batch;

/// Records of one batch that the slab can tell apart: bits of a mask.
pub(super) const POSITIONS_MAX: usize = 64;

const _: () = assert!(BATCH_ENTRIES_MAX <= POSITIONS_MAX);

/// Bits of an opaque that name the position; above it 24 bits of slot and 32 of generation.
const INDEX_BITS: u32 = 8;
const SLOT_BITS: u32 = 24;

const _: () = assert!(INDEX_BITS + SLOT_BITS + 32 == usize::BITS, "an opaque is a 64-bit pointer");

/// Names one record in flight; travels through librdkafka as the message's opaque pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opaque(pub(super) usize);

impl Opaque {
    fn new(slot: u32, generation: u32, index: u8) -> Opaque {
        let slot = u64::from(slot) << INDEX_BITS;
        let generation = u64::from(generation) << (INDEX_BITS + SLOT_BITS);
        // Lossless: the assertion above holds only where a pointer has 64 bits.
        #[allow(clippy::cast_possible_truncation, reason = "64-bit pointers only")]
        let value = (generation | slot | u64::from(index)) as usize;
        Opaque(value)
    }

    #[allow(clippy::cast_possible_truncation, reason = "each part is cut to its own bits")]
    fn parts(self) -> (usize, u32, u8) {
        let slot = self.0 >> INDEX_BITS & ((1 << SLOT_BITS) - 1);
        (slot, (self.0 >> (INDEX_BITS + SLOT_BITS)) as u32, self.0 as u8)
    }
}

/// A batch in the slab, being filled by one `send`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    slot: u32,
    generation: u32,
}

impl Place {
    /// The opaque of a record at this position.
    pub(super) fn opaque(self, index: u8) -> Opaque {
        Opaque::new(self.slot, self.generation, index)
    }
}

#[derive(Debug, Default)]
struct Slot {
    batch: Option<Arc<Batch>>,
    token: u64,
    pending: u64,
    generation: u32,
    /// A `send` is still adding records: the slot stays, even if all of them so far were refused.
    filling: bool,
}

/// The batches in flight of one producer. Grows to the peak and keeps its memory; its length is bounded
/// by the shard's budget, since every slot holds at least one record in flight.
#[derive(Debug, Default)]
pub(super) struct Slab {
    slots: Vec<Slot>,
    free: Vec<u32>,
    in_flight: usize,
}

impl Slab {
    /// Takes a slot for a batch, until [`seal`](Slab::seal) at least. `None` when 2^24 batches are in flight.
    pub(super) fn hold(&mut self, batch: &Arc<Batch>, token: u64) -> Option<Place> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = u32::try_from(self.slots.len()).ok().filter(|&slot| slot < 1 << SLOT_BITS)?;
                self.slots.push(Slot::default());
                slot
            }
        };
        let held = &mut self.slots[slot as usize];
        held.batch = Some(Arc::clone(batch));
        held.token = token;
        held.pending = 0;
        held.filling = true;
        Some(Place { slot, generation: held.generation })
    }

    /// Marks a record as in flight. False when that position cannot be told apart: it is in flight
    /// already, or beyond [`POSITIONS_MAX`]; and for a place that was sealed.
    pub(super) fn begin(&mut self, place: Place, index: u8) -> bool {
        let held = &mut self.slots[place.slot as usize];
        let bit = 1_u64.checked_shl(u32::from(index)).unwrap_or(0);
        let is_open = held.filling && held.generation == place.generation;
        if !is_open || bit == 0 || held.pending & bit != 0 {
            return false;
        }
        held.pending |= bit;
        self.in_flight += 1;
        true
    }

    /// A record in flight was reported, or refused after all: gives its batch's token and its position.
    /// The batch leaves with its last record. `None` for an opaque that is not in flight: a bug in the
    /// client library or here.
    pub(super) fn settle(&mut self, opaque: Opaque) -> Option<(u64, u8)> {
        let (slot, generation, index) = opaque.parts();
        let held = self.slots.get_mut(slot)?;
        let bit = 1_u64.checked_shl(u32::from(index)).unwrap_or(0);
        if held.generation != generation || held.pending & bit == 0 {
            return None;
        }
        held.pending &= !bit;
        self.in_flight -= 1;
        let token = held.token;
        if held.pending == 0 && !held.filling {
            self.vacate(slot);
        }
        Some((token, index))
    }

    /// Ends the filling: from now on the batch leaves with its last record, at once if none went out.
    pub(super) fn seal(&mut self, place: Place) {
        let held = &mut self.slots[place.slot as usize];
        if held.generation != place.generation {
            return;
        }
        held.filling = false;
        if held.pending == 0 {
            self.vacate(place.slot as usize);
        }
    }

    /// Records in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn vacate(&mut self, slot: usize) {
        let held = &mut self.slots[slot];
        held.batch = None;
        held.generation = held.generation.wrapping_add(1);
        #[allow(clippy::cast_possible_truncation, reason = "`hold` bounds slots to 24 bits")]
        self.free.push(slot as u32);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_batch_lives_until_its_last_record_is_settled() {
        let mut slab = Slab::default();
        let batch = Arc::new(Batch::default());
        let place = slab.hold(&batch, 7).unwrap();
        assert!(slab.begin(place, 0) && slab.begin(place, 9));
        slab.seal(place);
        assert_eq!((slab.in_flight(), Arc::strong_count(&batch)), (2, 2));
        assert_eq!(slab.settle(place.opaque(9)), Some((7, 9)));
        assert_eq!(Arc::strong_count(&batch), 2);
        assert_eq!(slab.settle(place.opaque(0)), Some((7, 0)));
        assert_eq!((slab.in_flight(), Arc::strong_count(&batch)), (0, 1));
    }

    #[test]
    fn reports_that_come_twice_late_or_for_nothing_are_told_apart() {
        let mut slab = Slab::default();
        let batch = Arc::new(Batch::default());
        let first = slab.hold(&batch, 1).unwrap();
        assert!(slab.begin(first, 3));
        slab.seal(first);
        assert_eq!(slab.settle(first.opaque(4)), None);
        assert_eq!(slab.settle(first.opaque(3)), Some((1, 3)));
        assert_eq!(slab.settle(first.opaque(3)), None);
        let second = slab.hold(&batch, 2).unwrap();
        assert!(slab.begin(second, 3));
        assert_eq!(slab.settle(first.opaque(3)), None, "the slot was taken again");
        assert_eq!(slab.settle(Opaque(usize::MAX)), None);
        assert_eq!(slab.settle(second.opaque(3)), Some((2, 3)));
    }

    #[test]
    fn refusals_in_the_middle_of_a_send_leave_the_slot_to_the_rest() {
        let mut slab = Slab::default();
        let batch = Arc::new(Batch::default());
        let place = slab.hold(&batch, 7).unwrap();
        for index in 0..3 {
            assert!(slab.begin(place, index));
            assert_eq!(slab.settle(place.opaque(index)), Some((7, index)), "refused at once");
        }
        let other = slab.hold(&Arc::new(Batch::default()), 8).unwrap();
        assert_ne!(other.slot, place.slot);
        assert!(slab.begin(place, 3));
        slab.seal(place);
        assert_eq!((slab.in_flight(), Arc::strong_count(&batch)), (1, 2));
        assert!(!slab.begin(place, 4), "a sealed place takes no more");
        assert_eq!(slab.settle(place.opaque(3)), Some((7, 3)));
        assert_eq!((slab.in_flight(), Arc::strong_count(&batch)), (0, 1));
    }

    #[test]
    fn a_position_is_in_flight_once_and_below_the_limit() {
        let mut slab = Slab::default();
        let place = slab.hold(&Arc::new(Batch::default()), 1).unwrap();
        assert!(slab.begin(place, 63));
        assert!(!slab.begin(place, 63));
        assert!(!slab.begin(place, 64));
        assert!(!slab.begin(place, 255));
        assert_eq!(slab.in_flight(), 1);
    }

    #[test]
    fn an_unused_slot_is_given_back_and_a_used_one_stays() {
        let mut slab = Slab::default();
        let batch = Arc::new(Batch::default());
        let unused = slab.hold(&batch, 1).unwrap();
        slab.seal(unused);
        assert_eq!(Arc::strong_count(&batch), 1);
        let used = slab.hold(&batch, 2).unwrap();
        assert_eq!(used.slot, unused.slot);
        assert!(slab.begin(used, 0));
        slab.seal(used);
        assert_eq!(Arc::strong_count(&batch), 2);
        slab.seal(unused);
        assert_eq!(Arc::strong_count(&batch), 2, "an old place names nothing");
    }

    proptest! {
        #[test]
        fn an_opaque_keeps_its_parts(slot in 0_u32..1 << SLOT_BITS, generation: u32, index: u8) {
            prop_assert_eq!(
                Opaque::new(slot, generation, index).parts(),
                (slot as usize, generation, index)
            );
        }
    }
}
