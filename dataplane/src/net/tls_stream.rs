//! TLS over TCP, driven by hand: one write for all records of a request, records decrypted right out of
//! the shard's shared buffer.
//!
//! Level 2. Uses rustls' unbuffered interface, so that an idle connection holds no buffers: only records
//! that came in part are kept.

use std::task::{Context, Poll, ready};

use glommio::net::TcpStream;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus};

use super::error::{Fault, TlsTrouble};
use super::stream::{poll_read, poll_write_all};
use super::tls::tls_fault;

/// Bytes of records that may wait for their rest. The longest thing that rustls takes in one piece is a
/// handshake message of 64 KiB; twice that leaves room for the headers of its records.
const PARTIAL_BYTES_MAX: usize = 128 << 10;
/// Bytes read at once where no shared buffer is at hand: in the handshake and before a request.
const SMALL_READ_BYTES: usize = 4 << 10;
/// Buffers that a connection keeps between requests are freed when larger.
const KEPT_BYTES_MAX: usize = 32 << 10;

/// TLS over TCP.
pub(super) struct TlsStream {
    tcp: TcpStream,
    tls: UnbufferedClientConnection,
    /// Records that have not come whole.
    partial: Vec<u8>,
    /// Records on their way to the socket, and how many bytes of them it has taken.
    outgoing: Vec<u8>,
    outgoing_written: usize,
    /// The peer has said that it is done.
    closed: bool,
}

/// What became of a look at records.
#[derive(Default)]
struct Driven {
    /// Bytes of records that are used up.
    taken: usize,
    /// Bytes that they held.
    plain: usize,
}

impl TlsStream {
    /// Puts TLS over a connected stream; `poll_handshake` must follow.
    pub(super) fn new(tcp: TcpStream, tls: UnbufferedClientConnection) -> TlsStream {
        TlsStream { tcp, tls, partial: Vec::new(), outgoing: Vec::new(), outgoing_written: 0, closed: false }
    }

    /// Whether the peer has ended the stream itself: an end of TCP alone may be a cut by anybody.
    pub(super) fn ended_cleanly(&self) -> bool {
        self.closed
    }

