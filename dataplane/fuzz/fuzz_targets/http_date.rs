//! HTTP dates: see `dataplane_fuzz::http_date`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dataplane_fuzz::http_date(bytes));
