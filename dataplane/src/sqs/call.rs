//! Calls to one queue as bytes: requests signed and whole, answers decoded and classed.
//!
//! Level 3. No sockets here: the tasks of a shard carry the bytes. A signed receive is reused within its
//! second, because neither its body nor its date differ.

use crate::config;
use crate::control;
use crate::error::{Class, Rejection};
use crate::limits;
use crate::message::Batch;
use crate::net::Head;
use crate::sqs::endpoint::Endpoint;
use crate::sqs::protocol::results::{BatchResults, batch_results};
use crate::sqs::protocol::{decode, encode};
use crate::sqs::sign::{Credentials, Signer, parse_http_date};
use crate::sqs::{errors, md5};

const RECEIVE: &str = "AmazonSQS.ReceiveMessage";
const DELETE: &str = "AmazonSQS.DeleteMessageBatch";
const CHANGE: &str = "AmazonSQS.ChangeMessageVisibilityBatch";

/// A call that brought no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Stable code: SQS's own, or that of the connection.
    pub code: String,
    /// What to do about it.
    pub class: Class,
    /// AWS's clock at the time of the answer, seconds since 1970.
    pub date_unix_s: Option<u64>,
}

impl Failure {
    fn new(code: &str, class: Class) -> Failure {
        Failure { code: code.to_owned(), class, date_unix_s: None }
    }

    /// By how much AWS's clock is ahead of ours.
    pub(crate) fn skew_s(&self, wall_s: u64) -> Option<i64> {
        let date = i64::try_from(self.date_unix_s?).ok()?;
        Some(date - i64::try_from(wall_s).ok()?)
    }
}

/// What SQS said about each entry of a batch request.
pub(crate) struct Entries(BatchResults);

impl Entries {
    /// `None`: the answer does not name the entry.
    pub(crate) fn class(&self, position: usize) -> Option<Result<(), Class>> {
        self.0.entry(position)
    }

    /// Codes of the entries that were refused.
    pub(crate) fn failed_codes(&self) -> impl Iterator<Item = &str> {
        self.0.failed_codes()
    }
}

/// Makes the requests of one pipeline on one shard.
#[derive(Clone)]
pub(crate) struct Calls {
    queue_url: String,
    region: String,
    endpoint: Endpoint,
    wait_time_s: u32,
    visibility_timeout_s: Option<u32>,
    fifo: bool,
    attempts: u64,
    attempt_prefix: u64,
    signer: Option<Signer>,
    clock_skew_s: i64,
    body: Vec<u8>,
    /// The last signed receive: (second, messages) and the request.
    signed: Option<((u64, usize), Vec<u8>)>,
}

impl Calls {
    /// Requests to a queue; `seed` makes the receive attempts of FIFO queues unique.
    pub(crate) fn new(queue: &config::Queue, endpoint: Endpoint, region: String, seed: u64) -> Calls {
        let mut calls = Calls {
            queue_url: queue.url.clone(),
            region,
            endpoint,
            wait_time_s: 0,
            visibility_timeout_s: None,
            fifo: queue.url.ends_with(".fifo"),
            attempts: 0,
            attempt_prefix: seed,
            signer: None,
            clock_skew_s: 0,
            body: Vec::new(),
            signed: None,
        };
        calls.set_polling(queue);
        calls
    }

    /// Signs with these from now on.
    pub(crate) fn set_credentials(&mut self, credentials: &control::Credentials) {
        let credentials = Credentials {
            access_key: credentials.access_key.clone(),
            secret_key: credentials.secret_key.clone(),
            session_token: credentials.session_token.clone(),
        };
        self.signer = Some(Signer::new(credentials, &self.region));
        self.signed = None;
    }

    /// Polls as these settings say from the next request on.
    pub(crate) fn set_polling(&mut self, queue: &config::Queue) {
        self.wait_time_s = u32::try_from(queue.wait_time.0.as_secs()).unwrap_or(limits::WAIT_TIME_S_MAX);
        let visibility = queue.visibility_timeout;
        self.visibility_timeout_s = visibility.and_then(|time| u32::try_from(time.0.as_secs()).ok());
        self.signed = None;
    }

    /// AWS's clock is so many seconds ahead of ours.
    pub(crate) fn set_clock_skew(&mut self, seconds: i64) {
        self.clock_skew_s = seconds;
        self.signed = None;
    }

