//! Pollers: tasks that receive. As many run as the pump's controller wants; the others wait at the gate.
//!
//! Level 4. A receive in flight is never cancelled: at a drain its answer is taken, and its messages are
//! finished or released.

use std::cell::Cell;
use std::rc::Rc;
use std::task::Poll;

use super::Shard;
use super::cell::PumpCell;
use super::line::Line;
use super::pump::{CORRUPT, Permit, Received};
use crate::clock;
use crate::error::Class;
use crate::limits;
use crate::net::Head;
use crate::shard::budget::Reservation;
use crate::sqs::call::{self, Failure};
use crate::stats::Stage;

/// A poller's life: ask for a permit, receive, hand over, again.
pub(crate) async fn poller(shard: Rc<Shard>, cell: Rc<PumpCell>) {
    let mut line = Line::default();
    let mut request = Vec::new();
    let mut attempt = None;
    loop {
        let permit = cell.pump.borrow_mut().may_receive(clock::now());
        let (messages, reservation) = match permit {
            Permit::Go { messages, reservation } => (messages, Cell::new(reservation)),
            Permit::Wait => {
                if cell.may_leave(&cell.pollers, cell.pump.borrow().pollers_wanted()) {
                    return;
                }
                cell.receive_gate.wait().await;
                continue;
            }
            Permit::Stop => return,
        };
        shard.grow_pollers(&cell);
        // A FIFO receive whose answer was lost is asked for again under the same id.
        attempt = attempt.or_else(|| cell.calls.borrow_mut().next_attempt());
        let outcome = receive(&shard, &cell, &mut line, &mut request, &attempt, messages, &reservation);
        match outcome.await {
            Ok(()) => attempt = None,
            Err(failure) => failed(&cell, &failure, reservation.get()),
        }
    }
}

async fn receive(
    shard: &Rc<Shard>,
    cell: &Rc<PumpCell>,
    line: &mut Line,
    request: &mut Vec<u8>,
    attempt: &Option<String>,
    messages: usize,
    reservation: &Cell<Reservation>,
) -> Result<(), Failure> {
    cell.calls.borrow_mut().receive(messages, attempt.as_deref(), clock::wall_ms() / 1000, request)?;
    let wait_ms = cell.pump.borrow().config().queue.wait_time.as_millis();
    let sent_at = clock::now();
    let deadline = sent_at.plus_ms(wait_ms + limits::REQUEST_MARGIN_MS);
    let mut admit = |context: &mut std::task::Context<'_>, bytes: usize| {
        let mut room = reservation.get();
        let fits = cell.pump.borrow_mut().admit(&mut room, bytes as u64);
        reservation.set(room);
        if fits {
            return Poll::Ready(());
        }
        cell.waiting_answers.borrow_mut().push(context.waker().clone());
        Poll::Pending
    };
    let read =
        |head: &Head<'_>, body: &[u8]| take(shard, cell, head, body, sent_at, messages, reservation.get());
    line.call(shard, cell, request, deadline, &mut admit, read).await
}

/// Decodes an answer and sends its messages on their way, in one synchronous step.
fn take(
    shard: &Rc<Shard>,
    cell: &Rc<PumpCell>,
    head: &Head<'_>,
    body: &[u8],
    sent_at: clock::Tick,
    asked: usize,
    reservation: Reservation,
) -> Result<(), Failure> {
    let arrived = clock::now();
    let mut pump = cell.pump.borrow_mut();
    let mut batch = pump.spare_batch();
    let verify = pump.config().queue.verify_md5;
    let unusable = call::receive_answer(head, body, verify, &mut batch, CORRUPT)?;
    let decoded = clock::now();
    pump.judge(&mut batch);
    let count = batch.messages.len() as u64;
    let now = clock::now();
    pump.latency_mut().record(Stage::Decode, decoded.us_since(arrived), count);
    pump.latency_mut().record(Stage::Pipeline, now.us_since(decoded), count);
    let took_us = arrived.us_since(sent_at);
    let received = Received { batch, asked, unusable, took_us, wall_ms: clock::wall_ms() };
    pump.received(received, reservation, now);
    drop(pump);
    if count > 0 {
        shard.became_busy();
    }
    shard.dispatch(cell, now);
    Ok(())
}

fn failed(cell: &PumpCell, failure: &Failure, reservation: Reservation) {
    let mut pump = cell.pump.borrow_mut();
    if failure.class == Class::ClockSkew
        && let Some(skew_s) = failure.skew_s(clock::wall_ms() / 1000)
    {
        pump.set_clock_skew(skew_s);
        cell.calls.borrow_mut().set_clock_skew(skew_s);
    }
    pump.receive_failed(&failure.code, failure.class, reservation, clock::now());
}
