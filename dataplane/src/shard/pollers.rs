//! How many receives should be in flight for one queue: a controller from fill ratio, round trip and room.
//!
//! Level 1, pure. Grows while receives come back full and acks keep up; beyond a small fleet only as long as
//! that does not lengthen the round trips, because a round trip that grows with the fleet is a queue in front
//! of this core or of the server, not distance. Shrinks calmly while receives come back thin, and falls to one
//! scout on an empty queue.

/// The controller of one pipeline's pollers on one shard.
#[derive(Debug)]
pub(crate) struct Pollers {
    max: usize,
    target: usize,
    /// Fill ratio of recent receives, 0 to 1, moving average.
    fill: f32,
    /// Receives since the target last changed: one change a round, or it would overshoot.
    since_change: usize,
    trips: Trips,
    /// The fleet is small for a moment, to see how long a trip is when nothing queues.
    look: Option<Look>,
}

/// What a receive brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// Messages that came.
    pub came: usize,
    /// Messages that were asked for.
    pub asked: usize,
    /// From the request to its answer, microseconds.
    pub took_us: u64,
    /// Acks and deletes keep up.
    pub room: bool,
}

/// Weight of the newest receive in the moving averages.
const WEIGHT: f32 = 0.2;
/// Fill above which another poller pays: nearly every receive comes back full.
const FILL_HIGH: f32 = 0.75;
/// Fill below which a poller is too many.
const FILL_LOW: f32 = 0.35;
/// A fleet that never asks whether it is too large. Measured on loopback: 8 connections cost 16 % more CPU a
/// message than 32, and 64 cost the same.
const FLEET_SMALL: usize = 32;
/// Round trips longer than this many times the shortest: the fleet queues, it does not grow.
const QUEUED: f32 = 1.5;
/// Longer than this: it shrinks.
const CROWDED: f32 = 2.5;

/// Full answers after which the shortest trip is measured anew: at 80,000 messages a second every 8 s. The look
/// costs two rounds of a small fleet, under 1 % of that even at 40 ms.
const LOOK_EVERY: usize = 65_536;

/// Round trips of full answers. Thin ones may have waited for messages.
#[derive(Debug, Default)]
struct Trips {
    average_us: f32,
    shortest_us: f32,
    count: usize,
}

/// A look at the way without the queue: answers of the large fleet are passed over, those of the small one count.
#[derive(Debug)]
struct Look {
    resume: usize,
    skip: usize,
    left: usize,
}

impl Trips {
    fn note(&mut self, took_us: f32) {
        self.count += 1;
        if self.count == 1 {
            (self.average_us, self.shortest_us) = (took_us, took_us);
            return;
        }
        self.average_us += WEIGHT * (took_us - self.average_us);
        self.shortest_us = self.shortest_us.min(took_us);
    }

    fn are_longer_than(&self, times: f32) -> bool {
        self.average_us > times * self.shortest_us
    }
}

impl Pollers {
    /// Begins with one scout.
    pub(crate) fn new(max: usize) -> Pollers {
        Pollers {
            max: max.max(1),
            target: 1,
            fill: 0.0,
            since_change: 0,
            trips: Trips::default(),
            look: None,
        }
    }

    /// Another maximum.
    pub(crate) fn set_max(&mut self, max: usize) {
        self.max = max.max(1);
        if self.target > self.max {
            self.look = None;
            self.change(self.max);
        }
    }

    /// Receives that should be in flight, 1 to the maximum.
    pub(crate) fn target(&self) -> usize {
        self.target
    }

    /// A receive was answered.
    pub(crate) fn received(&mut self, answer: Answer) {
        let Answer { came, asked, took_us, room } = answer;
        let ratio = came.min(asked) as f32 / asked.max(1) as f32;
        self.fill += WEIGHT * (ratio - self.fill);
        self.since_change += 1;
        if self.is_looking() {
            self.look_on(came == asked, took_us as f32);
            return;
        }
        if came == asked {
            self.trips.note(took_us as f32);
        }
        if self.target > FLEET_SMALL && self.trips.count > LOOK_EVERY {
            self.look = Some(Look { resume: self.target, skip: self.target, left: 2 * FLEET_SMALL });
            self.trips = Trips::default();
            self.change(FLEET_SMALL);
            return;
        }
        let is_large = self.target >= FLEET_SMALL;
        // A full answer on a scout is reason enough: waiting for the average would cost ten round trips.
        let high = self.fill > FILL_HIGH || (self.target == 1 && came == asked);
        if high && is_large && self.trips.are_longer_than(CROWDED) && self.since_change >= self.target {
            self.change((self.target - self.target / 8).max(FLEET_SMALL));
        } else if high && room && self.since_change >= self.target.div_ceil(2) {
            if !is_large || !self.trips.are_longer_than(QUEUED) {
                self.change((self.target + self.target.div_ceil(2)).min(self.max));
            }
        } else if self.fill < FILL_LOW && self.since_change >= self.target {
            self.change((self.target - self.target.div_ceil(4)).max(1));
        } else if came == 0 && self.fill < 0.05 {
            self.change(1);
        }
    }

