//! Gives records to librdkafka: payloads by reference, keys and headers copied by it.
//!
//! Level 3. Two ways in: records without headers go in one call per run of a topic, others one by one.
//! Neither blocks: a full queue refuses.

use std::ptr::NonNull;
use std::sync::Arc;

use rdkafka_sys::bindings as sys;
use sys::rd_kafka_vtype_t as vtype;

use super::link::Link;
use super::raw;
use crate::clock;
use crate::kafka::errors::code;
use crate::kafka::producer::Record;
use crate::kafka::slab::{Opaque, Place};
use crate::message::Batch;
use crate::pipeline::headers::HeaderRules;

/// Partition to be chosen by the partitioner. Source: rdkafka.h, `RD_KAFKA_PARTITION_UA`.
const ANY_PARTITION: i32 = -1;

/// A record that librdkafka did not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kafka) struct Refusal {
    pub(in crate::kafka) index: u8,
    pub(in crate::kafka) code: i32,
}

impl Link {
    /// Sends records of one batch, in order; those that librdkafka does not take are added to `refused`.
    pub(in crate::kafka) fn send(
        &mut self,
        batch: &Arc<Batch>,
        records: &[Record<'_>],
        token: u64,
        rules: &HeaderRules,
        refused: &mut Vec<Refusal>,
    ) {
        let mut refuse = |records: &[Record<'_>], code| {
            refused.extend(records.iter().map(|record| Refusal { index: record.index, code }));
        };
        let Some(place) = self.slab.hold(batch, token) else {
            // 2^24 batches in flight: as full as a queue gets.
            refuse(records, code::QUEUE_FULL);
            return;
        };
        let now = clock::now();
        self.spreads().iter().for_each(|spread| spread.look(now));
        let mut rest = records;
        while let Some(first) = rest.first() {
            let run = plain_run(batch, rest, rules);
            let (sent, after) = rest.split_at(run.max(1));
            rest = after;
            let mut full = false;
            let mut refuse_one = |index, code| {
                full |= code == code::QUEUE_FULL;
                refuse(&[Record { index, ..*first }], code);
            };
            if let Some(spread) = self.spreads().get(first.topic.0 as usize) {
                let bytes = |record: &Record<'_>| payload(batch, record.index).map_or(0, <[u8]>::len);
                spread.took(sent.iter().map(bytes).sum());
            }
            if run > 0 {
                self.send_plain(batch, sent, place, &mut refuse_one);
            } else {
                self.send_one(batch, first, place, rules, &mut refuse_one);
            }
            if full {
                // Nothing may overtake a record that has to wait.
                refuse(rest, code::QUEUE_FULL);
                break;
            }
        }
        self.slab.seal(place);
    }

    /// Records of one topic that have no headers, in one call.
    fn send_plain(
        &mut self,
        batch: &Batch,
        records: &[Record<'_>],
        place: Place,
        refuse: &mut impl FnMut(u8, i32),
    ) {
        let topic = records.first().and_then(|record| self.handle(record.topic));
        for record in records {
            let payload = topic.and_then(|_| payload(batch, record.index));
            let Some(payload) = payload.filter(|_| self.slab.begin(place, record.index)) else {
                refuse(record.index, code::INVALID_ARG);
                continue;
            };
            self.scratch.push(sys::rd_kafka_message_t {
                err: sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
                rkt: std::ptr::null_mut(),
                partition: ANY_PARTITION,
                payload: payload.as_ptr().cast_mut().cast(),
                len: payload.len(),
                key: record.key.map_or(std::ptr::null_mut(), |key| key.as_ptr().cast_mut().cast()),
                key_len: record.key.map_or(0, <[u8]>::len),
                offset: 0,
                _private: std::ptr::without_provenance_mut(place.opaque(record.index).0),
            });
        }
        let Some(topic) = topic.filter(|_| !self.scratch.is_empty()) else { return };
        let messages = self.scratch.as_mut_ptr();
        let count = i32::try_from(self.scratch.len()).unwrap_or(i32::MAX);
        // SAFETY: topic and messages are live. Flags 0: of the messages that it takes librdkafka keeps the
        // payload pointers, and only reads them; they point into the batch that the slab holds from
        // `begin` to their report. Keys are copied. F_PARTITION is never used: it leaks on a failed look-up.
        let taken = unsafe { sys::rd_kafka_produce_batch(topic, ANY_PARTITION, 0, messages, count) };
        if taken != count {
            for position in 0..self.scratch.len() {
                // SAFETY: within the vector. The code is read as an integer, and no reference to the
                // struct is made, since C has written into its enum.
                let (code, opaque) = unsafe {
                    let message = messages.add(position);
                    ((&raw const (*message).err).cast::<i32>().read(), (*message)._private.addr())
                };
                if code != code::NO_ERROR
                    && let Some((_, index)) = self.slab.settle(Opaque(opaque))
                {
                    refuse(index, code);
                }
            }
        }
        self.scratch.clear();
    }

    /// One record with its headers and timestamp.
    fn send_one(
        &mut self,
        batch: &Batch,
        record: &Record<'_>,
        place: Place,
        rules: &HeaderRules,
        refuse: &mut impl FnMut(u8, i32),
    ) {
        let found = self.handle(record.topic).zip(payload(batch, record.index));
        let Some((topic, payload)) = found.filter(|_| self.slab.begin(place, record.index)) else {
            refuse(record.index, code::INVALID_ARG);
            return;
        };
        let opaque = place.opaque(record.index);
        let headers = Headers::of(batch, record, rules);
        let mut fields = Fields::new();
        fields.push(vtype::RD_KAFKA_VTYPE_RKT, Value { rkt: topic });
        fields.push(vtype::RD_KAFKA_VTYPE_VALUE, memory(payload));
        fields.push(vtype::RD_KAFKA_VTYPE_OPAQUE, Value { ptr: std::ptr::without_provenance_mut(opaque.0) });
        if let Some(key) = record.key {
            fields.push(vtype::RD_KAFKA_VTYPE_KEY, memory(key));
        }
        if let Some(timestamp) = rules.timestamp(&batch.messages[usize::from(record.index)]) {
            fields.push(vtype::RD_KAFKA_VTYPE_TIMESTAMP, Value { i64_: timestamp });
        }
        if let Some(headers) = &headers {
            fields.push(vtype::RD_KAFKA_VTYPE_HEADERS, Value { headers: headers.0.as_ptr() });
        }
        // SAFETY: instance, topic and headers are live, and the fields are initialised. No flags: the
        // payload is kept by reference, see `send_plain`; the key is copied. Headers go over on success.
        let error =
            unsafe { sys::rd_kafka_produceva(self.client().instance(), fields.as_ptr(), fields.count) };
        if error.is_null() {
            if let Some(headers) = headers {
                std::mem::forget(headers);
            }
            return;
        }
        // SAFETY: the error is ours to read and to destroy.
        let code = unsafe {
            let code = raw::rd_kafka_error_code(error);
            sys::rd_kafka_error_destroy(error);
            code
        };
        self.slab.settle(opaque);
        refuse(record.index, code);
    }
}

/// How many records from the first on share its topic and have neither headers nor a timestamp.
fn plain_run(batch: &Batch, records: &[Record<'_>], rules: &HeaderRules) -> usize {
    let plain = |record: &Record<'_>| {
        record.extra.is_empty()
            && batch.messages.get(usize::from(record.index)).is_some_and(|message| rules.is_plain(message))
    };
    let Some(first) = records.first() else { return 0 };
    records.iter().take_while(|record| record.topic == first.topic && plain(record)).count()
}

/// The body of a message; never NULL, since an absent value means "delete" on a compacted topic.
fn payload(batch: &Batch, index: u8) -> Option<&[u8]> {
    batch.messages.get(usize::from(index)).map(|message| batch.slice(message.body))
}

type Value = sys::rd_kafka_vu_s__bindgen_ty_1;

fn memory(bytes: &[u8]) -> Value {
    Value {
        mem: sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
            ptr: bytes.as_ptr().cast_mut().cast(),
            size: bytes.len(),
        },
    }
}

/// Arguments of `rd_kafka_produceva`, on the stack: topic, value, opaque, key, timestamp, headers.
struct Fields {
    fields: [std::mem::MaybeUninit<sys::rd_kafka_vu_t>; 6],
    count: usize,
}

impl Fields {
    fn new() -> Fields {
        Fields { fields: [const { std::mem::MaybeUninit::uninit() }; 6], count: 0 }
    }

