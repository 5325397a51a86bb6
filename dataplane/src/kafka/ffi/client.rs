//! The librdkafka instance: made from options, destroyed after its topics and its queue.
//!
//! Level 3. Owns every handle whose lifetime C leaves to the caller.

use std::ffi::c_int;
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka_sys::bindings as sys;
use zeroize::Zeroizing;

use super::hooks::Hooks;
use super::{Text, c_string, millis, raw};
use crate::kafka::errors::{KafkaError, code};
use crate::kafka::options::Options;
use crate::kafka::threads::ThreadRegistry;

/// A topic of one producer; meaningless for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TopicId(pub(super) u32);

/// A producer instance with its queue and topics.
pub(in crate::kafka) struct Client {
    instance: NonNull<sys::rd_kafka_t>,
    queue: NonNull<sys::rd_kafka_queue_t>,
    spread: Option<(Duration, u64)>,
    // Boxed: librdkafka keeps its address. Dropped after `Drop::drop` has destroyed the instance.
    hooks: Box<Hooks>,
}

// SAFETY: librdkafka's handles may be used from any thread, also from several at once (rdkafka.h,
// "Thread safety"); the hooks are only read.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

/// A configuration that nobody owns yet.
struct Conf(*mut sys::rd_kafka_conf_t);

impl Conf {
    fn from(options: &Options) -> Result<Conf, KafkaError> {
        // SAFETY: no arguments; aborts rather than returning NULL.
        let conf = Conf(unsafe { sys::rd_kafka_conf_new() });
        let mut text = Text::new();
        for (name, value) in options.pairs() {
            let c_name = c_string(name, "the name of a Kafka option")?;
            let c_value = secret_c_string(name, value)?;
            // SAFETY: the configuration is live, the strings are terminated, the buffer has this size.
            let set = unsafe {
                sys::rd_kafka_conf_set(
                    conf.0,
                    c_name.as_ptr(),
                    c_value.as_ptr().cast(),
                    text.as_mut_ptr(),
                    super::TEXT_BYTES_MAX,
                )
            };
            if set != sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
                return Err(KafkaError::config(format!("Kafka option \"{name}\": {}", text.to_text())));
            }
        }
        let events = sys::RD_KAFKA_EVENT_DR | sys::RD_KAFKA_EVENT_ERROR | sys::RD_KAFKA_EVENT_LOG;
        // SAFETY: the configuration is live.
        unsafe { sys::rd_kafka_conf_set_events(conf.0, events) };
        Ok(conf)
    }

    /// Gives the configuration to librdkafka.
    fn release(self) -> *mut sys::rd_kafka_conf_t {
        let conf = self.0;
        std::mem::forget(self);
        conf
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        // SAFETY: live and owned by us: `release` forgets the value.
        unsafe { sys::rd_kafka_conf_destroy(self.0) };
    }
}

/// A value with its terminator, wiped when dropped: it may be a password.
fn secret_c_string(name: &str, value: &str) -> Result<Zeroizing<Vec<u8>>, KafkaError> {
    if value.contains('\0') {
        return Err(KafkaError::config(format!("Kafka option \"{name}\" holds a NUL byte")));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(value.len() + 1));
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(0);
    Ok(bytes)
}

/// Whether librdkafka accepts the names and values of all options. Connects to nothing.
///
/// # Errors
/// The first option that it refuses, named, with its own text.
#[cfg(test)]
pub(crate) fn check_options(options: &Options) -> Result<(), KafkaError> {
    Conf::from(options).map(drop)
}

