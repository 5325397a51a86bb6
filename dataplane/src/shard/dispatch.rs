//! From the pump to the producers and back: orders out, reports in, across shards where needed.
//!
//! Level 4, synchronous. This is the one place where source, pipeline and sink meet.

use std::rc::Rc;

use super::Shard;
use super::cell::PumpCell;
use super::pump::Pump;
use super::sink::{Told, not_ready};
use crate::clock::{self, Tick};
use crate::error::Class;
use crate::handoff::{Item, Order, Parcel, Target, Verdict};
use crate::kafka::producer::Outcome;
use crate::limits;
use crate::message::KeyBytes;
use crate::pipeline::dead_letter::Reasons;
use crate::sqs::lease::Token;

/// Rounds of one dispatch: a refusal may put a message into the dead letter at once, which may be refused
/// in turn. Two rounds settle that; the rest waits for the next tick.
const ROUNDS_MAX: usize = 3;

impl Shard {
    /// Sends everything of a pump whose turn has come, and wakes the tasks that have work now.
    pub(crate) fn dispatch(&self, cell: &Rc<PumpCell>, now: Tick) {
        let mut tokens = self.tokens.take();
        let mut told = self.told.take();
        for _ in 0..ROUNDS_MAX {
            cell.pump.borrow_mut().take_to_produce(now, &mut tokens);
            if tokens.is_empty() {
                break;
            }
            self.send(cell, &tokens, now, &mut told);
            self.tell(cell, &mut told, now);
        }
        self.tokens.set(tokens);
        self.told.set(told);
        self.wake_tasks(cell, now);
    }

    /// Orders for each run of messages of one batch that go to one producer, in order.
    fn send(&self, cell: &Rc<PumpCell>, tokens: &[Token], now: Tick, told: &mut Vec<Told>) {
        let pump = cell.pump.borrow();
        let mut sink = cell.sink.borrow_mut();
        let constant_key = pump.plan().and_then(|plan| plan.constant_key());
        let mut open: Option<(usize, Order)> = None;
        for &token in tokens {
            let Some((_, batch)) = pump.leases().get(token) else { continue };
            let item = item(&pump, token);
            let key = match item.key {
                KeyBytes::Arena(span) => batch.field(span),
                KeyBytes::Constant => constant_key,
                KeyBytes::None => None,
            };
            let owner = sink.owner(self.number, key);
            let base = token.at(0).to_bits();
            match &mut open {
                Some((to, order)) if *to == owner && order.token == base => order.items.push(item),
                _ => {
                    // A whole receive, as a rule: it must not grow step by step.
                    let mut items = Vec::with_capacity(limits::BATCH_ENTRIES_MAX);
                    items.push(item);
                    let order = Order { pump: cell.number, batch: batch.clone(), token: base, items };
                    if let Some((to, order)) = open.replace((owner, order)) {
                        self.send_order(to, order, constant_key, &mut sink, now, told);
                    }
                }
            }
        }
        if let Some((to, order)) = open {
            self.send_order(to, order, constant_key, &mut sink, now, told);
        }
    }

    fn send_order(
        &self,
        to: usize,
        order: Order,
        constant_key: Option<&[u8]>,
        sink: &mut super::sink::Sink,
        now: Tick,
        told: &mut Vec<Told>,
    ) {
        if to == self.number {
            sink.send_own(&order, constant_key, told);
        } else {
            self.links.borrow_mut().send(to, Parcel::Order { order, origin: self.number, at: now });
        }
    }

    /// Takes the reports of a pump's producer.
    pub(crate) fn take_reports(&self, cell: &Rc<PumpCell>) {
        let now = clock::now();
        let mut told = self.told.take();
        {
            let mut sink = cell.sink.borrow_mut();
            sink.poll(&mut told, |trouble| cell.pump.borrow_mut().kafka_trouble(trouble));
            if sink.is_fatal() {
                cell.pump.borrow_mut().producer_is_fatal();
            }
        }
        self.tell(cell, &mut told, now);
        self.told.set(told);
        self.dispatch(cell, now);
    }

