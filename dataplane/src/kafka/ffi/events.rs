//! librdkafka's events, read into plain values.
//!
//! Level 3. An event is owned by whoever polled it and destroyed with its last reader; nothing that is
//! read here keeps a pointer into it.

use std::ffi::c_char;
use std::ptr::NonNull;

use rdkafka_sys::bindings as sys;

use super::{partitioner, raw, text_of};
use crate::kafka::errors::{KafkaError, code};
use crate::kafka::slab::Opaque;

/// What librdkafka says besides delivery reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kafka) enum Event {
    /// Something failed: a connection, a broker, the producer.
    Fault(KafkaError),
    /// A line of librdkafka's log.
    Log {
        /// Severity as in syslog(3): 0 (emergency) to 7 (debug).
        level: u8,
        /// The line.
        text: String,
    },
}

/// One delivery report as it stands in librdkafka's memory.
#[derive(Clone, Copy, Debug)]
pub(in crate::kafka) struct RawReport {
    pub(super) opaque: Opaque,
    /// 0 when acked.
    pub(in crate::kafka) code: i32,
    pub(in crate::kafka) partition: i32,
    pub(in crate::kafka) offset: i64,
    /// A failed record may be in the log nevertheless.
    pub(in crate::kafka) possibly_persisted: bool,
    /// Bytes of payload and key.
    pub(in crate::kafka) bytes: u64,
}

/// An event taken from a queue.
pub(super) struct Polled(NonNull<sys::rd_kafka_event_t>);

impl Polled {
    /// Takes the next event, waiting at most `timeout_ms`; 0 does not wait.
    ///
    /// # Safety
    /// `queue` is a live queue handle.
    pub(super) unsafe fn next(queue: *mut sys::rd_kafka_queue_t, timeout_ms: i32) -> Option<Polled> {
        // SAFETY: by the caller's promise. The event that is returned is ours.
        NonNull::new(unsafe { sys::rd_kafka_queue_poll(queue, timeout_ms) }).map(Polled)
    }

    /// Whether it carries delivery reports.
    pub(super) fn is_reports(&self) -> bool {
        // SAFETY: the event is live until dropped.
        unsafe { sys::rd_kafka_event_type(self.0.as_ptr()) == sys::RD_KAFKA_EVENT_DR }
    }

    /// The next delivery report of this event.
    pub(super) fn next_report(&mut self) -> Option<RawReport> {
        // SAFETY: the event is live; the message lives as long as it.
        let message = unsafe { sys::rd_kafka_event_message_next(self.0.as_ptr()) };
        if message.is_null() {
            return None;
        }
        // SAFETY: the message is live and initialised. The code is read as an integer: a broker may send
        // one that the enum does not list. No reference to the struct is made, for the same reason.
        let (topic, code, partition, offset, opaque, bytes) = unsafe {
            (
                (*message).rkt,
                (&raw const (*message).err).cast::<i32>().read(),
                (*message).partition,
                (*message).offset,
                (*message)._private,
                (*message).len + (*message).key_len,
            )
        };
        // SAFETY: the topic of a live message, made by `Link::topic`.
        unsafe { partitioner::reported(topic, partition) };
        let failed = code != code::NO_ERROR;
        // SAFETY: the message is live. 0 is RD_KAFKA_MSG_STATUS_NOT_PERSISTED.
        let possibly_persisted = failed && unsafe { raw::rd_kafka_message_status(message) != 0 };
        // SAFETY: the message is live.
        let innocent = failed && unsafe { is_innocent(message) };
        Some(RawReport {
            opaque: Opaque(opaque.addr()),
            code: if innocent { code::INVALID_DIFFERENT_RECORD } else { code },
            partition,
            offset,
            possibly_persisted,
            bytes: bytes as u64,
        })
    }

    /// Reads an event that carries no delivery reports; `None` for kinds that were not asked for.
    pub(super) fn read(&self) -> Option<Event> {
        let event = self.0.as_ptr();
        // SAFETY: the event is live in this and in the following calls; their texts live as long as it.
        match unsafe { sys::rd_kafka_event_type(event) } {
            sys::RD_KAFKA_EVENT_ERROR => {
                // SAFETY: as above.
                let (code, text, fatal) = unsafe {
                    (
                        raw::rd_kafka_event_error(event),
                        text_of(sys::rd_kafka_event_error_string(event)),
                        sys::rd_kafka_event_error_is_fatal(event) != 0,
                    )
                };
                let fatal = fatal || code == code::FATAL;
                Some(Event::Fault(KafkaError { fatal, ..KafkaError::new(code, text) }))
            }
            sys::RD_KAFKA_EVENT_LOG => {
                let mut facility = std::ptr::null();
                let mut text = std::ptr::null();
                let mut level = 0;
                // SAFETY: as above; the three places are valid for writing.
                let read = unsafe {
                    sys::rd_kafka_event_log(event, &raw mut facility, &raw mut text, &raw mut level)
                };
                // SAFETY: both are NULL or terminated strings of the event.
                let (facility, text) = unsafe { (text_of(facility), text_of(text)) };
                let level = u8::try_from(level).unwrap_or(7);
                (read == 0).then(|| Event::Log { level, text: format!("{facility}: {text}") })
            }
            _ => None,
        }
    }
}

/// Whether a failed record was only in the company of the one that the broker refused.
///
/// librdkafka 2.12.1 marks such records, but when the broker names exactly one culprit it then overwrites
/// the mark with the culprit's code (`rd_kafka_interceptors_on_acknowledgement_queue`), and every record of
/// the batch would look guilty. What stays is the reason: a literal of the library for the innocent, a text
/// of the broker or none for the culprit (`rd_kafka_msgbatch_handle_Produce_result_record_errors`). The
/// broker's text has been freed by now, so that the pointer may be looked at, but not followed.
///
/// # Safety
/// `message` is a live, failed message of a delivery report.
unsafe fn is_innocent(message: *const sys::rd_kafka_message_t) -> bool {
    // SAFETY: by the caller's promise; returns a pointer without following it.
    is_literal(unsafe { sys::rd_kafka_message_produce_errstr(message) })
}

/// Whether a pointer points into the program or one of its libraries, rather than into allocated memory.
fn is_literal(text: *const c_char) -> bool {
    let mut place = std::mem::MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: `place` is valid for writing; the address is compared, not followed (dladdr(3)).
    !text.is_null() && unsafe { libc::dladdr(text.cast(), place.as_mut_ptr()) } != 0
}

impl Drop for Polled {
    fn drop(&mut self) {
        // SAFETY: live and ours; nothing that was read from it is kept.
        unsafe { sys::rd_kafka_event_destroy(self.0.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_is_told_from_allocated_memory() {
        assert!(is_literal(c"a literal".as_ptr()));
        assert!(!is_literal(std::ptr::null()));
        let allocated = c"allocated".to_owned();
        assert!(!is_literal(allocated.as_ptr()));
        let large = vec![1_u8; 64 << 20];
        assert!(!is_literal(large.as_ptr().cast()), "a mapping of its own");
    }

    #[test]
    fn the_library_is_the_one_whose_reasons_were_read() {
        // With another version, look at the functions named at `is_innocent` again.
        // SAFETY: no arguments.
        assert_eq!(unsafe { sys::rd_kafka_version() }, 0x020c_01ff);
    }
}