impl Client {
    /// Makes a producer. Its threads inherit the caller's affinity unless `cores` are given.
    pub(in crate::kafka) fn create(
        options: &Options,
        threads: &ThreadRegistry,
        cores: Option<&[u16]>,
    ) -> Result<Client, KafkaError> {
        let conf = Conf::from(options)?;
        let hooks = Box::new(Hooks::new(threads, cores));
        // SAFETY: the configuration is live; the box is kept until after the instance is destroyed.
        unsafe { Hooks::install(&raw const *hooks, conf.0) };
        let mut text = Text::new();
        let conf = conf.release();
        // SAFETY: the configuration is live and ours; the buffer has this size.
        let instance = unsafe {
            sys::rd_kafka_new(
                sys::rd_kafka_type_t::RD_KAFKA_PRODUCER,
                conf,
                text.as_mut_ptr(),
                super::TEXT_BYTES_MAX,
            )
        };
        let Some(instance) = NonNull::new(instance) else {
            // SAFETY: rd_kafka_new leaves the configuration to the caller when it fails.
            unsafe { sys::rd_kafka_conf_destroy(conf) };
            return Err(KafkaError::config(text.to_text()));
        };
        // SAFETY: the instance is live. NULL sends log lines to its main queue.
        unsafe { raw::rd_kafka_set_log_queue(instance.as_ptr(), std::ptr::null_mut()) };
        // SAFETY: the instance is live; the queue handle is destroyed before it.
        let queue = unsafe { sys::rd_kafka_queue_get_main(instance.as_ptr()) };
        let Some(queue) = NonNull::new(queue) else {
            // SAFETY: live, and nobody else knows it yet.
            unsafe { sys::rd_kafka_destroy(instance.as_ptr()) };
            return Err(KafkaError::new(code::INVALID_ARG, "librdkafka gave no main queue"));
        };
        Ok(Client { instance, queue, spread: options.spread(), hooks })
    }

    /// For how long and how many bytes records without a key go to one partition; `None`: librdkafka decides.
    pub(super) fn spread(&self) -> Option<(Duration, u64)> {
        self.spread
    }

    pub(super) fn instance(&self) -> *mut sys::rd_kafka_t {
        self.instance.as_ptr()
    }

    pub(super) fn queue(&self) -> *mut sys::rd_kafka_queue_t {
        self.queue.as_ptr()
    }

    /// Whether a broker has answered the request for a producer id.
    pub(in crate::kafka) fn producer_id_seen(&self) -> bool {
        self.hooks.producer_id_seen()
    }

    /// The error that made this producer unusable, if any.
    pub(in crate::kafka) fn fatal(&self) -> Option<KafkaError> {
        // SAFETY: the instance is live; without a buffer only the code is read, which is cheap.
        let code = unsafe { raw::rd_kafka_fatal_error(self.instance(), std::ptr::null_mut(), 0) };
        if code == code::NO_ERROR {
            return None;
        }
        let mut text = Text::new();
        // SAFETY: the instance is live, the buffer has this size.
        unsafe { raw::rd_kafka_fatal_error(self.instance(), text.as_mut_ptr(), super::TEXT_BYTES_MAX) };
        Some(KafkaError { fatal: true, ..KafkaError::new(code, text.to_text()) })
    }

    /// Takes all records back that are not acked; their reports follow through the queue. Does not block.
    pub(in crate::kafka) fn purge(&self) {
        let flags: c_int =
            sys::RD_KAFKA_PURGE_F_QUEUE | sys::RD_KAFKA_PURGE_F_INFLIGHT | sys::RD_KAFKA_PURGE_F_NON_BLOCKING;
        // SAFETY: the instance is live. The call fails for consumers and unknown flags only.
        unsafe { raw::rd_kafka_purge(self.instance(), flags) };
    }

    /// Sends without lingering until all records are reported or the time is over. Blocks. Reports must be
    /// taken by somebody else meanwhile: a record counts until its report has been taken.
    pub(in crate::kafka) fn flush(&self, timeout: Duration) {
        // SAFETY: the instance is live. The result only says whether records are left.
        unsafe { raw::rd_kafka_flush(self.instance(), millis(timeout)) };
    }

    /// Raises a fatal error, as a test may.
    #[cfg(test)]
    pub(in crate::kafka) fn raise_fatal(&self, code: i32, why: &str) {
        let why = c_string(why, "reason").unwrap();
        // SAFETY: the instance is live, the text terminated.
        let raised = unsafe { raw::rd_kafka_test_fatal_error(self.instance(), code, why.as_ptr()) };
        assert_eq!(raised, code::NO_ERROR);
    }
}

impl Drop for Client {
    /// Waits until librdkafka's threads have ended, which a name look-up may hold up for seconds: never on
    /// a shard.
    fn drop(&mut self) {
        // SAFETY: both are live and used by nobody else: `Link` destroys its topics before it lets go of
        // its client. The hooks are dropped afterwards.
        unsafe {
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
            sys::rd_kafka_destroy(self.instance.as_ptr());
        }
    }
}
