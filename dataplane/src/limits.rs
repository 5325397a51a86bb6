//! Every bound of the data path that is not a setting, with the reason for its value.
//!
//! Level 0. Settings live in `config`; what is here is a protocol limit or a ceiling on a setting.
//! The relations between limits are asserted when the crate is compiled.

/// Messages in one ReceiveMessage answer, and entries in one batch request.
/// Source: SQS developer guide, "Amazon SQS message quotas".
pub const BATCH_ENTRIES_MAX: usize = 10;

/// Largest SQS message, attributes included: 1 MiB. Source: "Amazon SQS message quotas" (2025-08).
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Payload that SQS bills as one request. Source: "Amazon SQS pricing", "How are Amazon SQS requests priced?".
pub const BILLED_CHUNK_BYTES: u64 = 64 << 10;

/// Message attributes on one message. Source: "Amazon SQS message metadata".
pub const ATTRIBUTES_MAX: usize = 10;

/// Bytes of one HTTP response body that a shard accepts. Ten messages of 1 MiB whose every byte is
/// escaped as `\u00XX` would be 60 MiB; what SQS can really send (XML characters only) escapes to at
/// most twice its size, and 32 MiB leaves room for handles, names and base64.
pub const RESPONSE_BYTES_MAX: usize = 32 << 20;

/// Bytes of one HTTP response head. AWS sends under 1 KiB.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 16 << 10;

/// Headers in one HTTP response.
pub const RESPONSE_HEADERS_MAX: usize = 64;

/// Longest receipt handle that is accepted. AWS documents 1,024 characters.
pub const RECEIPT_BYTES_MAX: usize = 4096;

/// Longest long poll. Source: ReceiveMessage, `WaitTimeSeconds`.
pub const WAIT_TIME_S_MAX: u32 = 20;

/// Longest visibility timeout, and the longest that a message may be held in all.
/// Source: ChangeMessageVisibility (12 hours).
pub const VISIBILITY_S_MAX: u32 = 43_200;

/// Time a whole request may take beyond its long poll before the connection is given up.
pub const REQUEST_MARGIN_MS: u64 = 5_000;

/// Time for a TCP connection plus the TLS handshake.
pub const CONNECT_TIMEOUT_MS: u64 = 5_000;

/// Pollers of one pipeline on one shard: at round trips of 40 ms, 512 × 10 messages are 128,000 a second.
pub const POLLERS_MAX: usize = 512;

/// Delete connections of one pipeline on one shard: one for each full receive.
pub const DELETERS_MAX: usize = 512;

/// Deletes that may be in flight however few receives are: what a small fleet has brought leaves at once.
pub const DELETERS_SMALL: u16 = 16;

/// Visibility calls in flight of one pipeline on one shard. A budget of 20,000 messages in leases of 30 s, all
/// to be given back within the last 2 s of a drain, is 1,000 calls a second: 20 in flight at 20 ms.
pub const VISIBILITY_CALLS_MAX: usize = 32;

/// How long an acked message may wait for nine others before its delete is sent.
pub const DELETE_LINGER_MS: u64 = 10;

/// Attempts of one delete entry before the message is left to its lease.
pub const DELETE_ATTEMPTS_MAX: u8 = 5;

/// Message types counted apart; the rest is `other`.
pub const TYPES_MAX: usize = 64;

/// Longest name of a message type; longer ones are cut for counting only.
pub const TYPE_NAME_BYTES_MAX: usize = 64;

/// Topics that one pipeline may name in the life of a process, changes of its route included. They are numbered in 16
/// bits, and librdkafka keeps each that it has heard of.
pub const TOPICS_MAX: usize = 1024;

/// Shards of one appliance.
pub const SHARDS_MAX: usize = 256;

/// Pipelines of one appliance.
pub const PIPELINES_MAX: usize = 64;

/// Pipelines that may come in the life of a process. Each is numbered, and the name of its endpoint is looked up from
/// then on.
pub const PIPELINES_EVER_MAX: usize = 1024;

/// Commands that may wait in a shard's mailbox.
pub const MAILBOX_MAX: usize = 256;

/// Batches in one handoff ring, per ordered pair of shards.
pub const HANDOFF_RING_MAX: usize = 1024;

/// RLIMIT_MEMLOCK that glommio asks for each executor, whatever the kernel charges.
pub const MEMLOCK_BYTES_MIN: u64 = 512 << 10;

/// Smallest budget: one receive of the worst case must always fit, or the pump could stand still.
pub const IN_FLIGHT_BYTES_MIN: u64 = RESPONSE_BYTES_MAX as u64;

const _: () = assert!(BATCH_ENTRIES_MAX * MESSAGE_BYTES_MAX * 2 <= RESPONSE_BYTES_MAX);
const _: () = assert!(RESPONSE_BYTES_MAX < u32::MAX as usize, "spans hold 32-bit offsets");
const _: () = assert!(BATCH_ENTRIES_MAX <= u8::MAX as usize, "positions in a batch are bytes");
