//! Tasks for extensions and releases: both are ChangeMessageVisibilityBatch.
//!
//! Level 4. One as a rule; more join while calls wait. Releases go first: somebody else may be waiting for
//! those messages.

use std::rc::Rc;
use std::task::Poll;

use super::Shard;
use super::cell::PumpCell;
use super::line::Line;
use super::pump::EntryOutcome;
use crate::clock::{self, Tick};
use crate::failpoint;
use crate::limits;
use crate::sqs::call::{self, Entries, Failure};
use crate::sqs::lease::Token;

/// Wait after a call that failed as a whole.
const AGAIN_MS: u64 = 250;

/// The task's life.
pub(crate) async fn visibility(shard: Rc<Shard>, cell: Rc<PumpCell>) {
    let mut line = Line::default();
    let mut request = Vec::new();
    let mut releases: Vec<(Token, u32)> = Vec::new();
    let mut extends: Vec<Token> = Vec::new();
    loop {
        cell.pump.borrow_mut().take_releases(clock::now(), &mut releases);
        if !releases.is_empty() {
            shard.grow_visibility(&cell);
            let outcome = change(&shard, &cell, &mut line, &mut request, &releases).await;
            released(&cell, &releases, &outcome);
            continue;
        }
        cell.pump.borrow_mut().take_extends(clock::now(), &mut extends);
        if extends.is_empty() {
            if cell.is_closed() || cell.visiting.get() > 1 {
                cell.visiting.set(cell.visiting.get() - 1);
                return;
            }
            cell.visibility_gate.wait().await;
            continue;
        }
        shard.grow_visibility(&cell);
        failpoint::pass("mid_extend");
        let seconds = cell.pump.borrow().visibility_s();
        let entries: Vec<(Token, u32)> = extends.iter().map(|&token| (token, seconds)).collect();
        let asked_at = clock::now();
        let outcome = change(&shard, &cell, &mut line, &mut request, &entries).await;
        extended(&cell, &extends, &outcome, asked_at);
    }
}

async fn change(
    shard: &Shard,
    cell: &PumpCell,
    line: &mut Line,
    request: &mut Vec<u8>,
    entries: &[(Token, u32)],
) -> Result<Entries, Failure> {
    {
        let pump = cell.pump.borrow();
        let changes = entries
            .iter()
            .map(|&(token, seconds)| (pump.leases().receipt(token).unwrap_or_default(), seconds));
        cell.calls.borrow_mut().change_visibility(changes, clock::wall_ms() / 1000, request)?;
    }
    let deadline = clock::now().plus_ms(limits::REQUEST_MARGIN_MS);
    let admit = &mut |_: &mut std::task::Context<'_>, _| Poll::Ready(());
    let count = entries.len();
    let called = line
        .call(shard, cell, request, deadline, admit, |head, body| call::batch_answer(head, body, count))
        .await;
    if called.is_err() {
        shard.pause(AGAIN_MS).await;
    }
    called
}

fn outcome_of(outcome: &Result<Entries, Failure>, position: usize) -> EntryOutcome {
    match outcome {
        Ok(entries) => entries.class(position).map_or(EntryOutcome::Unknown, EntryOutcome::from),
        Err(_) => EntryOutcome::Unknown,
    }
}

fn released(cell: &PumpCell, entries: &[(Token, u32)], outcome: &Result<Entries, Failure>) {
    let mut pump = cell.pump.borrow_mut();
    match outcome {
        Ok(entries) => {
            pump.visibility_answered();
            pump.counters_mut().release_calls += 1;
            pump.entries_refused("release", entries.failed_codes());
        }
        Err(failure) => pump.visibility_call_failed("release", &failure.code, failure.class, clock::now()),
    }
    for (position, &(token, seconds)) in entries.iter().enumerate() {
        pump.released(token, seconds, outcome_of(outcome, position));
    }
    drop(pump);
    cell.wake_waiting_answers();
}

fn extended(cell: &PumpCell, tokens: &[Token], outcome: &Result<Entries, Failure>, asked_at: Tick) {
    let mut pump = cell.pump.borrow_mut();
    match outcome {
        Ok(entries) => {
            pump.visibility_answered();
            pump.counters_mut().extends += 1;
            pump.entries_refused("extend", entries.failed_codes());
        }
        Err(failure) => pump.visibility_call_failed("extend", &failure.code, failure.class, clock::now()),
    }
    for (position, &token) in tokens.iter().enumerate() {
        pump.extended(token, outcome_of(outcome, position), asked_at, clock::now());
    }
}
