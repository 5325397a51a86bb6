//! Server-sent events out of the pieces that they come in.
//!
//! Pure. Source: HTML Living Standard, 9.2.6 "Interpreting an event stream", as far as the API uses it.

/// Longest event: a record of SQS's largest message with its headers, as JSON.
const EVENT_BYTES_MAX: usize = 8 << 20;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) content: String,
}

/// What of a stream is not complete yet.
#[derive(Debug, Default)]
pub(super) struct Events {
    waiting: Vec<u8>,
}

impl Events {
    /// Takes a piece; gives the events that it completes.
    ///
    /// # Errors
    /// An event is longer than any that the API sends.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<Vec<Event>, String> {
        self.waiting.extend_from_slice(piece);
        let mut found = Vec::new();
        while let Some(end) = self.waiting.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.waiting.drain(..end + 2).collect();
            found.extend(event(&String::from_utf8_lossy(&block)));
        }
        if self.waiting.len() > EVENT_BYTES_MAX {
            return Err(format!("it sends an event of more than {EVENT_BYTES_MAX} bytes"));
        }
        Ok(found)
    }
}

/// An event of its lines; `None` for a comment, which keeps the connection awake.
fn event(block: &str) -> Option<Event> {
    let mut event = Event::default();
    let mut lines = Vec::new();
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut event.name),
            "data" => lines.push(value),
            _ => {}
        }
    }
    event.content = lines.join("\n");
    (!lines.is_empty()).then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_however_they_are_cut() {
        let stream = ": keep\n\nevent: record\ndata: {\"a\":1}\n\nevent: end\ndata: x\ndata: y\nid: 7\n\n";
        let expected = [("record", "{\"a\":1}"), ("end", "x\ny")]
            .map(|(name, content)| Event { name: name.to_owned(), content: content.to_owned() });
        for size in 1..=stream.len() {
            let mut events = Events::default();
            let found: Vec<Event> =
                stream.as_bytes().chunks(size).flat_map(|piece| events.take(piece).unwrap()).collect();
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut events = Events::default();
        let piece = vec![b'a'; EVENT_BYTES_MAX];
        assert_eq!(events.take(&piece), Ok(Vec::new()));
        assert!(events.take(b"a").is_err());
    }
}
