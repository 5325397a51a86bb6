//! One queue: what is visible, what is in flight, what waits, in constant time whatever its length.
//!
//! Pure: time is an argument, in nanoseconds since the server's start.

mod handle;
mod settle;

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::attributes;
use super::error::ApiError;
use super::ledger::{Kind, Ledger};
use super::message::Prepared;
use super::settings::Settings;
use handle::Handle;

/// In flight at most, for either type of queue. Source: "Amazon SQS message quotas".
const IN_FLIGHT_MAX: usize = 120_000;
/// Longest that a message may stay invisible in all.
const HOLD_NS_MAX: u64 = 43_200 * S;
/// A deduplication id is remembered this long.
const DEDUP_NS: u64 = 300 * S;
/// A receive attempt is remembered this long.
const ATTEMPT_NS: u64 = 300 * S;
/// Nanoseconds in a second.
pub(crate) const S: u64 = 1_000_000_000;

/// How many messages a queue holds, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Can be received now.
    pub visible: usize,
    /// Received and not deleted.
    pub in_flight: usize,
    /// Not visible yet.
    pub delayed: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Delayed,
    Visible,
    InFlight,
}

pub(crate) struct Slot {
    state: State,
    generation: u32,
    /// Counts receives: names the newest receipt handle.
    ordinal: u32,
    /// When it becomes visible again, for `Delayed` and `InFlight`.
    until_ns: u64,
    first_hidden_ns: u64,
    pub sent_ms: u64,
    pub first_received_ms: u64,
    pub receive_count: u32,
    pub sequence: u64,
    pub message: Option<Prepared>,
}

#[derive(Default)]
struct Group {
    waiting: VecDeque<u32>,
    in_flight: usize,
    listed: bool,
}

struct Timer {
    at_ns: u64,
    slot: u32,
    generation: u32,
}

/// What a message's sender is told.
#[derive(Clone, Debug)]
pub(crate) struct SentAs {
    pub id: u128,
    pub md5_of_body: String,
    pub md5_of_attributes: Option<String>,
    pub md5_of_system_attributes: Option<String>,
    pub sequence: Option<String>,
}

type Brought = Vec<(u32, u32, u32)>;

pub(crate) struct Queue {
    pub name: String,
    pub settings: Settings,
    pub tags: BTreeMap<String, String>,
    pub created_s: u64,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Visible messages with their generations: what was deleted meanwhile is passed over.
    ready: VecDeque<(u32, u32)>,
    groups: HashMap<Box<str>, Group>,
    ready_groups: VecDeque<Box<str>>,
    /// By length of the wait: entries of one length are in the order of their end.
    timers: BTreeMap<u64, VecDeque<Timer>>,
    next_timer_ns: u64,
    dedup: HashMap<Box<str>, (u64, SentAs)>,
    dedup_order: VecDeque<(u64, Box<str>)>,
    /// Receive attempts by their ids: when, and slot, generation and ordinal of what each brought.
    attempts: HashMap<String, (u64, Brought)>,
    sequence: u64,
    depth: Depth,
}

impl Queue {
    pub(crate) fn new(name: &str, settings: Settings, created_s: u64) -> Queue {
        Queue {
            name: name.to_owned(),
            settings,
            tags: BTreeMap::new(),
            created_s,
            slots: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::new(),
            groups: HashMap::new(),
            ready_groups: VecDeque::new(),
            timers: BTreeMap::new(),
            next_timer_ns: u64::MAX,
            dedup: HashMap::new(),
            dedup_order: VecDeque::new(),
            attempts: HashMap::new(),
            sequence: 1_885_000_000_000_000_000,
            depth: Depth::default(),
        }
    }

    pub(crate) fn depth(&self) -> Depth {
        self.depth
    }

    /// When time next changes something.
    pub(crate) fn next_timer_ns(&self) -> u64 {
        self.next_timer_ns
    }

    pub(crate) fn slot(&self, slot: u32) -> &Slot {
        &self.slots[slot as usize]
    }

    pub(crate) fn handle(&self, slot: u32) -> Handle {
        let found = &self.slots[slot as usize];
        let id = found.message.as_ref().map_or(0, |message| message.id);
        Handle { slot, generation: found.generation, ordinal: found.ordinal, id }
    }

