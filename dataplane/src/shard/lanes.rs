//! FIFO lanes: one message of a group at the producer at a time.
//!
//! Level 1, pure. SQS gives the messages of a group in order and holds back the rest of the group while
//! any of them is in flight. A lane keeps that order to the broker's ack: the next message is produced only
//! when the one before it is acked or parked in the dead letter. When the head is given back or lost, the
//! whole lane goes back, and SQS hands the group out again in order.

use std::collections::{HashMap, VecDeque};

use crate::sqs::lease::Token;

/// The lanes of one FIFO pipeline on one shard.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    /// By a 128-bit key of the group id (`message::message_key`).
    lanes: HashMap<u128, VecDeque<Token>>,
    group_of: HashMap<Token, u128>,
}

impl Lanes {
    /// Appends a message to its group's lane. Returns whether it is the head, to be produced now.
    pub(crate) fn push(&mut self, group: u128, token: Token) -> bool {
        let lane = self.lanes.entry(group).or_default();
        lane.push_back(token);
        self.group_of.insert(token, group);
        lane.len() == 1
    }

    /// The head is acked or parked: returns the next message to produce, and whether the lane is finished.
    pub(crate) fn advance(&mut self, token: Token) -> Option<Token> {
        let group = self.group_of.remove(&token)?;
        let lane = self.lanes.get_mut(&group)?;
        debug_assert_eq!(lane.front(), Some(&token), "only a head is ever at the producer");
        lane.pop_front();
        let next = lane.front().copied();
        if next.is_none() {
            self.lanes.remove(&group);
        }
        next
    }

    /// A message of the lane was lost or given back: every message after it must go back too.
    pub(crate) fn break_off(&mut self, token: Token) -> Vec<Token> {
        let Some(group) = self.group_of.remove(&token) else { return Vec::new() };
        let Some(lane) = self.lanes.get_mut(&group) else { return Vec::new() };
        let position = lane.iter().position(|&other| other == token).unwrap_or(0);
        let mut rest: Vec<Token> = lane.drain(position..).collect();
        rest.retain(|&other| other != token);
        for other in &rest {
            self.group_of.remove(other);
        }
        if lane.is_empty() {
            self.lanes.remove(&group);
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(n: u64) -> Token {
        Token::from_bits(n << 8)
    }

    #[test]
    fn a_group_is_produced_one_by_one_and_groups_beside_each_other() {
        let mut lanes = Lanes::default();
        assert!(lanes.push(1, token(10)));
        assert!(!lanes.push(1, token(11)));
        assert!(lanes.push(2, token(20)));
        assert_eq!(lanes.advance(token(10)), Some(token(11)));
        assert_eq!(lanes.advance(token(11)), None);
        assert!(lanes.push(1, token(12)), "a finished lane begins anew");
    }

    #[test]
    fn a_lost_head_takes_its_followers_along() {
        let mut lanes = Lanes::default();
        for n in 10..14 {
            lanes.push(1, token(n));
        }
        assert_eq!(lanes.break_off(token(10)), [token(11), token(12), token(13)]);
        assert!(lanes.push(1, token(10)), "nothing is left of the lane");
        assert_eq!(lanes.break_off(token(99)), []);
    }

    #[test]
    fn a_lost_follower_leaves_the_head_at_work() {
        let mut lanes = Lanes::default();
        for n in 10..14 {
            lanes.push(1, token(n));
        }
        assert_eq!(lanes.break_off(token(12)), [token(13)]);
        assert_eq!(lanes.advance(token(10)), Some(token(11)));
        assert_eq!(lanes.advance(token(11)), None);
    }
}
