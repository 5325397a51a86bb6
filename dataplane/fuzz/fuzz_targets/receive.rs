//! Receive answers: see `dataplane_fuzz::receive`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dataplane_fuzz::receive(bytes));
