//! Batch answers: see `dataplane_fuzz::batch_results`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dataplane_fuzz::batch_results(bytes));
