//! What librdkafka calls on its own threads: a thread starts or ends, a response arrives.
//!
//! Level 3. These run on librdkafka's threads and never on a shard's. They only record: no call back into
//! librdkafka, no panic (unwinding into C is undefined), nothing that waits.

use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka_sys::bindings as sys;

use crate::kafka::threads::ThreadRegistry;

/// API key of InitProducerId. Source: Kafka protocol guide, "Api Keys".
const INIT_PRODUCER_ID: i16 = 22;

const NAME: &CStr = c"millrace";

/// What the hooks of one producer need. Lives as long as the instance: [`super::Client`] owns both.
pub(super) struct Hooks {
    threads: ThreadRegistry,
    cores: Option<Vec<u16>>,
    producer_id_seen: AtomicBool,
}

impl Hooks {
    pub(super) fn new(threads: &ThreadRegistry, cores: Option<&[u16]>) -> Hooks {
        Hooks {
            threads: threads.clone(),
            cores: cores.map(<[u16]>::to_vec),
            producer_id_seen: AtomicBool::new(false),
        }
    }

    /// Whether a broker has answered the request for a producer id.
    pub(super) fn producer_id_seen(&self) -> bool {
        self.producer_id_seen.load(Ordering::Acquire)
    }

    /// Asks librdkafka to call the hooks of the instance that is made from `conf`.
    ///
    /// # Safety
    /// `conf` is a live configuration, and `hooks` outlives every instance made from it.
    pub(super) unsafe fn install(hooks: *const Hooks, conf: *mut sys::rd_kafka_conf_t) {
        // SAFETY: the name is static, the callbacks have the declared types, and the caller keeps `hooks`.
        unsafe {
            sys::rd_kafka_conf_interceptor_add_on_new(
                conf,
                NAME.as_ptr(),
                Some(on_new),
                hooks.cast_mut().cast(),
            );
        }
    }
}

const OK: sys::rd_kafka_resp_err_t = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

unsafe extern "C" fn on_new(
    rk: *mut sys::rd_kafka_t,
    _conf: *const sys::rd_kafka_conf_t,
    hooks: *mut c_void,
    _text: *mut c_char,
    _size: usize,
) -> sys::rd_kafka_resp_err_t {
    // SAFETY: `rk` is the instance being made; the callbacks have the declared types.
    unsafe {
        sys::rd_kafka_interceptor_add_on_thread_start(rk, NAME.as_ptr(), Some(on_thread_start), hooks);
        sys::rd_kafka_interceptor_add_on_thread_exit(rk, NAME.as_ptr(), Some(on_thread_exit), hooks);
        sys::rd_kafka_interceptor_add_on_response_received(rk, NAME.as_ptr(), Some(on_response), hooks);
    }
    OK
}

unsafe extern "C" fn on_thread_start(
    _rk: *mut sys::rd_kafka_t,
    _kind: sys::rd_kafka_thread_type_t,
    name: *const c_char,
    hooks: *mut c_void,
) -> sys::rd_kafka_resp_err_t {
    // SAFETY: `hooks` is what `install` was given, and outlives the instance; shared access only.
    let hooks = unsafe { &*hooks.cast::<Hooks>() };
    // SAFETY: librdkafka passes a NUL-terminated name that lives during the call.
    let name = unsafe { super::text_of(name) };
    // A panic may not cross into C; what is lost with it is a line of statistics.
    drop(catch_unwind(AssertUnwindSafe(|| {
        if let Some(cores) = &hooks.cores {
            pin_this_thread(cores);
        }
        hooks.threads.started(this_thread(), &name);
    })));
    OK
}

unsafe extern "C" fn on_thread_exit(
    _rk: *mut sys::rd_kafka_t,
    _kind: sys::rd_kafka_thread_type_t,
    _name: *const c_char,
    hooks: *mut c_void,
) -> sys::rd_kafka_resp_err_t {
    // SAFETY: as in `on_thread_start`.
    let hooks = unsafe { &*hooks.cast::<Hooks>() };
    drop(catch_unwind(AssertUnwindSafe(|| hooks.threads.ended(this_thread(), this_thread_cpu_ns()))));
    OK
}

#[allow(clippy::too_many_arguments, reason = "the signature is librdkafka's")]
unsafe extern "C" fn on_response(
    _rk: *mut sys::rd_kafka_t,
    _socket: i32,
    _broker: *const c_char,
    _broker_id: i32,
    api_key: i16,
    _api_version: i16,
    _correlation: i32,
    size: usize,
    _sent_at: i64,
    _err: sys::rd_kafka_resp_err_t,
    hooks: *mut c_void,
) -> sys::rd_kafka_resp_err_t {
    // A response that failed (time-out, disconnect) has no bytes.
    if api_key == INIT_PRODUCER_ID && size > 0 {
        // SAFETY: as in `on_thread_start`.
        let hooks = unsafe { &*hooks.cast::<Hooks>() };
        hooks.producer_id_seen.store(true, Ordering::Release);
    }
    OK
}

fn this_thread() -> i32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::gettid() }
}

fn this_thread_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing. On failure it stays zero.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Restricts the calling thread to `cores`. A kernel that refuses leaves it where it is: slower, not wrong.
fn pin_this_thread(cores: &[u16]) {
    // SAFETY: an all-zero cpu_set_t is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &core in cores.iter().filter(|&&core| i32::from(core) < libc::CPU_SETSIZE) {
        // SAFETY: the core is within the set's size.
        unsafe { libc::CPU_SET(usize::from(core), &mut set) };
    }
    // SAFETY: pid 0 is the calling thread; the set is valid and of the given size.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
}
