//! Why a message was read twice, told from SQS's own ledger.
//!
//! Pure. Only messages with something unusual in their story are remembered, so that a long demo stays small.

use std::collections::{BTreeMap, HashMap};

use bench::sqs::{Event, Kind};
use dataplane::stats::Counters;

use super::reader::Duplicate;

/// Stories that are remembered; beyond them duplicates may stay unexplained, and the demo says so.
const STORIES_MAX: usize = 4_000_000;

/// A duplicate without a cause.
pub(super) const UNEXPLAINED: &str = "unexplained";

/// What was unusual about a message.
#[derive(Clone, Copy, Debug, Default)]
struct Story {
    receives: u32,
    expired: bool,
    released: bool,
}

/// The unusual stories of all messages.
#[derive(Debug, Default)]
pub(super) struct Stories {
    stories: HashMap<u128, Story>,
    /// Messages deleted for good.
    pub(super) deleted: u64,
}

impl Stories {
    /// Reads entries of the ledger.
    pub(super) fn read(&mut self, events: &[Event]) {
        for event in events {
            match event.kind {
                Kind::Received if event.count > 1 => {
                    self.note(event.id, |story| story.receives = event.count);
                }
                Kind::Expired => self.note(event.id, |story| story.expired = true),
                Kind::VisibilityChanged if event.count == 0 => {
                    self.note(event.id, |story| story.released = true);
                }
                Kind::Deleted => self.deleted += 1,
                _ => {}
            }
        }
    }

    fn note(&mut self, id: u128, change: impl FnOnce(&mut Story)) {
        if self.stories.len() < STORIES_MAX || self.stories.contains_key(&id) {
            change(self.stories.entry(id).or_default());
        }
    }

    /// Counts duplicates by cause. Those beyond the list are unexplained.
    pub(super) fn explain(
        &self,
        list: &[Duplicate],
        all: u64,
        totals: &Counters,
    ) -> BTreeMap<&'static str, u64> {
        let mut causes = BTreeMap::new();
        for duplicate in list {
            *causes.entry(self.cause(duplicate.message_id, totals)).or_default() += 1;
        }
        if all > list.len() as u64 {
            *causes.entry(UNEXPLAINED).or_default() += all - list.len() as u64;
        }
        causes
    }

    fn cause(&self, id: u128, totals: &Counters) -> &'static str {
        match self.stories.get(&id) {
            Some(story) if story.receives > 1 && story.expired => {
                "received again: its visibility timeout ran out"
            }
            Some(story) if story.receives > 1 && story.released => {
                "received again: it was given back to the queue"
            }
            Some(story) if story.receives > 1 => "received again: SQS handed it out twice",
            _ if totals.ambiguous + totals.producer_rebuilds > 0 => {
                "produced again: Kafka's answer to the first was lost"
            }
            _ => UNEXPLAINED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: u128, kind: Kind, count: u32) -> Event {
        Event { id, at_ns: 0, count, kind }
    }

    fn duplicates(ids: &[u128]) -> Vec<Duplicate> {
        ids.iter().map(|id| Duplicate { number: 0, message_id: *id }).collect()
    }

    #[test]
    fn each_duplicate_gets_the_cause_that_its_story_tells() {
        let mut stories = Stories::default();
        stories.read(&[
            event(1, Kind::Received, 1),
            event(1, Kind::Expired, 0),
            event(1, Kind::Received, 2),
            event(2, Kind::VisibilityChanged, 0),
            event(2, Kind::Received, 2),
            event(3, Kind::Received, 2),
            event(4, Kind::Received, 1),
            event(4, Kind::VisibilityChanged, 30),
            event(4, Kind::Deleted, 0),
        ]);
        let causes = stories.explain(&duplicates(&[1, 2, 3, 4]), 4, &Counters::default());
        assert_eq!(causes["received again: its visibility timeout ran out"], 1);
        assert_eq!(causes["received again: it was given back to the queue"], 1);
        assert_eq!(causes["received again: SQS handed it out twice"], 1);
        assert_eq!(causes[UNEXPLAINED], 1);
        assert_eq!(stories.stories.len(), 3, "an ordinary story is not kept");
        assert_eq!(stories.deleted, 1);
    }

    #[test]
    fn a_lost_answer_of_kafka_is_a_cause_only_if_there_was_one() {
        let stories = Stories::default();
        let lost = Counters { ambiguous: 1, ..Counters::default() };
        assert!(stories.explain(&duplicates(&[9]), 1, &lost).keys().all(|cause| *cause != UNEXPLAINED));
        assert_eq!(stories.explain(&duplicates(&[9]), 1, &Counters::default())[UNEXPLAINED], 1);
    }

    #[test]
    fn duplicates_beyond_the_list_are_unexplained() {
        assert_eq!(Stories::default().explain(&[], 3, &Counters::default())[UNEXPLAINED], 3);
    }
}
