//! Batch requests: see `dataplane_fuzz::request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dataplane_fuzz::request(bytes));
