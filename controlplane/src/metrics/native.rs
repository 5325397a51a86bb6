//! Native histograms: buckets that are as wide as their value asks for, and only those that hold something.
//!
//! Source: Prometheus, "Native histograms", schema and spans; `io.prometheus.client.Histogram`.

use hdrhistogram::Histogram;
use prometheus_client::encoding::{NativeHistogram, NativeHistogramBuckets};
use prometheus_client::metrics::histogram::DEFAULT_NATIVE_HISTOGRAM_ZERO_THRESHOLD;

/// Eight buckets to a doubling: a quantile is at most 9 % above its true value.
const SCHEMA: i32 = 3;

/// The buckets of a histogram in seconds.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Native {
    zero_count: u64,
    /// Distance from the end of the span before, and length.
    spans: Vec<(i32, u32)>,
    /// Each count less the one before.
    deltas: Vec<i64>,
}

impl Native {
    /// From one in microseconds.
    pub(super) fn of(histogram: &Histogram<u64>) -> Native {
        let mut native = Native::default();
        let (mut last, mut count) = (None, 0_i64);
        for step in histogram.iter_recorded() {
            let (us, added) = (step.value_iterated_to(), step.count_at_value());
            if us == 0 {
                native.zero_count += added;
                continue;
            }
            // Counts are below 2^63 for as long as anybody lives.
            let added = i64::try_from(added).unwrap_or(i64::MAX);
            let index = index_of(us);
            if last == Some(index) {
                if let Some(delta) = native.deltas.last_mut() {
                    *delta += added;
                }
                count += added;
                continue;
            }
            match (last, native.spans.last_mut()) {
                (Some(before), Some(span)) if index == before + 1 => span.1 += 1,
                (before, _) => native.spans.push((before.map_or(index, |before: i32| index - before - 1), 1)),
            }
            native.deltas.push(added - count);
            (last, count) = (Some(index), added);
        }
        native
    }

    /// As the encoder takes them.
    pub(super) fn encoded(&self) -> NativeHistogram<'_> {
        NativeHistogram {
            schema: SCHEMA,
            zero_threshold: DEFAULT_NATIVE_HISTOGRAM_ZERO_THRESHOLD,
            zero_count: self.zero_count,
            negative: NativeHistogramBuckets { spans: &[], deltas: &[] },
            positive: NativeHistogramBuckets { spans: &self.spans, deltas: &self.deltas },
            created: None,
        }
    }
}

/// The bucket of a time: it holds what is above `2^((index - 1) / 8)` seconds and at most `2^(index / 8)`.
fn index_of(us: u64) -> i32 {
    let index = (us as f64 / 1e6).log2() * f64::from(1 << SCHEMA);
    index.ceil() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[(u64, u64)]) -> Histogram<u64> {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 3).unwrap();
        for &(us, count) in values {
            histogram.record_n(us, count).unwrap();
        }
        histogram
    }

    #[test]
    fn a_bucket_ends_at_its_power_and_the_next_begins_behind_it() {
        assert_eq!((index_of(1_000_000), index_of(1_000_001), index_of(2_000_000)), (0, 1, 8));
        assert_eq!(index_of(500_000), -8);
        assert_eq!(index_of(250_001), -15);
    }

    #[test]
    fn buckets_side_by_side_are_one_span_and_counts_are_differences() {
        // 1 s, and 2 s in the eighth bucket after it.
        let native =
            Native::of(&histogram(&[(0, 3), (1_000_000, 5), (1_010_000, 2), (1_020_000, 4), (4_000_000, 1)]));
        // HDR's own buckets at a second are 0.1 % wide, so a whole second may be reckoned to the bucket above it.
        let total: i64 = native
            .deltas
            .iter()
            .scan(0, |count, delta| {
                *count += delta;
                Some(*count)
            })
            .sum();
        assert_eq!((native.zero_count, total), (3, 12), "{native:?}");
        assert_eq!(native.spans.iter().map(|span| span.1).sum::<u32>() as usize, native.deltas.len());
        assert!(native.spans.len() >= 2 && native.spans[0].0 <= 1, "{native:?}");
    }

    #[test]
    fn nothing_has_no_buckets() {
        assert_eq!(Native::of(&histogram(&[])), Native::default());
    }
}
