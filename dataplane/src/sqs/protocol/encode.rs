//! Request bodies of the three hot calls.
//!
//! Level 1, pure. Everything is appended to a buffer that its caller keeps.

use memchr::memchr;

/// A ReceiveMessage request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receive<'a> {
    /// URL of the queue.
    pub queue_url: &'a str,
    /// Most messages, 1 to 10.
    pub messages: usize,
    /// Long poll, seconds, 0 to 20.
    pub wait_time_s: u32,
    /// Visibility timeout, seconds; `None`: the queue's own.
    pub visibility_timeout_s: Option<u32>,
    /// `ReceiveRequestAttemptId`, for FIFO queues.
    pub attempt_id: Option<&'a str>,
}

/// Appends the body of a ReceiveMessage.
pub(crate) fn receive(out: &mut Vec<u8>, receive: &Receive<'_>) {
    out.extend_from_slice(b"{\"QueueUrl\":");
    string(out, receive.queue_url.as_bytes());
    out.extend_from_slice(b",\"MaxNumberOfMessages\":");
    number(out, receive.messages as u64);
    out.extend_from_slice(b",\"WaitTimeSeconds\":");
    number(out, u64::from(receive.wait_time_s));
    if let Some(seconds) = receive.visibility_timeout_s {
        out.extend_from_slice(b",\"VisibilityTimeout\":");
        number(out, u64::from(seconds));
    }
    if let Some(id) = receive.attempt_id {
        out.extend_from_slice(b",\"ReceiveRequestAttemptId\":");
        string(out, id.as_bytes());
    }
    // The second name is the newer one; servers that know only the older exist.
    out.extend_from_slice(
        b",\"MessageAttributeNames\":[\"All\"],\"AttributeNames\":[\"All\"],\"MessageSystemAttributeNames\":[\"All\"]}",
    );
}

/// Appends the body of a DeleteMessageBatch; entry ids are positions.
pub(crate) fn delete_batch<'a>(out: &mut Vec<u8>, queue_url: &str, handles: impl Iterator<Item = &'a [u8]>) {
    begin_entries(out, queue_url);
    for (position, handle) in handles.enumerate() {
        entry(out, position, handle);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

/// Appends the body of a ChangeMessageVisibilityBatch; timeouts in seconds.
pub(crate) fn change_visibility_batch<'a>(
    out: &mut Vec<u8>,
    queue_url: &str,
    changes: impl Iterator<Item = (&'a [u8], u32)>,
) {
    begin_entries(out, queue_url);
    for (position, (handle, seconds)) in changes.enumerate() {
        entry(out, position, handle);
        out.extend_from_slice(b",\"VisibilityTimeout\":");
        number(out, u64::from(seconds));
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

fn begin_entries(out: &mut Vec<u8>, queue_url: &str) {
    out.extend_from_slice(b"{\"QueueUrl\":");
    string(out, queue_url.as_bytes());
    out.extend_from_slice(b",\"Entries\":[");
}

fn entry(out: &mut Vec<u8>, position: usize, handle: &[u8]) {
    if position > 0 {
        out.push(b',');
    }
    out.extend_from_slice(b"{\"Id\":\"");
    number(out, position as u64);
    out.extend_from_slice(b"\",\"ReceiptHandle\":");
    string(out, handle);
}

fn number(out: &mut Vec<u8>, number: u64) {
    if number >= 10 {
        self::number(out, number / 10);
    }
    out.push(b'0' + (number % 10) as u8);
}

/// Appends a JSON string; handles and URLs hardly ever need an escape.
fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let plain = memchr(b'"', text).is_none()
        && memchr(b'\\', text).is_none()
        && text.iter().all(|&byte| byte >= 0x20);
    if plain {
        out.extend_from_slice(text);
    } else {
        for &byte in text {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                0..0x20 => {
                    let hex = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
                    out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
                }
                _ => out.push(byte),
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(write: impl FnOnce(&mut Vec<u8>)) -> serde_json::Value {
        let mut out = Vec::new();
        write(&mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_receive_names_everything_that_is_wanted() {
        let value = json(|out| {
            let whole = Receive {
                queue_url: "http://q/\"1\"",
                messages: 10,
                wait_time_s: 20,
                visibility_timeout_s: Some(43_200),
                attempt_id: Some("a"),
            };
            receive(out, &whole);
        });
        assert_eq!(value["QueueUrl"], "http://q/\"1\"");
        assert_eq!(
            (value["MaxNumberOfMessages"].as_u64(), value["WaitTimeSeconds"].as_u64()),
            (Some(10), Some(20))
        );
        assert_eq!(
            (value["VisibilityTimeout"].as_u64(), value["ReceiveRequestAttemptId"].as_str()),
            (Some(43_200), Some("a"))
        );
        assert_eq!(value["MessageAttributeNames"][0], "All");
        assert_eq!(value["MessageSystemAttributeNames"][0], "All");
    }

    #[test]
    fn batch_entries_are_numbered_and_escaped() {
        let handles: [&[u8]; 2] = [b"plain", b"a\"\\\n"];
        let value = json(|out| delete_batch(out, "u", handles.into_iter()));
        assert_eq!(value["Entries"][1]["Id"], "1");
        assert_eq!(value["Entries"][1]["ReceiptHandle"], "a\"\\\n");
        let value = json(|out| change_visibility_batch(out, "u", [(&b"h"[..], 0), (b"i", 30)].into_iter()));
        assert_eq!(value["Entries"][0]["VisibilityTimeout"], 0);
        assert_eq!(value["Entries"][1]["VisibilityTimeout"], 30);
    }
}
