//! The whole percentile curve of a histogram, its percentiles, and the `.hgrm` text that plotters read.
//!
//! Pure. Points are spaced by halves of the distance to 100 %, so that each nine gets as many as the one before:
//! the same steps as HdrHistogram's `outputPercentileDistribution`.

use std::fmt::Write;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Steps between two halvings of the distance to 100 %. HdrHistogram's own default.
pub(crate) const TICKS: u32 = 5;
/// Most steps that a caller may ask for.
pub(crate) const TICKS_MAX: u32 = 100;
/// Values that must lie beyond a percentile before it is believed. By eye: fewer than ten are an anecdote.
const BEYOND_MIN: f64 = 10.0;

/// One point of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct CurvePoint {
    /// 0 to 100.
    pub(crate) percentile: f64,
    /// Values at or below this, microseconds.
    pub(crate) value_us: u64,
    /// How many there are at or below it.
    pub(crate) count: u64,
}

/// Every point of the curve; empty for an empty histogram.
pub(crate) fn curve(histogram: &Histogram<u64>, ticks: u32) -> Vec<CurvePoint> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let mut count = 0;
    let steps = histogram.iter_quantiles(ticks.clamp(1, TICKS_MAX));
    steps
        .map(|step| {
            count += step.count_since_last_iteration();
            let percentile = step.quantile_iterated_to() * 100.0;
            CurvePoint { percentile, value_us: step.value_iterated_to(), count }
        })
        .collect()
}

/// The percentile distribution as text, values in milliseconds.
pub(crate) fn hgrm(histogram: &Histogram<u64>, ticks: u32) -> String {
    const US_PER_MS: f64 = 1_000.0;
    let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    for point in curve(histogram, ticks) {
        let (value, level) = (point.value_us as f64 / US_PER_MS, point.percentile / 100.0);
        let _ = write!(text, "{value:12.3} {level:.12} {:10}", point.count);
        // The last point has no such number: it would be infinite.
        let _ = if level < 1.0 { writeln!(text, " {:14.2}", 1.0 / (1.0 - level)) } else { writeln!(text) };
    }
    let (mean, deviation) =
        if histogram.is_empty() { (0.0, 0.0) } else { (histogram.mean(), histogram.stdev()) };
    let _ = writeln!(
        text,
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]",
        mean / US_PER_MS,
        deviation / US_PER_MS
    );
    let max = if histogram.is_empty() { 0 } else { histogram.max() };
    let _ = writeln!(
        text,
        "#[Max     = {:12.3}, Total count    = {:12}]",
        max as f64 / US_PER_MS,
        histogram.len()
    );
    let sub_buckets = (2 * 10_u64.pow(u32::from(histogram.sigfig()))).next_power_of_two();
    let _ = writeln!(text, "#[Buckets = {:12}, SubBuckets     = {sub_buckets:12}]", histogram.buckets());
    text
}

/// Whether so many values say something about this quantile.
pub(crate) fn is_believable(count: u64, quantile: f64) -> bool {
    count as f64 * (1.0 - quantile) >= BEYOND_MIN - 1e-6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> Histogram<u64> {
        Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap()
    }

    /// The values that the reference file was made of: `tests/reference.hgrm` says how.
    fn reference() -> Histogram<u64> {
        let mut histogram = fresh();
        for number in 0..10_000_u64 {
            histogram.record(500 + number * number % 90_001).unwrap();
        }
        histogram.record(1_000_000).unwrap();
        histogram.record(25_000_000).unwrap();
        histogram
    }

    #[test]
    fn the_text_is_what_hdrhistogram_itself_writes() {
        // Made by HdrHistogram 2.2.2 (Java): `outputPercentileDistribution(out, 5, 1000.0)` of the values above.
        let expected = include_str!("reference.hgrm");
        let text = hgrm(&reference(), TICKS);
        for (ours, theirs) in text.lines().zip(expected.lines()) {
            assert_eq!(ours, theirs);
        }
        assert_eq!(text, expected);
    }

    #[test]
    fn an_empty_histogram_is_a_text_without_points() {
        let text = hgrm(&fresh(), TICKS);
        assert!(text.contains("Total count    =            0"), "{text}");
        assert_eq!(curve(&fresh(), TICKS), Vec::new());
    }

    #[test]
    fn the_curve_ends_at_the_maximum_and_never_falls() {
        let histogram = reference();
        for ticks in [0, 1, 5, 1_000] {
            let points = curve(&histogram, ticks);
            assert!(points.is_sorted_by(|a, b| a.percentile <= b.percentile && a.value_us <= b.value_us));
            let last = points.last().unwrap();
            assert_eq!((last.percentile, last.count), (100.0, histogram.len()), "{ticks}");
            assert_eq!(last.value_us, histogram.max());
            assert!(points.len() < 3_000, "{}", points.len());
        }
    }

    #[test]
    fn a_nine_needs_ten_values_beyond_it() {
        assert!(is_believable(1_000, 0.99) && !is_believable(999, 0.99));
        assert!(is_believable(10_000, 0.999) && !is_believable(9_000, 0.999));
    }
}
