//! One kept-alive connection: a request at a time, its answer whole.
//!
//! Level 2. In the common case an answer arrives with one read in the buffer that all connections of the
//! shard share, and is used right there. Only what comes in pieces is gathered in the connection's own
//! memory, after the caller has said that it has room. Nothing here is tried twice.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use super::Target;
use super::answer::{self, Answer, Gathering};
use super::error::{Fault, NetError, TlsTrouble};
use super::http1::Head;
use super::proxy;
use super::stream::{self, Buffers, Stream};
use super::tls::TlsClient;
use super::tls_stream::TlsStream;
use super::watchdog::{Watch, Watchdog};
use crate::clock::Tick;

/// Reads in one poll: a peer that sends faster than this shard reads must not keep the other tasks waiting.
/// Four reads of 256 KiB take some 200 µs.
const READS_PER_POLL_MAX: usize = 4;

/// The buffer into which all connections of a shard read. Borrowed within one poll only.
pub(crate) struct ReceiveBuffer {
    buffers: RefCell<Buffers>,
}

impl ReceiveBuffer {
    /// A buffer of 256 KiB, and as much again once a TLS connection reads.
    pub(crate) fn new() -> ReceiveBuffer {
        ReceiveBuffer { buffers: RefCell::new(Buffers::new()) }
    }
}

/// A connection to the target, ready for a request.
pub(crate) struct Connection {
    stream: Stream,
    watch: Watch,
    /// What has come of an answer that did not come whole.
    gathering: Gathering,
    admitted: bool,
    /// Bytes of the request that the kernel has taken.
    sent: usize,
    reusable: bool,
}

impl Connection {
    /// Connects, through the proxy when there is one, and finishes the TLS handshake. Addresses are those
    /// of the first hop.
    ///
    /// # Errors
    /// What failed; nothing of a request has been sent.
    pub(crate) async fn open(
        target: &Target,
        addresses: &[SocketAddr],
        tls: Option<&TlsClient>,
        deadline: Tick,
        watchdog: &Watchdog,
    ) -> Result<Connection, NetError> {
        let mut tcp = stream::connect(addresses, deadline).await?;
        let watch = watchdog.watch();
        watch.begin(deadline);
        if target.proxy.is_some() {
            proxy::tunnel(&mut tcp, target, &watch).await?;
        }
        let stream = match (target.tls, tls) {
            (false, _) => Stream::Plain(tcp),
            (true, Some(tls)) => {
                let mut stream = Box::new(TlsStream::new(tcp, tls.connect(&target.host)?));
                poll_fn(|context| {
                    let polled = stream.poll_handshake(context);
                    watch.or_expired(context, "waiting for the TLS handshake", polled)
                })
                .await?;
                Stream::Tls(stream)
            }
            // Never in the clear what was asked for encrypted.
            (true, None) => {
                let text = "the target wants TLS and there are no settings for it".to_owned();
                return Err(Fault::Tls(TlsTrouble::NotConfigured, text).into());
            }
        };
        watch.end();
        let gathering = Gathering::default();
        Ok(Connection { stream, watch, gathering, admitted: false, sent: 0, reusable: true })
    }

    /// Whether the connection can take another request: false after any doubt.
    pub(crate) fn reusable(&self) -> bool {
        self.reusable
    }

    /// Writes a whole request. Not called again before its answer was read.
    ///
    /// # Errors
    /// The connection failed or the deadline passed. `sent` is false when the peer had closed the idle
    /// connection before: the request can be sent again on a new one at once.
    pub(crate) async fn send(&mut self, request: &[u8], deadline: Tick) -> Result<(), NetError> {
        self.reusable = false;
        self.sent = 0;
        self.gathering.clear();
        self.watch.begin(deadline);
        let mut prepared = false;
        let result = poll_fn(|context| {
            if !prepared {
                self.stream.check_quiet(context)?;
                self.stream.prepare(request)?;
                prepared = true;
            }
            let polled = self.stream.poll_send(context, request, &mut self.sent);
            self.watch.or_expired(context, "sending", polled)
        })
        .await;
        result.map_err(|fault| self.failed(fault))
    }

    /// Waits for the answer and gives it to `use_it`, whole. Before an answer is gathered that did not come
    /// in one read, `admit` is polled with the bytes that it will take (the largest answer there is, when
    /// its head does not tell); until it is ready nothing more is read, and TCP holds the peer back.
    ///
    /// # Errors
    /// The connection failed, the deadline passed, or the answer breaks HTTP or a limit. Whatever failed,
    /// the server may have acted on the request.
    pub(crate) async fn response<R>(
        &mut self,
        buffer: &ReceiveBuffer,
        deadline: Tick,
        admit: &mut impl FnMut(&mut Context<'_>, usize) -> Poll<()>,
        use_it: impl FnOnce(&Head<'_>, &[u8]) -> R,
    ) -> Result<R, NetError> {
        self.watch.begin(deadline);
        self.admitted = false;
        let mut use_it = Some(use_it);
        let result = poll_fn(|context| {
            let polled = self.poll_response(context, buffer, admit, &mut use_it);
            self.watch.or_expired(context, "waiting for the answer", polled)
        })
        .await;
        self.watch.end();
        self.gathering.clear();
        result.map_err(|fault| self.failed(fault))
    }

    fn failed(&self, fault: Fault) -> NetError {
        NetError { fault, sent: self.sent > 0 }
    }

    fn poll_response<R, U: FnOnce(&Head<'_>, &[u8]) -> R>(
        &mut self,
        context: &mut Context<'_>,
        buffer: &ReceiveBuffer,
        admit: &mut impl FnMut(&mut Context<'_>, usize) -> Poll<()>,
        use_it: &mut Option<U>,
    ) -> Poll<Result<R, Fault>> {
        let mut buffers = buffer.buffers.borrow_mut();
        for _ in 0..READS_PER_POLL_MAX {
            if !self.admitted
                && let Some(bytes) = self.gathering.room()
            {
                ready!(admit(context, bytes));
                self.admitted = true;
                self.gathering.reserve();
            }
            let came = ready!(self.stream.poll_read(context, &mut buffers))?;
            if came == 0 {
                self.gathering.end(self.stream.ended_cleanly())?;
                return Poll::Ready(self.finish_gathered(use_it));
            }
            let fresh = &buffers.plain[..came];
            if self.gathering.is_empty()
                && let Some(answer) = answer::whole(fresh)?
            {
                self.reusable = !answer.close;
                return Poll::Ready(give(&answer, use_it));
            }
            if self.gathering.take(fresh)? {
                return Poll::Ready(self.finish_gathered(use_it));
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn finish_gathered<R, U: FnOnce(&Head<'_>, &[u8]) -> R>(
        &mut self,
        use_it: &mut Option<U>,
    ) -> Result<R, Fault> {
        let answer = self.gathering.answer()?;
        self.reusable = !answer.close;
        give(&answer, use_it)
    }
}

fn give<R, U: FnOnce(&Head<'_>, &[u8]) -> R>(
    answer: &Answer<'_>,
    use_it: &mut Option<U>,
) -> Result<R, Fault> {
    let use_it = use_it.take().ok_or(Fault::Protocol("the answer was used already"))?;
    Ok(use_it(&answer.head, answer.body))
}
