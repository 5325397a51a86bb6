//! What librdkafka calls to place a record: keys by murmur2, the others by [`Spread`].
//!
//! Level 3. Runs on the thread that sends, or on librdkafka's own for records that came before it knew the
//! topic. Never waits and never panics.

use std::ffi::c_void;

use rdkafka_sys::bindings as sys;

use crate::kafka::partition;
use crate::kafka::spread::Spread;

/// Default settings of a topic of this instance, and with `spread` this partitioner.
///
/// # Safety
/// The instance is live, and `spread` outlives it.
pub(super) unsafe fn topic_conf(
    instance: *mut sys::rd_kafka_t,
    spread: Option<&Spread>,
) -> *mut sys::rd_kafka_topic_conf_t {
    // SAFETY: the instance is live; the copy is ours.
    let conf = unsafe { sys::rd_kafka_default_topic_conf_dup(instance) };
    if let Some(spread) = spread {
        let opaque = std::ptr::from_ref(spread).cast_mut().cast();
        // SAFETY: the settings are live, the callback has the declared type, and the caller keeps `spread`.
        unsafe {
            sys::rd_kafka_topic_conf_set_opaque(conf, opaque);
            sys::rd_kafka_topic_conf_set_partitioner_cb(conf, Some(place));
        }
    }
    conf
}

/// Tells a topic's spread that a record was reported.
///
/// # Safety
/// `topic` is NULL or a live topic whose opaque, if any, was set by [`topic_conf`].
pub(super) unsafe fn reported(topic: *const sys::rd_kafka_topic_t, partition: i32) {
    if topic.is_null() {
        return;
    }
    // SAFETY: the topic is live.
    let opaque = unsafe { sys::rd_kafka_topic_opaque(topic) };
    // SAFETY: NULL, or the spread of `topic_conf`, which outlives the instance; shared access only.
    if let Some(spread) = unsafe { opaque.cast::<Spread>().as_ref() } {
        spread.reported(partition);
    }
}

/// As `murmur2_random` of librdkafka, but for how records without a key are spread. Source: rdkafka.h,
/// `rd_kafka_topic_conf_set_partitioner_cb`.
unsafe extern "C" fn place(
    topic: *const sys::rd_kafka_topic_t,
    key: *const c_void,
    key_len: usize,
    partitions: i32,
    opaque: *mut c_void,
    _record: *mut c_void,
) -> i32 {
    // SAFETY: the opaque is the spread of `topic_conf`, which outlives the instance; shared access only.
    let spread = unsafe { &*opaque.cast_const().cast::<Spread>() };
    let chosen = if key.is_null() {
        // SAFETY: called from within a partitioner, as it must be, with the topic that was given.
        spread.next(partitions, |partition| unsafe {
            sys::rd_kafka_topic_partition_available(topic, partition) != 0
        })
    } else {
        // SAFETY: librdkafka passes the key with its length.
        let key = unsafe { std::slice::from_raw_parts(key.cast::<u8>(), key_len) };
        partition::partition(key, partitions.unsigned_abs()).cast_signed()
    };
    spread.sent(chosen);
    chosen
}
