//! Two admin calls that librdkafka has and the crate `rdkafka` does not: incremental changes of configs, and the offsets of a
//! consumer group.
//!
//! Without the first, two who change a topic at a time undo each other's work, because AlterConfigs replaces all. Without
//! the second, the offsets of each group would cost a client of its own. Every pointer is owned by a guard that lets it go
//! in the way that librdkafka's header asks for; nothing that librdkafka owns outlives the event it came with.
#![allow(unsafe_code, reason = "librdkafka's C interface")]

use std::ffi::{CStr, CString, c_char};
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::error::{IsError, RDKafkaErrorCode};
use rdkafka::types::{RDKafka, RDKafkaRespErr};

use super::client::ANSWER_MAX;
use super::trouble::{Fault, Trouble};

/// Added to the time that librdkafka gives the request, so that its own answer comes first.
const MARGIN: Duration = Duration::from_secs(2);

/// A pointer with the function that lets it go.
struct Owned<T> {
    pointer: NonNull<T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    fn new(pointer: *mut T, destroy: unsafe extern "C" fn(*mut T), what: &str) -> Result<Owned<T>, Trouble> {
        let none = || Trouble::new(Fault::Bug, format!("librdkafka made no {what}"), "report it");
        Ok(Owned { pointer: NonNull::new(pointer).ok_or_else(none)?, destroy })
    }

    fn as_ptr(&self) -> *mut T {
        self.pointer.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the constructor that belongs to `destroy`, and nobody else lets it go.
        unsafe { (self.destroy)(self.pointer.as_ptr()) };
    }
}

/// One committed position of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// Sets configs of a topic (`Some`), or takes them back to their defaults (`None`), and leaves all others as they are.
pub(super) fn alter_topic(
    client: *mut RDKafka,
    topic: &str,
    changes: &[(String, Option<String>)],
    preview: bool,
) -> Result<(), Trouble> {
    let what = format!("topic {topic}");
    let name = text(topic)?;
    // SAFETY: the name lives beyond the call, which copies it.
    let resource = unsafe {
        sys::rd_kafka_ConfigResource_new(sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC, name.as_ptr())
    };
    let resource = Owned::new(resource, sys::rd_kafka_ConfigResource_destroy, "config resource")?;
    for (config, value) in changes {
        use sys::rd_kafka_AlterConfigOpType_t as Operation;
        let (config, value) = (text(config)?, value.as_deref().map(text).transpose()?);
        let operation = match value {
            Some(_) => Operation::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET,
            None => Operation::RD_KAFKA_ALTER_CONFIG_OP_TYPE_DELETE,
        };
        let value = value.as_ref().map_or(ptr::null(), |value| value.as_ptr());
        // SAFETY: all pointers live beyond the call, which copies what they point to; a delete takes no value.
        let error = unsafe {
            sys::rd_kafka_ConfigResource_add_incremental_config(
                resource.as_ptr(),
                config.as_ptr(),
                operation,
                value,
            )
        };
        refused(error, &what)?;
    }
    let options =
        options(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS, Some(preview))?;
    let event = ask(client, &what, |queue| {
        let mut resources = [resource.as_ptr()];
        // SAFETY: client, resource, options and queue are live; librdkafka copies resource and options.
        unsafe {
            sys::rd_kafka_IncrementalAlterConfigs(client, resources.as_mut_ptr(), 1, options.as_ptr(), queue);
        }
    })?;
    // SAFETY: the event is live, and `ask` has checked that it holds a result.
    let result = unsafe { sys::rd_kafka_event_IncrementalAlterConfigs_result(event.as_ptr()) };
    let mut count = 0;
    // SAFETY: the result belongs to the event; the list has `count` live entries as long as the event.
    let resources = (!result.is_null())
        .then(|| unsafe { sys::rd_kafka_IncrementalAlterConfigs_result_resources(result, &mut count) });
    let Some(resources) = resources.filter(|list| !list.is_null() && count > 0) else {
        return Err(Trouble::new(Fault::Unreachable, format!("{what}: the answer is empty"), "try again"));
    };
    // SAFETY: as above; the texts are copied before the event goes.
    let (code, said) = unsafe {
        let answer = *resources;
        (sys::rd_kafka_ConfigResource_error(answer), owned(sys::rd_kafka_ConfigResource_error_string(answer)))
    };
    if code.is_error() { Err(Trouble::of_code(code.into(), &what, Some(&said))) } else { Ok(()) }
}

/// All positions that a group has committed.
pub(super) fn group_offsets(client: *mut RDKafka, group: &str) -> Result<Vec<Committed>, Trouble> {
    let what = format!("group {group}");
    let name = text(group)?;
    // SAFETY: the name lives beyond the call, which copies it; no list of partitions means all.
    let request = unsafe { sys::rd_kafka_ListConsumerGroupOffsets_new(name.as_ptr(), ptr::null()) };
    let request = Owned::new(request, sys::rd_kafka_ListConsumerGroupOffsets_destroy, "request")?;
    let options =
        options(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, None)?;
    let event = ask(client, &what, |queue| {
        let mut requests = [request.as_ptr()];
        // SAFETY: client, request, options and queue are live; librdkafka copies request and options.
        unsafe {
            sys::rd_kafka_ListConsumerGroupOffsets(client, requests.as_mut_ptr(), 1, options.as_ptr(), queue);
        }
    })?;
    // SAFETY: the event is live, and `ask` has checked that it holds a result.
    let result = unsafe { sys::rd_kafka_event_ListConsumerGroupOffsets_result(event.as_ptr()) };
    let mut count = 0;
    // SAFETY: the result belongs to the event; the list has `count` live entries as long as the event.
    let groups = (!result.is_null())
        .then(|| unsafe { sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut count) });
    let Some(groups) = groups.filter(|list| !list.is_null() && count > 0) else { return Ok(Vec::new()) };
    // SAFETY: as above; an error belongs to its group and is only read.
    let (answer, error) = unsafe {
        let answer = *groups;
        (answer, sys::rd_kafka_group_result_error(answer))
    };
    if !error.is_null() {
        // SAFETY: the error is live as long as the event.
        let (code, said) =
            unsafe { (sys::rd_kafka_error_code(error), owned(sys::rd_kafka_error_string(error))) };
        return Err(Trouble::of_code(code.into(), &what, Some(&said)));
    }
    // SAFETY: the list belongs to the group and lives as long as the event.
    Ok(unsafe { committed(sys::rd_kafka_group_result_partitions(answer)) })
}

