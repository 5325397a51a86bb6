//! The heatmap's buckets: four to each doubling of the latency, one byte each; and their compact encoding.
//!
//! Pure. A histogram of 23,000 buckets is too fine for a picture and too large for a month of minutes. These are
//! 128 from 1 µs to beyond an hour; a count moves between two of them only if its value lies within HDR's own
//! thousandth of the border.

use dataplane::stats::{Percentiles, STAGES};
use hdrhistogram::Histogram;
use serde::Serialize;

/// Number of buckets: 32 doublings from 1 µs, four each.
pub(crate) const BUCKETS: usize = 128;
/// Stages that are timed.
pub(crate) const STAGE_COUNT: usize = STAGES.len();

/// Counts by bucket, only those that are not 0, in order.
pub(crate) type Counts = Vec<(u8, u64)>;

/// The bucket of a latency.
pub(crate) fn bucket_of(us: u64) -> u8 {
    let us = us.clamp(1, u64::from(u32::MAX));
    let octave = us.ilog2();
    ((octave << 2) as u64 | ((us << 2) >> octave) & 3) as u8
}

/// The smallest latency of a bucket, microseconds. Buckets below 4 µs that no whole number falls into share a border.
pub(crate) fn lower_us(bucket: u8) -> u64 {
    let (octave, quarter) = (u64::from(bucket >> 2), u64::from(bucket & 3));
    ((4 + quarter) << octave).div_ceil(4)
}

/// One stage within one interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct StageColumn {
    /// Exact percentiles.
    pub(crate) percentiles: Percentiles,
    /// Counts by bucket.
    pub(crate) counts: Counts,
}

impl StageColumn {
    /// Reads a histogram.
    pub(crate) fn of(histogram: &Histogram<u64>) -> StageColumn {
        let mut counts: Counts = Vec::new();
        for step in histogram.iter_recorded() {
            let bucket = bucket_of(step.value_iterated_to());
            match counts.last_mut() {
                Some((last, count)) if *last == bucket => *count += step.count_at_value(),
                _ => counts.push((bucket, step.count_at_value())),
            }
        }
        StageColumn { percentiles: Percentiles::of(histogram), counts }
    }
}

/// All stages within one interval.
pub(crate) type Columns = [StageColumn; STAGE_COUNT];

/// Writes columns as variable-length numbers: for each stage six percentiles, the number of counts, and the counts with
/// the distance from the bucket before.
pub(crate) fn encode(columns: &Columns) -> Vec<u8> {
    let mut bytes = Vec::new();
    for column in columns {
        let p = &column.percentiles;
        for value in [p.count, p.p50, p.p90, p.p99, p.p999, p.max, column.counts.len() as u64] {
            put(&mut bytes, value);
        }
        let mut before = 0;
        for (bucket, count) in &column.counts {
            put(&mut bytes, u64::from(bucket - before));
            put(&mut bytes, *count);
            before = *bucket;
        }
    }
    bytes
}

/// Reads what [`encode`] wrote; `None` for anything else.
pub(crate) fn decode(mut bytes: &[u8]) -> Option<Columns> {
    let mut columns: Columns = std::array::from_fn(|_| StageColumn::default());
    for column in &mut columns {
        let mut next = || take(&mut bytes);
        let (count, p50, p90, p99, p999, max) = (next()?, next()?, next()?, next()?, next()?, next()?);
        column.percentiles = Percentiles { count, p50, p90, p99, p999, max };
        let length = next()?;
        let mut bucket = 0_u64;
        for _ in 0..length.min(BUCKETS as u64) {
            bucket = bucket.checked_add(next()?).filter(|bucket| *bucket < BUCKETS as u64)?;
            column.counts.push((bucket as u8, next()?));
        }
        if length > BUCKETS as u64 {
            return None;
        }
    }
    bytes.is_empty().then_some(columns)
}

/// LEB128: seven bits a byte, the highest says that another follows.
pub(super) fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Reads what [`put`] wrote; `None` at the end.
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_latency_lies_within_its_bucket() {
        for us in (1..10_000).chain([123_456, 3_600_000_000, u64::MAX]) {
            let bucket = bucket_of(us);
            let clamped = us.min(u64::from(u32::MAX));
            assert!(lower_us(bucket) <= clamped, "{us} below bucket {bucket}");
            if usize::from(bucket) + 1 < BUCKETS {
                assert!(clamped < lower_us(bucket + 1), "{us} above bucket {bucket}");
            }
        }
        assert_eq!(usize::from(bucket_of(u64::MAX)), BUCKETS - 1);
    }

    #[test]
    fn borders_are_a_quarter_of_a_doubling_apart() {
        assert_eq!([16, 17, 18, 19, 20].map(lower_us), [16, 20, 24, 28, 32]);
    }

    #[test]
    fn a_column_counts_every_value_once() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 3).unwrap();
        for us in 1..5_000 {
            histogram.record(us * 7).unwrap();
        }
        let column = StageColumn::of(&histogram);
        assert_eq!(column.counts.iter().map(|(_, count)| count).sum::<u64>(), histogram.len());
        assert!(column.counts.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(column.percentiles.count, histogram.len());
    }

    fn any_column() -> impl Strategy<Value = StageColumn> {
        let counts = proptest::collection::btree_map(0..BUCKETS as u8, 1..=u64::MAX, 0..BUCKETS);
        (any::<[u64; 6]>(), counts).prop_map(|([count, p50, p90, p99, p999, max], counts)| StageColumn {
            percentiles: Percentiles { count, p50, p90, p99, p999, max },
            counts: counts.into_iter().collect(),
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(columns in proptest::array::uniform9(any_column())) {
            prop_assert_eq!(decode(&encode(&columns)), Some(columns));
        }

        #[test]
        fn no_bytes_make_it_panic_or_grow(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Some(columns) = decode(&bytes) {
                prop_assert!(columns.iter().all(|column| column.counts.len() <= BUCKETS));
            }
        }
    }
}
