//! Order within FIFO groups: by first delivery, in one partition. Pure.
//!
//! A message in the dead-letter topic was parked and takes no place in the order; a late copy of a message
//! that was delivered before is a duplicate and no overtaking.

use std::collections::HashMap;

use super::{Copies, Evidence, Finding, Verdict};

pub(super) fn check(evidence: &Evidence, copies: &Copies<'_>, verdict: &mut Verdict) {
    // Last message of each group that was seen, with its place.
    let mut last: HashMap<&str, (u128, i32, i64)> = HashMap::new();
    for sent in &evidence.sent {
        // A deduplication id tells a FIFO queue's group from a fair queue's, which promises no order.
        let (Some(group), Some(_)) = (sent.message.group.as_deref(), &sent.message.dedup) else { continue };
        let main = copies.get(&sent.id).into_iter().flatten();
        let main = main.filter(|record| Some(&record.topic) != evidence.dead_letter.as_ref());
        let Some(first) = main.min_by_key(|record| (record.partition, record.offset)) else { continue };
        let place = (sent.id, first.partition, first.offset);
        let Some((before, partition, offset)) = last.insert(group, place) else { continue };
        if partition != first.partition {
            verdict.findings.push(Finding::SplitGroup(group.to_owned()));
        } else if offset > first.offset {
            verdict.findings.push(Finding::Overtaken(sent.id, before));
        }
    }
}
