//! One task's line to SQS: a kept-alive connection that is opened when needed and dropped when in doubt.
//!
//! Level 4. Every poller, deleter and the visibility task has one; none is shared.

use std::task::{Context, Poll};

use super::Shard;
use super::cell::PumpCell;
use crate::clock::{self, Tick};
use crate::error::Class;
use crate::limits;
use crate::net::{Connection, Head, NetError};
use crate::sqs::call::Failure;

/// A connection idle for longer than this is not trusted: load balancers close them at 60 s and less.
const IDLE_MS_MAX: u64 = 10_000;

/// A kept-alive connection, or the lack of one.
#[derive(Default)]
pub(crate) struct Line {
    connection: Option<Connection>,
    used_at: Tick,
}

impl Line {
    /// Sends a request and gives its answer to `read`, in one piece. `admit` is asked before an answer
    /// larger than what already came is read.
    ///
    /// # Errors
    /// Anything that kept the answer from being read, or what `read` made of it.
    pub(crate) async fn call<R>(
        &mut self,
        shard: &Shard,
        cell: &PumpCell,
        request: &[u8],
        deadline: Tick,
        admit: &mut impl FnMut(&mut Context<'_>, usize) -> Poll<()>,
        read: impl FnOnce(&Head<'_>, &[u8]) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let mut connection =
            self.send(shard, cell, request, deadline).await.map_err(|error| failure(&error))?;
        let answer = connection
            .response(&shard.receive_buffer, deadline, admit, read)
            .await
            .map_err(|error| failure(&error))?;
        if connection.reusable() {
            self.used_at = clock::now();
            self.connection = Some(connection);
        }
        answer
    }

    /// Sends a request on the kept connection. If the peer closed that one while it was idle, nothing of the
    /// request has left, and a new connection takes it at once.
    async fn send(
        &mut self,
        shard: &Shard,
        cell: &PumpCell,
        request: &[u8],
        deadline: Tick,
    ) -> Result<Connection, NetError> {
        let kept = self.connection.take();
        if let Some(mut kept) = kept.filter(|_| clock::now().ms_since(self.used_at) < IDLE_MS_MAX) {
            match kept.send(request, deadline).await {
                Ok(()) => return Ok(kept),
                Err(error) if error.sent => return Err(error),
                Err(_) => {}
            }
        }
        let mut fresh = open(shard, cell).await?;
        fresh.send(request, deadline).await?;
        Ok(fresh)
    }
}

async fn open(shard: &Shard, cell: &PumpCell) -> Result<Connection, NetError> {
    let deadline = clock::now().plus_ms(limits::CONNECT_TIMEOUT_MS);
    let addresses = shard.resolver.addresses(&cell.target);
    // What a full inbox of the resolver lost is asked for again.
    let addresses = addresses.inspect_err(|_| shard.resolver.refresh(&cell.target))?;
    let opened =
        Connection::open(&cell.target, &addresses, cell.tls.as_ref(), deadline, &shard.watchdog).await;
    if opened.is_err() {
        // The name may have moved: ask again, off this thread.
        shard.resolver.refresh(&cell.target);
    }
    cell.pump.borrow_mut().counters_mut().connections_opened += 1;
    opened
}

fn failure(error: &NetError) -> Failure {
    Failure { code: error.code().to_owned(), class: Class::Retry, date_unix_s: None }
}
