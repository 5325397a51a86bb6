//! Error answers: see `dataplane_fuzz::refusal`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dataplane_fuzz::refusal(bytes));