    fn push(&mut self, vtype: vtype, u: Value) {
        self.fields[self.count].write(sys::rd_kafka_vu_t { vtype, u });
        self.count += 1;
    }

    fn as_ptr(&self) -> *const sys::rd_kafka_vu_t {
        self.fields.as_ptr().cast()
    }
}

/// A list of headers that librdkafka has not taken over yet.
struct Headers(NonNull<sys::rd_kafka_headers_t>);

impl Headers {
    /// The headers of a record; `None` when it has none.
    fn of(batch: &Batch, record: &Record<'_>, rules: &HeaderRules) -> Option<Headers> {
        let message = batch.messages.get(usize::from(record.index))?;
        let count = rules.count_max(message) + record.extra.len();
        if count == 0 {
            return None;
        }
        // SAFETY: a plain constructor.
        let headers = Headers(NonNull::new(unsafe { sys::rd_kafka_headers_new(count) })?);
        rules.each(batch, message, &mut |name, value| headers.add(name, value));
        for (name, value) in record.extra {
            headers.add(name.as_bytes(), value);
        }
        Some(headers)
    }

    fn add(&self, name: &[u8], value: &[u8]) {
        // Lossless: slices are never longer than isize::MAX.
        let (name_len, value_len) = (name.len().cast_signed(), value.len().cast_signed());
        // SAFETY: the list is live and ours; name and value are copied by length, so that they need no
        // terminator. The call fails for read-only lists only, and this one is not.
        unsafe {
            sys::rd_kafka_header_add(
                self.0.as_ptr(),
                name.as_ptr().cast(),
                name_len,
                value.as_ptr().cast(),
                value_len,
            );
        }
    }
}

impl Drop for Headers {
    fn drop(&mut self) {
        // SAFETY: still ours: `send_one` forgets a list that librdkafka has taken over.
        unsafe { sys::rd_kafka_headers_destroy(self.0.as_ptr()) };
    }
}
