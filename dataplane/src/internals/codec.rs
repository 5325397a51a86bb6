//! The codec: answers decoded at a level of choice, requests written and signed.

use zeroize::Zeroizing;

use crate::config::Queue;
use crate::control::Credentials;
use crate::message::Batch;
use crate::sqs::call::Calls;
use crate::sqs::endpoint;
use crate::sqs::protocol::unescape::{self, Level};
use crate::sqs::protocol::{decode, encode, results};

/// The walks over strings that this machine has, slowest first, by index and name.
pub fn levels() -> impl Iterator<Item = (usize, &'static str)> {
    let names = ["scalar", "avx2", "avx512"];
    Level::ALL
        .into_iter()
        .zip(names)
        .enumerate()
        .filter(|(_, (level, _))| level.is_supported())
        .map(|(index, (_, name))| (index, name))
}

/// Decodes a receive answer at a level; the bytes of all bodies, `None` for no answer.
pub fn decode(level: usize, body: &[u8], batch: &mut Batch) -> Option<usize> {
    decode::receive_response_at(Level::ALL[level], body, batch).ok()?;
    Some(batch.messages.iter().map(|message| message.body.len as usize).sum())
}

/// Writes the text of a string whose opening quote has been passed; the bytes taken, `None` when it has none.
pub fn unescape(level: usize, source: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    out.clear();
    unescape::unescape(Level::ALL[level], source, out).ok()
}

/// Reads a batch answer: how many of `count` entries have a result.
pub fn batch_results(body: &[u8], count: usize) -> usize {
    results::batch_results(body, count)
        .map_or(0, |results| (0..count).filter(|&position| results.entry(position).is_some()).count())
}

/// Writes the body of a DeleteMessageBatch.
pub fn encode_delete(queue_url: &str, handles: &[&[u8]], out: &mut Vec<u8>) {
    out.clear();
    encode::delete_batch(out, queue_url, handles.iter().copied());
}

/// Whole requests to a queue, head and body, signed.
pub struct Requests {
    calls: Calls,
}

impl Requests {
    /// With the example credentials of AWS's documents.
    ///
    /// # Errors
    /// The URL names no region or cannot be read.
    pub fn new(queue_url: &str) -> Result<Requests, String> {
        let queue = Queue::new(queue_url);
        let (endpoint, region) = endpoint::resolve(&queue, None)?;
        let mut calls = Calls::new(&queue, endpoint, region, 1);
        calls.set_credentials(&Credentials {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: Zeroizing::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
            session_token: None,
        });
        Ok(Requests { calls })
    }

    /// Writes a ReceiveMessage for ten messages; the second time within a second it is the first one again.
    /// The bytes of the request, 0 if there is none.
    pub fn receive(&mut self, unix_s: u64, out: &mut Vec<u8>) -> usize {
        self.calls.receive(10, None, unix_s, out).map_or(0, |()| out.len())
    }

    /// Writes a DeleteMessageBatch. The bytes of the request, 0 if there is none.
    pub fn delete(&mut self, handles: &[&[u8]], unix_s: u64, out: &mut Vec<u8>) -> usize {
        self.calls.delete(handles.iter().copied(), unix_s, out).map_or(0, |()| out.len())
    }
}