    /// Passes reports to the pump, or to the shards whose records they are about.
    fn tell(&self, cell: &Rc<PumpCell>, told: &mut Vec<Told>, now: Tick) {
        if told.is_empty() {
            return;
        }
        let mut verdicts: Vec<(usize, Vec<Verdict>)> = Vec::new();
        let mut pump = cell.pump.borrow_mut();
        for told in told.drain(..) {
            match told {
                Told::Own(token, outcome) => conclude(&mut pump, token, refusal(outcome), now),
                Told::Foreign { origin, token, outcome } => {
                    let verdict = Verdict { pump: cell.number, token, refusal: refusal(outcome) };
                    match verdicts.iter_mut().find(|(to, _)| *to == origin) {
                        Some((_, list)) => list.push(verdict),
                        None => verdicts.push((origin, vec![verdict])),
                    }
                }
            }
        }
        drop(pump);
        let mut links = self.links.borrow_mut();
        for (origin, list) in verdicts {
            links.send(origin, Parcel::Verdicts(list));
        }
    }

    /// Takes what other shards have sent.
    pub(crate) fn take_parcels(&self) {
        let now = clock::now();
        let mut told = Vec::new();
        let cells = self.cells();
        let numbered = |number: usize| cells.iter().find(|cell| cell.number == number);
        // One look at a time: the borrow must end before a verdict leads to new orders.
        loop {
            let parcel = self.links.borrow_mut().receive();
            match parcel {
                None => break,
                Some(Parcel::Order { order, origin, at }) => {
                    let Some(cell) = numbered(order.pump) else {
                        self.return_order(&order, origin);
                        continue;
                    };
                    let mut pump = cell.pump.borrow_mut();
                    pump.handed_off(now.us_since(at), order.items.len() as u64);
                    let constant_key = pump.plan().and_then(|plan| plan.constant_key()).map(<[u8]>::to_vec);
                    drop(pump);
                    cell.sink.borrow_mut().send_foreign(&order, origin, constant_key.as_deref(), &mut told);
                    self.tell(cell, &mut told, now);
                }
                Some(Parcel::Verdicts(verdicts)) => {
                    for verdict in verdicts {
                        // A pipeline that is gone held nothing any more.
                        let Some(cell) = numbered(verdict.pump) else { continue };
                        let mut pump = cell.pump.borrow_mut();
                        conclude(&mut pump, Token::from_bits(verdict.token), verdict.refusal, now);
                    }
                }
            }
        }
        for cell in cells.iter() {
            self.dispatch(cell, now);
        }
    }

    /// Gives an order back whose pipeline is not here.
    fn return_order(&self, order: &Order, origin: usize) {
        let verdict = |item: &Item| Verdict {
            pump: order.pump,
            token: Token::from_bits(order.token).at(item.index).to_bits(),
            refusal: refusal(not_ready()),
        };
        let verdicts = order.items.iter().map(verdict).collect();
        self.links.borrow_mut().send(origin, Parcel::Verdicts(verdicts));
    }

    /// Wakes as many tasks as have work.
    pub(crate) fn wake_tasks(&self, cell: &PumpCell, now: Tick) {
        let pump = cell.pump.borrow();
        let (receives, deletes) = (pump.receives_wanted(now), pump.deletes_wanted(now));
        let visibility = pump.visibility_calls_wanted(now);
        drop(pump);
        for (gate, calls) in [
            (&cell.receive_gate, receives),
            (&cell.delete_gate, deletes),
            (&cell.visibility_gate, visibility),
        ] {
            gate.notify(calls);
        }
    }
}

/// How a message is produced: to its course, or with reasons to the dead letter.
fn item(pump: &Pump, token: Token) -> Item {
    let index = token.index();
    if let Some(rejection) = pump.rejection(token) {
        let config = pump.config();
        let attempts = pump.leases().get(token).map_or(0, |(lease, _)| u32::from(lease.attempts));
        let reasons = Reasons::new(rejection, &config.name, &config.queue.url, attempts, clock::wall_ms());
        return Item {
            index,
            target: Target::DeadLetter,
            key: pump.course(token).key,
            reasons: Some(Box::new(reasons)),
        };
    }
    let course = pump.course(token);
    Item { index, target: Target::Topic(course.topic), key: course.key, reasons: None }
}

fn refusal(outcome: Outcome) -> Option<(&'static str, Class, bool)> {
    match outcome {
        Outcome::Acked { .. } => None,
        Outcome::Failed { code, class, possibly_persisted } => Some((code, class, possibly_persisted)),
    }
}

fn conclude(pump: &mut Pump, token: Token, refusal: Option<(&'static str, Class, bool)>, now: Tick) {
    match refusal {
        None => pump.acked(token, now),
        Some((code, class, possibly_stored)) => pump.refused(token, code, class, possibly_stored, now),
    }
}