/// # Safety
/// The list is null or live, with `cnt` live entries.
unsafe fn committed(list: *const sys::rd_kafka_topic_partition_list_t) -> Vec<Committed> {
    // SAFETY: as the caller promises.
    let Some(list) = (unsafe { list.as_ref() }) else { return Vec::new() };
    let count = usize::try_from(list.cnt).unwrap_or(0);
    if list.elems.is_null() {
        return Vec::new();
    }
    // SAFETY: as the caller promises.
    let entries = unsafe { std::slice::from_raw_parts(list.elems, count) };
    let has_position = |entry: &&sys::rd_kafka_topic_partition_t| entry.offset >= 0 && !entry.err.is_error();
    let position = |entry: &sys::rd_kafka_topic_partition_t| Committed {
        // SAFETY: each live entry has the name of its topic.
        topic: unsafe { owned(entry.topic) },
        partition: entry.partition,
        offset: entry.offset,
    };
    entries.iter().filter(has_position).map(position).collect()
}

/// Options of one call.
fn options(
    client: *mut RDKafka,
    operation: sys::rd_kafka_admin_op_t,
    preview: Option<bool>,
) -> Result<Owned<sys::rd_kafka_AdminOptions_t>, Trouble> {
    // SAFETY: the client is live.
    let options = unsafe { sys::rd_kafka_AdminOptions_new(client, operation) };
    let options = Owned::new(options, sys::rd_kafka_AdminOptions_destroy, "options")?;
    let mut said = [0 as c_char; 256];
    let timeout_ms = i32::try_from(ANSWER_MAX.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the options are live, and the buffer has the length that is told.
    let mut code = unsafe {
        sys::rd_kafka_AdminOptions_set_request_timeout(
            options.as_ptr(),
            timeout_ms,
            said.as_mut_ptr(),
            said.len(),
        )
    };
    if let Some(preview) = preview.filter(|_| !code.is_error()) {
        // SAFETY: as above.
        code = unsafe {
            sys::rd_kafka_AdminOptions_set_validate_only(
                options.as_ptr(),
                i32::from(preview),
                said.as_mut_ptr(),
                said.len(),
            )
        };
    }
    if code.is_error() {
        // SAFETY: librdkafka ends its texts with a zero, and the buffer began as zeros.
        let said = unsafe { owned(said.as_ptr()) };
        return Err(Trouble::new(
            Fault::Bug,
            format!("librdkafka takes no such option: {said}"),
            "report it",
        ));
    }
    Ok(options)
}

/// Sends a request and waits for its answer, which holds a result.
fn ask(
    client: *mut RDKafka,
    what: &str,
    send: impl FnOnce(*mut sys::rd_kafka_queue_t),
) -> Result<Owned<sys::rd_kafka_event_t>, Trouble> {
    // SAFETY: the client is live.
    let queue = Owned::new(unsafe { sys::rd_kafka_queue_new(client) }, sys::rd_kafka_queue_destroy, "queue")?;
    send(queue.as_ptr());
    let wait_ms = i32::try_from((ANSWER_MAX + MARGIN).as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the queue is live.
    let event = unsafe { sys::rd_kafka_queue_poll(queue.as_ptr(), wait_ms) };
    let Ok(event) = Owned::new(event, sys::rd_kafka_event_destroy, "event") else {
        return Err(Trouble::of_code(RDKafkaErrorCode::OperationTimedOut, what, None));
    };
    // SAFETY: the event is live, and so are its texts.
    let (code, said) = unsafe {
        (sys::rd_kafka_event_error(event.as_ptr()), owned(sys::rd_kafka_event_error_string(event.as_ptr())))
    };
    if code.is_error() { Err(Trouble::of_code(code.into(), what, Some(&said))) } else { Ok(event) }
}

/// An error that a call has made, if it made one; it is let go here.
fn refused(error: *mut sys::rd_kafka_error_t, what: &str) -> Result<(), Trouble> {
    let Ok(error) = Owned::new(error, sys::rd_kafka_error_destroy, "error") else { return Ok(()) };
    // SAFETY: the error is live, and its text belongs to it.
    let (code, said): (RDKafkaRespErr, String) = unsafe {
        (sys::rd_kafka_error_code(error.as_ptr()), owned(sys::rd_kafka_error_string(error.as_ptr())))
    };
    Err(Trouble::of_code(code.into(), what, Some(&said)))
}

fn text(text: &str) -> Result<CString, Trouble> {
    let refuse = |_| Trouble::new(Fault::Invalid, "a text holds a zero byte", "remove it");
    CString::new(text).map_err(refuse)
}

/// # Safety
/// The pointer is null or to a text that ends with a zero.
unsafe fn owned(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
