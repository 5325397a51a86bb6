//! The only module of the Kafka side with unsafe code: calls of librdkafka and of libc.
//!
//! Level 3. [`client`] owns the instance, [`link`] its topics and the batches it points into, [`send`]
//! gives it records, [`partitioner`] places them, [`events`] reads what it reports, [`hooks`] run on its
//! threads. Error codes are read as plain integers everywhere: a broker may send a code that the bindings'
//! Rust enum does not list, and an enum of an unlisted value would be undefined behaviour.
#![allow(unsafe_code, reason = "librdkafka is a C library; each block says why it is sound")]

mod client;
mod events;
mod hooks;
mod link;
mod metadata;
mod partitioner;
mod send;

pub(super) use client::Client;
pub(crate) use client::TopicId;
#[cfg(test)]
pub(crate) use client::check_options;
pub(super) use events::{Event, RawReport};
pub(super) use link::{Delivered, Held};
pub(super) use metadata::TopicState;
pub(super) use send::Refusal;

use std::ffi::{CStr, CString, c_char};

use super::errors::KafkaError;

/// Length of the buffers that librdkafka writes its sentences into; it uses 512 itself.
const TEXT_BYTES_MAX: usize = 512;

/// Sets up glibc's allocator for librdkafka, which allocates and frees a block per message from two
/// threads: without this the heap shrinks and grows all the time. Measured: 11 % of all CPU.
///
/// Call once, before any thread is started.
pub(crate) fn tune_malloc() {
    #[cfg(target_env = "gnu")]
    {
        // Source of the values: measured; of the option names: mallopt(3).
        for (option, value) in [
            (libc::M_TRIM_THRESHOLD, 1 << 30),
            (libc::M_TOP_PAD, 16 << 20),
            (libc::M_MMAP_THRESHOLD, 32 << 20),
        ] {
            // SAFETY: mallopt only stores the number; an option that it does not know is ignored.
            unsafe { libc::mallopt(option, value) };
        }
    }
}

/// All codes that librdkafka knows, by number and name.
#[cfg(test)]
pub(crate) fn error_names() -> Vec<(i32, String)> {
    let mut first = std::ptr::null();
    let mut count = 0;
    // SAFETY: both pointers are valid for writing; librdkafka stores a pointer to its static table.
    unsafe { rdkafka_sys::bindings::rd_kafka_get_err_descs(&raw mut first, &raw mut count) };
    let mut names = Vec::new();
    for position in 0..count {
        // SAFETY: the table has `count` rows. The code is read as an integer, not as an enum.
        let (code, name) = unsafe {
            let row = first.add(position);
            ((&raw const (*row).code).cast::<i32>().read(), (*row).name)
        };
        if !name.is_null() {
            // SAFETY: names are NUL-terminated static strings.
            names.push((code, unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()));
        }
    }
    names
}

/// A buffer that librdkafka writes a sentence into.
struct Text([u8; TEXT_BYTES_MAX]);

impl Text {
    fn new() -> Text {
        Text([0; TEXT_BYTES_MAX])
    }

    fn as_mut_ptr(&mut self) -> *mut c_char {
        self.0.as_mut_ptr().cast()
    }

    fn to_text(&self) -> String {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap_or(TEXT_BYTES_MAX);
        String::from_utf8_lossy(&self.0[..end]).into_owned()
    }
}

/// A C string of ours.
fn c_string(text: &str, what: &str) -> Result<CString, KafkaError> {
    CString::new(text).map_err(|_| KafkaError::config(format!("{what} holds a NUL byte")))
}

/// Copies a C string of librdkafka's; empty for NULL.
///
/// # Safety
/// `text` is NULL or points to a NUL-terminated string that lives during the call.
unsafe fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not NULL, and terminated by the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// A wait in the milliseconds that librdkafka takes; never its "forever" (-1).
fn millis(span: std::time::Duration) -> i32 {
    i32::try_from(span.as_millis()).unwrap_or(i32::MAX)
}

/// The same functions as in the bindings, with error codes as integers.
mod raw {
    use std::ffi::{c_char, c_int, c_void};

    use rdkafka_sys::bindings as sys;

    #[allow(clashing_extern_declarations, reason = "a C enum is an int; ours may hold any value")]
    unsafe extern "C" {
        pub(super) fn rd_kafka_error_code(error: *const sys::rd_kafka_error_s) -> c_int;
        pub(super) fn rd_kafka_event_error(event: *mut sys::rd_kafka_event_t) -> c_int;
        pub(super) fn rd_kafka_fatal_error(rk: *mut sys::rd_kafka_t, text: *mut c_char, size: usize)
        -> c_int;
        pub(super) fn rd_kafka_flush(rk: *mut sys::rd_kafka_t, timeout_ms: c_int) -> c_int;
        pub(super) fn rd_kafka_last_error() -> c_int;
        pub(super) fn rd_kafka_message_status(message: *const sys::rd_kafka_message_t) -> c_int;
        pub(super) fn rd_kafka_metadata(
            rk: *mut sys::rd_kafka_t,
            all_topics: c_int,
            only_topic: *mut sys::rd_kafka_topic_t,
            metadata: *mut *const sys::rd_kafka_metadata,
            timeout_ms: c_int,
        ) -> c_int;
        pub(super) fn rd_kafka_purge(rk: *mut sys::rd_kafka_t, flags: c_int) -> c_int;
        pub(super) fn rd_kafka_set_log_queue(rk: *mut sys::rd_kafka_t, queue: *mut c_void) -> c_int;
        #[cfg(test)]
        pub(super) fn rd_kafka_test_fatal_error(
            rk: *mut sys::rd_kafka_t,
            code: c_int,
            why: *const c_char,
        ) -> c_int;
    }
}
