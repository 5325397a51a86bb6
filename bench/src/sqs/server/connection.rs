//! One client's connection: bytes in, bytes out, and what its next answer waits for.

use std::io::{self, Read, Write};

use mio::net::TcpStream;

use crate::sqs::calls::Receive;
use crate::sqs::faults::Action;
use crate::sqs::tls::Records;

/// Largest input that waits: one request of the largest size and its head.
const INPUT_BYTES_MAX: usize = 9 << 20;

/// Answers that may wait for a client that does not read them, before the largest is added.
const OUTPUT_BYTES_MAX: usize = 32 << 20;

/// What an answer waits for.
pub(super) enum Pending {
    /// A message, or the end of the long poll.
    Receive { call: Receive, ends_ns: u64, fault: Option<Action> },
    /// Its time.
    Answer(Vec<u8>),
    /// Nothing: it never comes.
    Never,
}

pub(super) struct Connection {
    stream: TcpStream,
    tls: Option<Box<Records>>,
    pub input: Vec<u8>,
    pub output: Vec<u8>,
    written: usize,
    pub pending: Option<Pending>,
    /// The action under way, when it was asked for in the query protocol.
    pub form_action: Option<String>,
    pub close_after: bool,
    /// The client has closed its side.
    pub ended: bool,
    /// Names the delayed answer that it waits for.
    pub serial: u64,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, tls: Option<Records>) -> Connection {
        Connection {
            stream,
            tls: tls.map(Box::new),
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            pending: None,
            form_action: None,
            close_after: false,
            ended: false,
            serial: 0,
        }
    }

    /// Reads what is there.
    pub(super) fn read(&mut self) -> io::Result<()> {
        // Zeroed anew each time: larger costs more than it saves, requests are of 2 KiB.
        let mut bytes = [0; 16 << 10];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => {
                    self.ended = true;
                    // Nobody is left to be answered.
                    return if self.pending.is_some() {
                        Err(io::ErrorKind::UnexpectedEof.into())
                    } else {
                        Ok(())
                    };
                }
                Ok(read) => {
                    self.take(&bytes[..read])?;
                    if self.input.len() > INPUT_BYTES_MAX {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                    // A short read has emptied the socket: epoll tells of the next byte.
                    if read < bytes.len() && !self.ended {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes bytes of the wire.
    fn take(&mut self, wire: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            self.input.extend_from_slice(wire);
            return Ok(());
        };
        let opened = tls.open(wire, &mut self.input, &mut self.output);
        if opened.is_err() {
            // The alert that names the cause, if the client still listens.
            let _told = self.flush();
        }
        opened
    }

    /// Answered for the last time.
    pub(super) fn is_finished(&self) -> bool {
        self.close_after && self.pending.is_none() && self.output.is_empty()
    }

    /// Its client reads no answers: no more are made for it.
    pub(super) fn is_clogged(&self) -> bool {
        self.output.len() > OUTPUT_BYTES_MAX
    }

    /// Takes an answer to be written.
    ///
    /// # Errors
    /// TLS cannot take it.
    pub(super) fn queue(&mut self, out: Vec<u8>) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            return tls.seal(&out, self.close_after, &mut self.output);
        }
        if self.output.is_empty() {
            self.output = out;
        } else {
            self.output.extend_from_slice(&out);
        }
        Ok(())
    }

    /// Writes what can be written.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }
}
