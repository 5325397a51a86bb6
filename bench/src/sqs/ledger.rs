//! The append-only ledger: what happened to every message, when.

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Accepted from a sender.
    Sent,
    /// Handed out; `count` is the receive count.
    Received,
    /// Deleted for good.
    Deleted,
    /// A delete with an old handle, which changed nothing.
    DeleteStale,
    /// A delete of a message that was gone already.
    DeleteAbsent,
    /// Its visibility timeout was changed; `count` is the new timeout in seconds.
    VisibilityChanged,
    /// Its visibility timeout ran out.
    Expired,
    /// Moved to the dead-letter queue by the redrive policy.
    Moved,
    /// Dropped by PurgeQueue, DeleteQueue or retention.
    Purged,
}

impl Kind {
    /// Stable text.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Sent => "sent",
            Kind::Received => "received",
            Kind::Deleted => "deleted",
            Kind::DeleteStale => "delete_stale",
            Kind::DeleteAbsent => "delete_absent",
            Kind::VisibilityChanged => "visibility_changed",
            Kind::Expired => "expired",
            Kind::Moved => "moved",
            Kind::Purged => "purged",
        }
    }
}

/// One entry of the ledger: 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// MessageId as a number (the bits of its UUID).
    pub id: u128,
    /// Nanoseconds since the server's start.
    pub at_ns: u64,
    /// Receive count, or what `kind` says.
    pub count: u32,
    /// What happened.
    pub kind: Kind,
}

/// The ledger of one server.
#[derive(Debug, Default)]
pub struct Ledger {
    events: Vec<Event>,
    kept: bool,
}

impl Ledger {
    /// A ledger that keeps events, or one that forgets them.
    pub fn new(kept: bool) -> Ledger {
        Ledger { events: Vec::new(), kept }
    }

    pub(crate) fn push(&mut self, kind: Kind, id: u128, at_ns: u64, count: u32) {
        if self.kept {
            self.events.push(Event { id, at_ns, count, kind });
        }
    }

    /// Takes the events so far out, so that a long run need not keep them all.
    pub(crate) fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// All events, in the order in which they happened.
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}
