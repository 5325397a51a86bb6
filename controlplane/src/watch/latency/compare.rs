//! Two histograms beside each other: now and a saved baseline, percentile by percentile.
//!
//! Pure. A percentile of which too few values lie beyond is shown and not compared. Also here: HdrHistogram's V2
//! encoding as text, in which histograms leave this process and come back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dataplane::stats::{Percentiles, STAGES};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::Serialize;
use utoipa::ToSchema;

use super::Stages;
use super::curve::{self, CurvePoint};

/// Longest encoded histogram that is read: every bucket of a full one in use is about 100 KiB.
const ENCODED_BYTES_MAX: usize = 1 << 20;

/// A histogram in V2 encoding, compressed, in base64: what any HdrHistogram library reads.
pub(crate) fn encoded(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    #[allow(clippy::expect_used, reason = "a vector takes what is written, and the bounds are encodable")]
    V2DeflateSerializer::new().serialize(histogram, &mut bytes).expect("written to memory");
    STANDARD.encode(bytes)
}

/// Reads what [`encoded`] wrote.
///
/// # Errors
/// What is wrong with the text, in one sentence.
pub(crate) fn decoded(text: &str) -> Result<Histogram<u64>, String> {
    if text.len() > ENCODED_BYTES_MAX {
        return Err(format!(
            "a histogram of {} characters; at most {ENCODED_BYTES_MAX} are read",
            text.len()
        ));
    }
    let bytes = STANDARD.decode(text).map_err(|error| format!("not base64: {error}"))?;
    Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| format!("not an HdrHistogram in V2 encoding: {error}"))
}

/// How one percentile changed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Change {
    /// 0 to 100.
    pub(crate) percentile: f64,
    /// Then, microseconds.
    pub(crate) baseline_us: u64,
    /// Now, microseconds.
    pub(crate) now_us: u64,
    /// Now divided by then; `None` when either has too few values beyond it.
    pub(crate) ratio: Option<f64>,
}

/// One stage, then and now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct StageComparison {
    /// Name of the stage.
    pub(crate) stage: &'static str,
    /// Percentiles then.
    pub(crate) baseline: Percentiles,
    /// Percentiles now.
    pub(crate) now: Percentiles,
    /// Percentile by percentile.
    pub(crate) changes: Vec<Change>,
    /// The curve then.
    pub(crate) baseline_curve: Vec<CurvePoint>,
    /// The curve now.
    pub(crate) now_curve: Vec<CurvePoint>,
}

/// Compares every stage that either side has values of.
pub(crate) fn compare(baseline: &Stages, now: &Stages) -> Vec<StageComparison> {
    let pairs = STAGES.into_iter().zip(baseline.iter().zip(now));
    pairs
        .filter(|(_, (then, now))| !then.is_empty() || !now.is_empty())
        .map(|(stage, (then, now))| StageComparison {
            stage: stage.as_str(),
            baseline: Percentiles::of(then),
            now: Percentiles::of(now),
            changes: [0.5, 0.9, 0.99, 0.999, 0.9999].map(|quantile| change(then, now, quantile)).to_vec(),
            baseline_curve: curve::curve(then, curve::TICKS),
            now_curve: curve::curve(now, curve::TICKS),
        })
        .collect()
}

fn change(then: &Histogram<u64>, now: &Histogram<u64>, quantile: f64) -> Change {
    let value = |histogram: &Histogram<u64>| {
        if histogram.is_empty() { 0 } else { histogram.value_at_quantile(quantile) }
    };
    let believable = |histogram: &Histogram<u64>| curve::is_believable(histogram.len(), quantile);
    let (baseline_us, now_us) = (value(then), value(now));
    let ratio =
        (believable(then) && believable(now) && baseline_us > 0).then(|| now_us as f64 / baseline_us as f64);
    Change { percentile: quantile * 100.0, baseline_us, now_us, ratio }
}

#[cfg(test)]
mod tests {
    use super::super::empty;
    use super::*;

    fn stages(us: u64, count: u64) -> Stages {
        std::array::from_fn(|stage| {
            let mut histogram = empty();
            if stage == 2 && count > 0 {
                histogram.record_n(us, count).unwrap();
            }
            histogram
        })
    }

    #[test]
    fn a_stage_that_became_slower_says_by_how_much() {
        let compared = compare(&stages(1_000, 5_000), &stages(2_000, 5_000));
        assert_eq!(compared.len(), 1);
        assert_eq!(compared[0].stage, "decode");
        let p99 = compared[0].changes[2];
        assert!((p99.ratio.unwrap() - 2.0).abs() < 0.01, "{p99:?}");
        assert_eq!(compared[0].changes[3].ratio, None, "5,000 values say nothing about the third nine");
        assert_eq!(compared[0].now_curve.last().unwrap().count, 5_000);
    }

    #[test]
    fn nothing_to_compare_with_has_no_ratio() {
        let compared = compare(&stages(1, 0), &stages(2_000, 50_000));
        assert_eq!(compared[0].baseline.count, 0);
        assert!(compared[0].changes.iter().all(|change| change.ratio.is_none()));
        assert_eq!(compare(&stages(1, 0), &stages(1, 0)), Vec::new());
    }

    #[test]
    fn what_is_no_histogram_is_refused_in_words() {
        assert!(decoded("***").unwrap_err().contains("base64"));
        assert!(decoded("aGVsbG8=").unwrap_err().contains("V2"));
        assert!(decoded(&"A".repeat(ENCODED_BYTES_MAX + 1)).unwrap_err().contains("at most"));
    }
}