    /// Finishes the handshake.
    pub(super) fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        loop {
            if let Err(fault) = self.drive_partial() {
                self.say_why(context);
                return Poll::Ready(Err(fault));
            }
            ready!(self.poll_flush(context, &mut 0))?;
            if !self.tls.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if self.closed || ready!(self.poll_more(context))? == 0 {
                let text = "the peer closed the connection in the handshake".to_owned();
                return Poll::Ready(Err(Fault::Tls(TlsTrouble::Protocol, text)));
            }
        }
    }

    /// Reads what is there into `plain`, through `records`, which must be no longer; 0 is the end.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        plain: &mut [u8],
        records: &mut [u8],
    ) -> Poll<Result<usize, Fault>> {
        loop {
            // Answers to key updates; the peer's next records do not wait for them.
            if let Poll::Ready(Err(fault)) = self.poll_flush(context, &mut 0) {
                return Poll::Ready(Err(fault));
            }
            if self.closed {
                return Poll::Ready(Ok(0));
            }
            let before = self.partial.len();
            let came = ready!(poll_read(&mut self.tcp, context, &mut records[before..]))?;
            if came == 0 {
                return Poll::Ready(Ok(0));
            }
            records[..before].copy_from_slice(&self.partial);
            let driven = match self.drive(&mut records[..before + came], plain) {
                Ok(driven) => driven,
                Err(fault) => {
                    self.say_why(context);
                    return Poll::Ready(Err(fault));
                }
            };
            self.partial.clear();
            self.keep(&records[driven.taken..before + came])?;
            if driven.plain > 0 {
                return Poll::Ready(Ok(driven.plain));
            }
        }
    }

    /// See `Stream::check_quiet`. Session tickets and the like are taken in.
    pub(super) fn check_quiet(&mut self, context: &mut Context<'_>) -> Result<(), Fault> {
        loop {
            match self.poll_more(context) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(Fault::Closed { seen: 0 }),
                Poll::Ready(Ok(_)) => self.drive_partial()?,
                Poll::Ready(Err(fault)) => return Err(fault),
            }
            if self.closed {
                return Err(Fault::Closed { seen: 0 });
            }
        }
    }

    /// Encrypts a request, to be sent by `poll_flush`.
    pub(super) fn encrypt(&mut self, request: &[u8]) -> Result<(), Fault> {
        self.drive_partial()?;
        let mut partial = std::mem::take(&mut self.partial);
        let UnbufferedStatus { state, .. } = self.tls.process_tls_records(&mut partial);
        // `drive` stops where application data may be sent.
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = state else {
            return Err(misuse("a request before the handshake is done"));
        };
        let outgoing = &mut self.outgoing;
        let written = append(outgoing, |room| match traffic.encrypt(request, room) {
            Ok(written) => Ok(written),
            Err(EncryptError::InsufficientSize(size)) => Err(Some(size.required_size)),
            Err(EncryptError::EncryptExhausted) => Err(None),
        });
        self.partial = partial;
        written.ok_or_else(|| misuse("the connection's keys are used up"))
    }

    /// Sends all records that are ready; counts the bytes taken by the kernel.
    pub(super) fn poll_flush(
        &mut self,
        context: &mut Context<'_>,
        sent: &mut usize,
    ) -> Poll<Result<(), Fault>> {
        let before = self.outgoing_written;
        let polled = poll_write_all(&mut self.tcp, context, &self.outgoing, &mut self.outgoing_written);
        *sent += self.outgoing_written - before;
        if let Poll::Ready(Ok(())) = polled {
            self.outgoing_written = 0;
            self.outgoing.clear();
            self.outgoing.shrink_to(KEPT_BYTES_MAX);
        }
        polled
    }

    /// Adds what the socket has to the partial records; 0 is the end.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<Result<usize, Fault>> {
        let mut bytes = [0; SMALL_READ_BYTES];
        let came = ready!(poll_read(&mut self.tcp, context, &mut bytes))?;
        self.keep(&bytes[..came])?;
        Poll::Ready(Ok(came))
    }

    fn keep(&mut self, records: &[u8]) -> Result<(), Fault> {
        if self.partial.len() + records.len() > PARTIAL_BYTES_MAX {
            return Err(misuse("a record or handshake message is too long"));
        }
        self.partial.extend_from_slice(records);
        if self.partial.is_empty() {
            self.partial.shrink_to(KEPT_BYTES_MAX);
        }
        Ok(())
    }

    /// Looks at the partial records where no data is expected.
    fn drive_partial(&mut self) -> Result<(), Fault> {
        let mut partial = std::mem::take(&mut self.partial);
        let driven = self.drive(&mut partial, &mut [])?;
        partial.drain(..driven.taken);
        self.partial = partial;
        Ok(())
    }

    /// Lets TLS work on records until it needs more, or could send data.
    fn drive(&mut self, records: &mut [u8], plain: &mut [u8]) -> Result<Driven, Fault> {
        let mut driven = Driven::default();
        loop {
            let status = self.tls.process_tls_records(&mut records[driven.taken..]);
            driven.taken += status.discard;
            let state = match status.state {
                Ok(state) => state,
                Err(error) => {
                    self.encode_alert(&mut records[driven.taken..]);
                    return Err(tls_fault(&error));
                }
            };
            match state {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(|error| tls_fault(&error))?;
                        let end = driven.plain + record.payload.len();
                        let Some(room) = plain.get_mut(driven.plain..end) else {
                            return Err(Fault::Protocol("the server speaks without being asked"));
                        };
                        room.copy_from_slice(record.payload);
                        driven.plain = end;
                        driven.taken += record.discard;
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    let encoded = encode(&mut data, &mut self.outgoing);
                    encoded.ok_or_else(|| misuse("handshake data is encoded twice"))?;
                }
                // Whatever is encoded leaves before anything else does: `poll_flush` keeps the order.
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.closed = true,
                ConnectionState::BlockedHandshake
                | ConnectionState::WriteTraffic(_)
                | ConnectionState::Closed => return Ok(driven),
                _ => return Err(misuse("an unknown state")),
            }
        }
    }

    /// Puts in words for the peer why it is left. TLS must see the same records as before, because it
    /// remembers places in them.
    fn encode_alert(&mut self, records: &mut [u8]) {
        if let Ok(ConnectionState::EncodeTlsData(mut alert)) = self.tls.process_tls_records(records).state {
            let _nothing_to_say = encode(&mut alert, &mut self.outgoing);
        }
    }

    /// Tells the peer why it is left, as far as that is possible at once.
    fn say_why(&mut self, context: &mut Context<'_>) {
        let _at_once_or_not_at_all = self.poll_flush(context, &mut 0);
    }
}

fn encode(data: &mut EncodeTlsData<'_, ClientConnectionData>, outgoing: &mut Vec<u8>) -> Option<()> {
    append(outgoing, |room| match data.encode(room) {
        Ok(written) => Ok(written),
        Err(EncodeError::InsufficientSize(size)) => Err(Some(size.required_size)),
        Err(EncodeError::AlreadyEncoded) => Err(None),
    })
}

/// Appends what `write` puts into the room that it asks for. `None`: it wants none and has nothing.
fn append(
    bytes: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> Option<()> {
    let before = bytes.len();
    let mut written = write(&mut []);
    if let Err(Some(size)) = written {
        bytes.resize(before + size, 0);
        written = write(&mut bytes[before..]);
    }
    bytes.truncate(before + written.as_ref().copied().unwrap_or(0));
    written.ok().map(|_| ())
}

fn misuse(what: &str) -> Fault {
    Fault::Tls(TlsTrouble::Protocol, what.to_owned())
}
