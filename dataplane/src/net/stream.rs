//! A byte stream to the peer: TCP, plain or under TLS, polled by hand.
//!
//! Level 2. Reads go into the buffers that all connections of a shard share.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use socket2::{SockRef, TcpKeepalive};

use super::error::Fault;
use super::tls_stream::TlsStream;
use crate::clock::{self, Tick};

/// Bytes of the buffer that the connections of a shard share: ten messages of 16 KiB arrive in one read.
const SHARED_BYTES: usize = 256 << 10;
/// Addresses of a name that are tried; AWS gives eight at most.
const ADDRESSES_MAX: usize = 16;
/// A long poll is silent for up to 20 s; a peer that vanishes meanwhile is noticed within
/// `KEEPALIVE_AFTER` + `KEEPALIVE_RETRIES` × `KEEPALIVE_EVERY`, 25 s.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(10);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
/// Bytes that the peer does not acknowledge for so long end the connection.
const UNACKED_MAX: Duration = Duration::from_secs(20);

/// Where all connections of a shard read into.
pub(super) struct Buffers {
    /// What the peer said.
    pub plain: Box<[u8]>,
    /// TLS records that hold it; taken when the first TLS connection reads.
    pub records: Box<[u8]>,
}

impl Buffers {
    pub(super) fn new() -> Buffers {
        Buffers { plain: vec![0; SHARED_BYTES].into_boxed_slice(), records: Box::default() }
    }

    /// Room for records. What they hold is never longer than they are, so it fits into `plain`.
    pub(super) fn with_records(&mut self) -> (&mut [u8], &mut [u8]) {
        if self.records.is_empty() {
            self.records = vec![0; self.plain.len()].into_boxed_slice();
        }
        (&mut self.plain, &mut self.records)
    }
}

/// A byte stream to the peer.
pub(super) enum Stream {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream>),
}

/// Connects to the first address that answers. Each gets a fair share of the time that is left.
pub(super) async fn connect(addresses: &[SocketAddr], deadline: Tick) -> Result<TcpStream, Fault> {
    let addresses = &addresses[..addresses.len().min(ADDRESSES_MAX)];
    let mut tried = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        let left = clock::now().until(deadline);
        let share = left / (addresses.len() - index) as u32;
        if share < Duration::from_millis(1) {
            return Err(Fault::Deadline("connecting"));
        }
        match TcpStream::connect_timeout(address, share).await {
            Ok(tcp) => {
                set_options(&tcp)?;
                return Ok(tcp);
            }
            Err(error) => tried.push((*address, io::Error::from(error).kind())),
        }
    }
    Err(Fault::Connect(tried))
}

fn set_options(tcp: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(tcp);
    // Without it a small request waits for the ack of the one before.
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER);
    let keepalive = keepalive.with_interval(KEEPALIVE_EVERY).with_retries(KEEPALIVE_RETRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNACKED_MAX))
}

impl Stream {
    /// Reads what is there into `buffers.plain`; 0 is the end of the stream.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffers: &mut Buffers,
    ) -> Poll<Result<usize, Fault>> {
        match self {
            Stream::Plain(tcp) => poll_read(tcp, context, &mut buffers.plain),
            Stream::Tls(stream) => {
                let (plain, records) = buffers.with_records();
                stream.poll_read(context, plain, records)
            }
        }
    }

    /// Whether the end of the stream was the peer's own doing, as far as can be known.
    pub(super) fn ended_cleanly(&self) -> bool {
        match self {
            Stream::Plain(_) => true,
            Stream::Tls(stream) => stream.ended_cleanly(),
        }
    }

    /// Looks whether the peer has kept quiet since the last answer. While nothing has come this is no
    /// system call: the ring has been watching the socket since the last read.
    ///
    /// # Errors
    /// The peer has closed or said something: the connection is of no use, and nothing has been sent.
    pub(super) fn check_quiet(&mut self, context: &mut Context<'_>) -> Result<(), Fault> {
        match self {
            Stream::Plain(tcp) => match poll_read(tcp, context, &mut [0; 64]) {
                Poll::Pending => Ok(()),
                Poll::Ready(Ok(0)) => Err(Fault::Closed { seen: 0 }),
                Poll::Ready(Ok(_)) => Err(Fault::Protocol("the server speaks without being asked")),
                Poll::Ready(Err(fault)) => Err(fault),
            },
            Stream::Tls(stream) => stream.check_quiet(context),
        }
    }

    /// Makes a request ready to be sent. Must be followed by `poll_send` with the same request.
    pub(super) fn prepare(&mut self, request: &[u8]) -> Result<(), Fault> {
        match self {
            Stream::Plain(_) => Ok(()),
            Stream::Tls(stream) => stream.encrypt(request),
        }
    }

    /// Sends the prepared request. `sent` counts the bytes that the kernel has taken, even when it fails.
    pub(super) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        request: &[u8],
        sent: &mut usize,
    ) -> Poll<Result<(), Fault>> {
        match self {
            Stream::Plain(tcp) => poll_write_all(tcp, context, request, sent),
            Stream::Tls(stream) => stream.poll_flush(context, sent),
        }
    }
}

/// Reads once; 0 is the end.
pub(super) fn poll_read(
    tcp: &mut TcpStream,
    context: &mut Context<'_>,
    bytes: &mut [u8],
) -> Poll<Result<usize, Fault>> {
    Pin::new(tcp).poll_read(context, bytes).map_err(Fault::from)
}

/// Writes from `*written` to the end of `bytes`.
pub(super) fn poll_write_all(
    tcp: &mut TcpStream,
    context: &mut Context<'_>,
    bytes: &[u8],
    written: &mut usize,
) -> Poll<Result<(), Fault>> {
    while *written < bytes.len() {
        match ready!(Pin::new(&mut *tcp).poll_write(context, &bytes[*written..]))? {
            0 => return Poll::Ready(Err(Fault::Closed { seen: 0 })),
            count => *written += count,
        }
    }
    Poll::Ready(Ok(()))
}
