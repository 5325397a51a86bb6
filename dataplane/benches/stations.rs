//! The time of the stations between decode and delete: stages, handoff, leases, the whole walk of ten messages,
//! latencies and reports.
//!
//! `cargo bench -p dataplane --features internals --bench stations`. The walk is everything that Millrace's own code
//! does for ten messages but sockets and librdkafka: divide by ten.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

#[allow(dead_code, unused_imports, reason = "each program measures a part of the subjects")]
mod subjects;

use criterion::{Criterion, criterion_group, criterion_main};

fn stations(criterion: &mut Criterion) {
    for subject in subjects::stations::all() {
        let mut step = subject.prepare();
        criterion.bench_function(&subject.name, |bencher| bencher.iter(&mut step));
    }
}

criterion_group!(benches, stations);
criterion_main!(benches);