    /// Tells this shard's receive attempts from those of other shards.
    pub(crate) fn set_seed(&mut self, seed: u64) {
        self.attempt_prefix = seed;
    }

    /// A new attempt id, for FIFO queues: a receive that is repeated with the same id after a lost answer
    /// gets the same messages again instead of waiting for their visibility timeout.
    /// Source: ReceiveMessage, `ReceiveRequestAttemptId`.
    pub(crate) fn next_attempt(&mut self) -> Option<String> {
        self.fifo.then(|| {
            self.attempts += 1;
            format!("{:016x}-{:x}", self.attempt_prefix, self.attempts)
        })
    }

    /// Writes a ReceiveMessage request.
    pub(crate) fn receive(
        &mut self,
        messages: usize,
        attempt: Option<&str>,
        wall_s: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        out.clear();
        if let Some((key, request)) = &self.signed
            && *key == (wall_s, messages)
            && attempt.is_none()
        {
            out.extend_from_slice(request);
            return Ok(());
        }
        self.body.clear();
        let receive = encode::Receive {
            queue_url: &self.queue_url,
            messages,
            wait_time_s: self.wait_time_s,
            visibility_timeout_s: self.visibility_timeout_s,
            attempt_id: attempt,
        };
        encode::receive(&mut self.body, &receive);
        self.sign(RECEIVE, wall_s, out)?;
        if attempt.is_none() {
            self.signed = Some(((wall_s, messages), out.clone()));
        }
        Ok(())
    }

    /// Writes a DeleteMessageBatch request.
    pub(crate) fn delete<'a>(
        &mut self,
        handles: impl Iterator<Item = &'a [u8]>,
        wall_s: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        out.clear();
        self.body.clear();
        encode::delete_batch(&mut self.body, &self.queue_url, handles);
        self.sign(DELETE, wall_s, out)
    }

    /// Writes a ChangeMessageVisibilityBatch request; timeouts in seconds.
    pub(crate) fn change_visibility<'a>(
        &mut self,
        changes: impl Iterator<Item = (&'a [u8], u32)>,
        wall_s: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        out.clear();
        self.body.clear();
        encode::change_visibility_batch(&mut self.body, &self.queue_url, changes);
        self.sign(CHANGE, wall_s, out)
    }

    fn sign(&mut self, target: &str, wall_s: u64, out: &mut Vec<u8>) -> Result<(), Failure> {
        let Some(signer) = &mut self.signer else {
            return Err(Failure::new("no_credentials", Class::RefreshCredentials));
        };
        let now_s = wall_s.saturating_add_signed(self.clock_skew_s);
        signer.head(out, target, &self.endpoint.host_header, &self.endpoint.path, &self.body, now_s);
        out.extend_from_slice(&self.body);
        Ok(())
    }
}

/// Decodes the answer to a receive into `batch`. Returns how many of its messages could not be taken.
/// With `verify`, a message whose MD5 does not match its body gets a defect.
pub(crate) fn receive_answer(
    head: &Head<'_>,
    body: &[u8],
    verify: bool,
    batch: &mut Batch,
    corrupt: &'static str,
) -> Result<usize, Failure> {
    check(head, body)?;
    let decoded =
        decode::receive_response(body, batch).map_err(|error| Failure::new(error.code, Class::Retry))?;
    if verify {
        for index in 0..batch.messages.len() {
            let message = &batch.messages[index];
            if message.defect.is_none()
                && !md5::matches(batch.slice(message.body), batch.slice(message.md5_of_body))
            {
                let reason = "MD5OfBody does not match the body".to_owned();
                batch.messages[index].defect = Some(Rejection { stage: "decode", code: corrupt, reason });
            }
        }
    }
    Ok(decoded.unusable)
}

/// Decodes the answer to a batch request of `count` entries.
pub(crate) fn batch_answer(head: &Head<'_>, body: &[u8], count: usize) -> Result<Entries, Failure> {
    check(head, body)?;
    batch_results(body, count).map(Entries).map_err(|error| Failure::new(error.code, Class::Retry))
}

fn check(head: &Head<'_>, body: &[u8]) -> Result<(), Failure> {
    if head.status == 200 {
        return Ok(());
    }
    let error = errors::api_error(head.status, head.query_error, body);
    let date_unix_s = head.date.and_then(parse_http_date);
    Err(Failure { code: error.code, class: error.class, date_unix_s })
}