    /// Stores a message.
    pub(crate) fn send(
        &mut self,
        message: Prepared,
        now_ns: u64,
        now_ms: u64,
        ledger: &mut Ledger,
    ) -> Result<SentAs, ApiError> {
        if message.bytes > self.settings.message_bytes_max {
            return Err(ApiError::invalid_parameter(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {} bytes.",
                self.settings.message_bytes_max
            )));
        }
        self.check_delay(&message)?;
        let dedup = self.dedup_id(&message)?;
        if let Some(twin) = dedup.as_deref().and_then(|dedup| self.twin(dedup, now_ns)) {
            return Ok(twin);
        }
        let sent = SentAs {
            id: message.id,
            md5_of_body: message.md5_of_body.clone(),
            md5_of_attributes: message.md5_of_attributes.clone(),
            md5_of_system_attributes: message.trace_header.as_deref().and_then(attributes::md5_of_trace),
            sequence: self.settings.fifo.then(|| (self.sequence + 1).to_string()),
        };
        if let Some(dedup) = dedup {
            self.dedup_order.push_back((now_ns, dedup.clone()));
            self.dedup.insert(dedup, (now_ns, sent.clone()));
        }
        ledger.push(Kind::Sent, message.id, now_ns, 0);
        self.store(message, now_ns, now_ms);
        Ok(sent)
    }

    /// Source: SendMessage, `DelaySeconds`: at most 900, and of the queue alone where it is FIFO.
    fn check_delay(&self, message: &Prepared) -> Result<(), ApiError> {
        let Some(delay_s) = message.delay_s.filter(|&delay_s| self.settings.fifo || delay_s > 900) else {
            return Ok(());
        };
        let reason = if self.settings.fifo {
            "The request include parameter that is not valid for this queue type."
        } else {
            "DelaySeconds must be >= 0 and <= 900."
        };
        Err(ApiError::invalid_parameter(format!(
            "Value {delay_s} for parameter DelaySeconds is invalid. Reason: {reason}"
        )))
    }

    fn dedup_id(&self, message: &Prepared) -> Result<Option<Box<str>>, ApiError> {
        if !self.settings.fifo {
            return match message.dedup {
                None => Ok(None),
                Some(_) => Err(ApiError::invalid_parameter(
                    "The request include parameter that is not valid for this queue type: MessageDeduplicationId.",
                )),
            };
        }
        if message.group.is_none() {
            return Err(ApiError::missing_parameter("MessageGroupId"));
        }
        let content = message.body_sha256.as_deref().filter(|_| self.settings.content_dedup);
        message.dedup.as_deref().or(content).map(|id| Some(id.into())).ok_or_else(|| {
            ApiError::invalid_parameter(
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
            )
        })
    }

    fn twin(&mut self, dedup: &str, now_ns: u64) -> Option<SentAs> {
        while let Some((at_ns, _)) = self.dedup_order.front() {
            if at_ns + DEDUP_NS > now_ns {
                break;
            }
            if let Some((_, old)) = self.dedup_order.pop_front() {
                self.dedup.remove(&old);
            }
        }
        self.dedup.get(dedup).map(|(_, sent)| sent.clone())
    }

    /// Stores a message that is new to this queue: sent, or moved here by a redrive policy.
    pub(crate) fn store(&mut self, message: Prepared, now_ns: u64, sent_ms: u64) {
        self.sequence += 1;
        let delay_s = if self.settings.fifo {
            self.settings.delay_s
        } else {
            message.delay_s.unwrap_or(self.settings.delay_s)
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::free());
            (self.slots.len() - 1) as u32
        });
        let generation = self.slots[slot as usize].generation;
        let state = if delay_s > 0 { State::Delayed } else { State::Visible };
        self.slots[slot as usize] = Slot {
            state,
            generation,
            ordinal: 0,
            until_ns: now_ns + u64::from(delay_s) * S,
            first_hidden_ns: 0,
            sent_ms,
            first_received_ms: 0,
            receive_count: 0,
            sequence: self.sequence,
            message: Some(message),
        };
        if state == State::Delayed {
            self.depth.delayed += 1;
            self.set_timer(slot, u64::from(delay_s) * S, now_ns);
        } else {
            self.depth.visible += 1;
            self.make_ready(slot);
        }
    }

    /// A message of a FIFO group takes the place that its sequence number gives it.
    fn make_ready(&mut self, slot: u32) {
        if !self.settings.fifo {
            self.ready.push_back((slot, self.slots[slot as usize].generation));
            return;
        }
        let sequence = self.slots[slot as usize].sequence;
        let name = self.group_name(slot);
        let slots = &self.slots;
        let group = self.groups.entry(name.clone()).or_default();
        let place = group.waiting.partition_point(|&other| slots[other as usize].sequence < sequence);
        group.waiting.insert(place, slot);
        if group.in_flight == 0 && !group.listed {
            group.listed = true;
            self.ready_groups.push_back(name);
        }
    }

    fn group_name(&self, slot: u32) -> Box<str> {
        let message = self.slots[slot as usize].message.as_ref();
        message.and_then(|message| message.group.clone()).unwrap_or_default()
    }

    fn set_timer(&mut self, slot: u32, length_ns: u64, now_ns: u64) {
        let generation = self.slots[slot as usize].generation;
        let at_ns = now_ns + length_ns;
        self.timers.entry(length_ns).or_default().push_back(Timer { at_ns, slot, generation });
        self.next_timer_ns = self.next_timer_ns.min(at_ns);
    }

    /// Makes visible what time has made visible.
    pub(crate) fn advance(&mut self, now_ns: u64, ledger: &mut Ledger) {
        let mut due = Vec::new();
        let mut next = u64::MAX;
        let slots = &self.slots;
        self.timers.retain(|_, timers| {
            while let Some(timer) = timers.front() {
                let slot = &slots[timer.slot as usize];
                let live = slot.generation == timer.generation
                    && matches!(slot.state, State::Delayed | State::InFlight)
                    && slot.until_ns == timer.at_ns;
                if live && timer.at_ns > now_ns {
                    next = next.min(timer.at_ns);
                    break;
                }
                if live {
                    due.push(timer.slot);
                }
                timers.pop_front();
            }
            !timers.is_empty()
        });
        self.next_timer_ns = next;
        for slot in due {
            // Two timers of one message may end at the same time.
            if self.slots[slot as usize].state != State::Visible {
                self.show(slot, now_ns, ledger);
            }
        }
    }

    /// A hidden message becomes visible.
    fn show(&mut self, slot: u32, now_ns: u64, ledger: &mut Ledger) {
        let found = &mut self.slots[slot as usize];
        let was = std::mem::replace(&mut found.state, State::Visible);
        let (id, count) = (found.message.as_ref().map_or(0, |message| message.id), found.receive_count);
        self.depth.visible += 1;
        if was == State::Delayed {
            self.depth.delayed -= 1;
        } else {
            self.depth.in_flight -= 1;
            ledger.push(Kind::Expired, id, now_ns, count);
            self.leave_group(slot);
        }
        self.make_ready(slot);
    }

    fn leave_group(&mut self, slot: u32) {
        if !self.settings.fifo {
            return;
        }
        let name = self.group_name(slot);
        let Some(group) = self.groups.get_mut(&name) else { return };
        group.in_flight -= 1;
        if group.in_flight == 0 {
            if group.waiting.is_empty() {
                self.groups.remove(&name);
            } else if !group.listed {
                group.listed = true;
                self.ready_groups.push_back(name);
            }
        }
    }

    /// Whether a receive would bring something now.
    pub(crate) fn has_visible(&self) -> bool {
        let waits = if self.settings.fifo { !self.ready_groups.is_empty() } else { !self.ready.is_empty() };
        waits && self.depth.in_flight < IN_FLIGHT_MAX
    }

    /// Hands out up to `max` messages. Messages past their receive count go to `moved` instead.
    pub(crate) fn receive(
        &mut self,
        max: usize,
        visibility_s: u32,
        now_ns: u64,
        now_ms: u64,
        ledger: &mut Ledger,
        moved: &mut Vec<(Prepared, u64)>,
    ) -> Result<Vec<u32>, ApiError> {
        let max = max.min(IN_FLIGHT_MAX.saturating_sub(self.depth.in_flight));
        if max == 0 && !self.settings.fifo {
            return Err(ApiError {
                status: 403,
                ..ApiError::new("OverLimit", "The in flight limit of the queue is reached.")
            });
        }
        let mut out = Vec::with_capacity(max);
        while out.len() < max {
            let Some(slot) = self.next_ready(&out) else { break };
            self.hand_out(slot, visibility_s, now_ns, now_ms, ledger, moved, &mut out);
        }
        if visibility_s == 0 {
            // Only now, or one receive would bring the same message twice.
            out.iter().for_each(|&slot| self.show(slot, now_ns, ledger));
        }
        Ok(out)
    }

    /// The next visible message; of a FIFO group, all that fit come one after another.
    fn next_ready(&mut self, out: &[u32]) -> Option<u32> {
        if !self.settings.fifo {
            while let Some((slot, generation)) = self.ready.pop_front() {
                let found = &self.slots[slot as usize];
                if found.state == State::Visible && found.generation == generation {
                    return Some(slot);
                }
            }
            return None;
        }
        // A group that this receive has begun goes on before the next one begins.
        if let Some(&last) = out.last() {
            let name = self.group_name(last);
            if let Some(slot) = self.groups.get_mut(&name).and_then(|group| group.waiting.pop_front()) {
                return Some(slot);
            }
        }
        loop {
            let name = self.ready_groups.pop_front()?;
            let Some(group) = self.groups.get_mut(&name) else { continue };
            group.listed = false;
            if group.in_flight > 0 {
                continue;
            }
            if let Some(slot) = group.waiting.pop_front() {
                return Some(slot);
            }
            self.groups.remove(&name);
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one step of `receive`, with its arguments")]
    fn hand_out(
        &mut self,
        slot: u32,
        visibility_s: u32,
        now_ns: u64,
        now_ms: u64,
        ledger: &mut Ledger,
        moved: &mut Vec<(Prepared, u64)>,
        out: &mut Vec<u32>,
    ) {
        let redrive_at = self.settings.redrive.as_ref().map(|(_, count)| *count);
        let retention_ms = u64::from(self.settings.retention_s) * 1000;
        let found = &mut self.slots[slot as usize];
        let id = found.message.as_ref().map_or(0, |message| message.id);
        let too_old = now_ms > found.sent_ms + retention_ms;
        if too_old || redrive_at.is_some_and(|count| found.receive_count >= count) {
            ledger.push(if too_old { Kind::Purged } else { Kind::Moved }, id, now_ns, found.receive_count);
            let sent_ms = found.sent_ms;
            self.depth.visible -= 1;
            let relist = self.settings.fifo.then(|| self.group_name(slot));
            let message = self.forget(slot).filter(|_| !too_old);
            moved.extend(message.map(|message| (message, sent_ms)));
            if let Some(name) = relist {
                self.relist(name);
            }
            return;
        }
        found.state = State::InFlight;
        found.ordinal += 1;
        found.receive_count += 1;
        found.until_ns = now_ns + u64::from(visibility_s) * S;
        found.first_hidden_ns = now_ns;
        if found.first_received_ms == 0 {
            found.first_received_ms = now_ms;
        }
        ledger.push(Kind::Received, id, now_ns, found.receive_count);
        self.depth.visible -= 1;
        self.depth.in_flight += 1;
        if self.settings.fifo {
            let name = self.group_name(slot);
            if let Some(group) = self.groups.get_mut(&name) {
                group.in_flight += 1;
            }
        }
        if visibility_s > 0 {
            self.set_timer(slot, u64::from(visibility_s) * S, now_ns);
        }
        out.push(slot);
    }

    fn relist(&mut self, name: Box<str>) {
        let Some(group) = self.groups.get_mut(&name) else { return };
        if group.waiting.is_empty() && group.in_flight == 0 {
            self.groups.remove(&name);
        } else if group.in_flight == 0 && !group.listed {
            group.listed = true;
            self.ready_groups.push_front(name);
        }
    }

    fn forget(&mut self, slot: u32) -> Option<Prepared> {
        let found = &mut self.slots[slot as usize];
        let generation = found.generation.wrapping_add(1);
        let message = found.message.take();
        *found = Slot { generation, ..Slot::free() };
        self.free.push(slot);
        message
    }

    fn find(&self, handle: Handle) -> Option<&Slot> {
        self.slots
            .get(handle.slot as usize)
            .filter(|slot| slot.generation == handle.generation && slot.state != State::Free)
    }
}

impl Slot {
    fn free() -> Slot {
        Slot {
            state: State::Free,
            generation: 0,
            ordinal: 0,
            until_ns: 0,
            first_hidden_ns: 0,
            sent_ms: 0,
            first_received_ms: 0,
            receive_count: 0,
            sequence: 0,
            message: None,
        }
    }
}
