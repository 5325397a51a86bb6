//! Deleters: tasks that delete what Kafka has confirmed, ten at a call, several calls in flight.
//!
//! Level 4. Only messages that the pump has queued for deletion reach this file, and only an ack queues one.

use std::rc::Rc;
use std::task::Poll;

use super::Shard;
use super::cell::PumpCell;
use super::line::Line;
use super::pump::EntryOutcome;
use crate::clock;
use crate::failpoint;
use crate::limits;
use crate::sqs::call::{self, Entries, Failure};
use crate::sqs::lease::Token;

/// A deleter's life: take up to ten, delete them, tell the pump what SQS said about each.
pub(crate) async fn deleter(shard: Rc<Shard>, cell: Rc<PumpCell>) {
    let mut line = Line::default();
    let mut request = Vec::new();
    let mut entries: Vec<(Token, u8)> = Vec::with_capacity(limits::BATCH_ENTRIES_MAX);
    loop {
        cell.pump.borrow_mut().take_deletes(clock::now(), &mut entries);
        if entries.is_empty() {
            if cell.is_closed() || cell.may_leave(&cell.deleters, cell.pump.borrow().deleters_wanted()) {
                return;
            }
            cell.delete_gate.wait().await;
            continue;
        }
        shard.grow_deleters(&cell);
        failpoint::pass("mid_delete_batch");
        match delete(&shard, &cell, &mut line, &mut request, &entries).await {
            Ok(outcomes) => conclude(&cell, &entries, &outcomes),
            Err(failure) => {
                let mut pump = cell.pump.borrow_mut();
                pump.delete_call_failed(&entries, &failure.code, failure.class, clock::now());
            }
        }
        shard.wake_tasks(&cell, clock::now());
    }
}

async fn delete(
    shard: &Shard,
    cell: &PumpCell,
    line: &mut Line,
    request: &mut Vec<u8>,
    entries: &[(Token, u8)],
) -> Result<Entries, Failure> {
    {
        let pump = cell.pump.borrow();
        let handles = entries.iter().map(|&(token, _)| pump.leases().receipt(token).unwrap_or_default());
        cell.calls.borrow_mut().delete(handles, clock::wall_ms() / 1000, request)?;
    }
    let deadline = clock::now().plus_ms(limits::REQUEST_MARGIN_MS);
    let admit = &mut |_: &mut std::task::Context<'_>, _| Poll::Ready(());
    let count = entries.len();
    line.call(shard, cell, request, deadline, admit, |head, body| call::batch_answer(head, body, count)).await
}

fn conclude(cell: &PumpCell, entries: &[(Token, u8)], outcomes: &Entries) {
    let now = clock::now();
    let mut pump = cell.pump.borrow_mut();
    pump.delete_answered();
    pump.entries_refused("delete", outcomes.failed_codes());
    for (position, &(token, version)) in entries.iter().enumerate() {
        let outcome = outcomes.class(position);
        pump.deleted(token, version, outcome.map_or(EntryOutcome::Unknown, EntryOutcome::from), now);
    }
    drop(pump);
    cell.wake_waiting_answers();
}