    fn is_looking(&self) -> bool {
        self.look.is_some()
    }

    /// One answer of a look. A thin one ends it: the queue runs dry, and the fill decides again.
    fn look_on(&mut self, full: bool, took_us: f32) {
        let Some(look) = &mut self.look else { return };
        if look.skip > 0 {
            look.skip -= 1;
        } else {
            self.trips.note(took_us);
            look.left -= 1;
        }
        let resume = look.resume;
        if look.left == 0 || !full {
            self.look = None;
            self.change(if full { resume } else { FLEET_SMALL }.min(self.max));
        }
    }

    /// A receive failed: go on with one until something works again.
    pub(crate) fn failed(&mut self) {
        self.fill = 0.0;
        self.look = None;
        self.change(1);
    }

    fn change(&mut self, target: usize) {
        if target != self.target {
            self.target = target;
            self.since_change = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(came: usize) -> Answer {
        Answer { came, asked: 10, took_us: 500, room: true }
    }

    fn feed(pollers: &mut Pollers, count: usize, answer: Answer) {
        for _ in 0..count {
            pollers.received(answer);
        }
    }

    #[test]
    fn a_backlog_fills_the_fleet_within_a_few_dozen_receives() {
        let mut pollers = Pollers::new(32);
        let mut receives = 0;
        while pollers.target() < 32 {
            pollers.received(answer(10));
            receives += 1;
            assert!(receives < 100);
        }
    }

    #[test]
    fn an_empty_queue_leaves_one_scout() {
        let mut pollers = Pollers::new(32);
        feed(&mut pollers, 100, answer(10));
        feed(&mut pollers, 100, answer(0));
        assert_eq!(pollers.target(), 1);
    }

    #[test]
    fn a_lower_maximum_holds_at_once_and_after_a_look() {
        let mut pollers = Pollers::new(512);
        feed(&mut pollers, 2_000, answer(10));
        assert_eq!(pollers.target(), 512);
        pollers.set_max(40);
        assert_eq!(pollers.target(), 40);
        for _ in 0..LOOK_EVERY + 1_000 {
            pollers.received(answer(10));
            if pollers.is_looking() {
                pollers.set_max(20);
            }
            assert!(pollers.target() <= 40);
        }
        assert_eq!(pollers.target(), 20, "the look did not bring the old fleet back");
    }

    #[test]
    fn without_room_the_fleet_does_not_grow() {
        let mut pollers = Pollers::new(32);
        feed(&mut pollers, 100, Answer { room: false, ..answer(10) });
        assert_eq!(pollers.target(), 1);
    }

    #[test]
    fn half_full_receives_hold_the_fleet_steady() {
        let mut pollers = Pollers::new(32);
        feed(&mut pollers, 100, answer(10));
        feed(&mut pollers, 20, answer(5));
        let settled = pollers.target();
        feed(&mut pollers, 200, answer(5));
        assert_eq!(pollers.target(), settled, "no oscillation");
    }

    /// A shard that takes `per_message_us` of its core for a message, from a server at `distance_us`: how
    /// large its fleet becomes, and what share of the core it fills. A closed loop of receives, each as long
    /// as the distance or as the turn of all others on the core.
    fn simulate(distance_us: u64, per_message_us: u64, receives: usize) -> (Vec<usize>, f64) {
        let mut pollers = Pollers::new(512);
        let mut targets = Vec::new();
        let mut busy = 0.0;
        for _ in 0..receives {
            let work_us = 10 * per_message_us;
            let turn_us = pollers.target() as u64 * work_us;
            let took_us = (distance_us + work_us).max(turn_us);
            if !pollers.is_looking() {
                busy = (turn_us as f64 / took_us as f64).min(1.0);
                targets.push(pollers.target());
            }
            pollers.received(Answer { took_us, ..answer(10) });
        }
        (targets, busy)
    }

    #[test]
    fn the_fleet_fills_a_core_at_any_distance_and_stays() {
        for distance_us in [100, 1_000, 5_000, 20_000, 40_000] {
            let (targets, busy) = simulate(distance_us, 12, 300_000);
            assert!(busy >= 0.99, "{distance_us} us: {busy}");
            assert!(targets.len() > 297_000, "{distance_us} us: looks take {}", 300_000 - targets.len());
            let needed = (distance_us / 120).max(FLEET_SMALL as u64 / 2) as usize;
            let late = &targets[25_000..];
            let (least, most) = (late.iter().min().unwrap(), late.iter().max().unwrap());
            assert!(most <= &(5 * needed), "{distance_us} us: {most} for {needed}");
            assert!(most <= &(3 * least), "{distance_us} us: between {least} and {most}");
        }
    }
}
