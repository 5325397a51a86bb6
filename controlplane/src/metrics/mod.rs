//! Prometheus metrics: one collector over the board's view, read at scrape time.
//!
//! Nothing on the data path knows this client. Names: prefix `millrace_`, base units, `_total` on counters; all
//! label sets are closed or capped (types and codes at 64 and `other`, by the data plane).

#[cfg(test)]
mod document;
mod families;
mod form;
mod native;
mod watched;

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::board::View;
use crate::watch::Figures;
pub(crate) use form::Form;

/// SQS calls that were refused because of a quota, among these codes.
pub(crate) fn throttled(codes: &dataplane::stats::Codes) -> u64 {
    families::throttled(codes)
}

/// Upper bounds of latency buckets, microseconds: 100 µs to 5 minutes, three to a decade where it matters.
const BUCKETS_US: [u64; 20] = [
    100,
    250,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
];

/// The text of `/metrics`.
///
/// # Errors
/// Never while the text grows in memory.
pub(crate) fn text(view: Arc<View>, figures: Figures) -> Result<String, fmt::Error> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry(view, figures))?;
    Ok(text)
}

/// The same in Prometheus' protobuf, with native histograms beside the classic ones.
///
/// # Errors
/// Never while it grows in memory.
pub(crate) fn protobuf(view: Arc<View>, figures: Figures) -> Result<Vec<u8>, fmt::Error> {
    prometheus_client::encoding::prometheus_protobuf::encode_to_vec(&registry(view, figures))
        .map_err(|_| fmt::Error)
}

fn registry(view: Arc<View>, figures: Figures) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Process(Arc::clone(&view))));
    registry.sub_registry_with_prefix("millrace").register_collector(Box::new(Appliance(view, figures)));
    registry
}

#[derive(Debug)]
struct Appliance(Arc<View>, Figures);

impl Collector for Appliance {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sheet = Sheet(&mut encoder);
        families::encode(&self.0, &mut sheet)?;
        watched::encode(&self.1, &mut sheet)
    }
}

#[derive(Debug)]
struct Process(Arc<View>);

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let process = &self.0.process;
        let mut sheet = Sheet(&mut encoder);
        sheet.counter(
            "process_cpu_seconds",
            "User and system CPU time of the process.",
            process.cpu_seconds,
        )?;
        sheet.gauge("process_resident_memory_bytes", "Resident memory.", process.rss_bytes as f64)?;
        sheet.gauge("process_open_fds", "Open file descriptors.", process.open_fds as f64)?;
        sheet.gauge("process_threads", "Threads.", process.threads as f64)
    }
}

/// Labels of one series.
type Labels = Vec<(&'static str, String)>;

/// Writes families, each with all its series together.
struct Sheet<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Sheet<'_, '_> {
    fn family<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<&'s Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, unit, kind)
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        series: impl Iterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, None, MetricType::Counter)?;
        for (labels, value) in series {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn counters_f64(
        &mut self,
        name: &str,
        help: &str,
        series: impl Iterator<Item = (Labels, f64)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, None, MetricType::Counter)?;
        for (labels, value) in series {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }

    fn gauges(&mut self, name: &str, help: &str, series: impl Iterator<Item = (Labels, f64)>) -> fmt::Result {
        let mut family = self.family(name, help, None, MetricType::Gauge)?;
        for (labels, value) in series {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// A gauge without labels.
    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.family(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// A counter without labels.
    fn counter(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.family(name, help, None, MetricType::Counter)?.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    fn histograms<'h>(
        &mut self,
        name: &str,
        help: &str,
        series: impl Iterator<Item = (Labels, &'h hdrhistogram::Histogram<u64>)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (labels, histogram) in series {
            let (sum, buckets) = buckets(histogram);
            // Classic buckets for everyone; who reads protobuf gets the native ones as well.
            let native = native::Native::of(histogram);
            family.encode_family(&labels)?.encode_histogram_with_native::<NoLabelSet>(
                sum,
                histogram.len(),
                &buckets,
                None,
                native.encoded(),
            )?;
        }
        Ok(())
    }
}

/// Sum in seconds, and counts by classic bucket with upper bounds in seconds. Not cumulative: the encoder adds.
fn buckets(histogram: &hdrhistogram::Histogram<u64>) -> (f64, Vec<(f64, u64)>) {
    let mut counts = [0_u64; BUCKETS_US.len() + 1];
    let mut sum_us = 0_u128;
    for step in histogram.iter_recorded() {
        let (us, count) = (step.value_iterated_to(), step.count_at_value());
        sum_us += u128::from(us) * u128::from(count);
        counts[BUCKETS_US.partition_point(|bound| *bound < us)] += count;
    }
    let bounds = BUCKETS_US.iter().map(|us| *us as f64 / 1e6).chain([f64::INFINITY]);
    (sum_us as f64 / 1e6, bounds.zip(counts).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::board::fixture::running;

    fn scrape() -> String {
        text(running().view(), watched::fixture()).unwrap()
    }

    #[test]
    fn protobuf_has_the_families_of_the_text_and_native_histograms() {
        use prometheus_client::encoding::prometheus_protobuf::encode;
        let families = encode(&registry(running().view(), watched::fixture())).unwrap();
        let text = scrape();
        let types = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
        assert_eq!(families.len(), types);
        let whole = families.iter().find(|family| family.name == "millrace_end_to_end_seconds").unwrap();
        let histogram = whole.metric[0].histogram.as_ref().unwrap();
        let native: i64 = histogram
            .positive_delta
            .iter()
            .scan(0, |count, delta| {
                *count += delta;
                Some(*count)
            })
            .sum();
        assert_eq!((histogram.schema, native as u64), (3, histogram.sample_count));
        assert!(!histogram.bucket.is_empty(), "classic buckets as well");
        let bytes = protobuf(running().view(), watched::fixture()).unwrap();
        // Each family after its own length.
        assert!(bytes.len() > families.len() && usize::from(bytes[0] & 0x7f) > 0);
    }

    #[test]
    fn the_text_has_each_family_once_and_each_series_once() {
        let text = scrape();
        let mut families = HashSet::new();
        let mut series = HashSet::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("# TYPE ") {
                assert!(families.insert(name.split(' ').next().unwrap().to_owned()), "{line} twice");
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(series.insert(name.to_owned()), "{line} twice");
            }
        }
        assert!(text.ends_with("# EOF\n"));
        assert!(families.len() > 30, "{families:?}");
        for family in families {
            assert!(family.starts_with("millrace_") || family.starts_with("process_"), "{family}");
        }
    }

    #[test]
    fn counters_are_per_shard_and_histograms_merged() {
        let text = scrape();
        assert!(
            text.contains("millrace_messages_received_total{pipeline=\"orders\",shard=\"1\"} 100\n"),
            "{text}"
        );
        let line = "millrace_stage_duration_seconds_bucket{le=\"0.005\",pipeline=\"orders\",stage=\"produce_to_ack\"} 180";
        assert!(text.contains(line), "{text}");
        assert!(
            text.contains("_bucket{le=\"+Inf\",pipeline=\"orders\",stage=\"produce_to_ack\"} 180\n"),
            "{text}"
        );
        assert!(text.contains("millrace_end_to_end_seconds_count{pipeline=\"orders\"} 180\n"), "{text}");
        assert!(text.contains("millrace_sqs_throttled_total{pipeline=\"orders\"} 2\n"), "{text}");
        assert!(text.contains("process_cpu_seconds_total "), "{text}");
    }

    #[test]
    fn what_users_send_is_escaped() {
        assert!(scrape().contains(r#"type="paid \"x\"\n""#), "{}", scrape());
    }

    #[test]
    fn buckets_hold_every_value_at_or_below_their_bound() {
        let mut histogram = hdrhistogram::Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 3).unwrap();
        for us in [1, 100, 101, 5_000, 3_599_000_000] {
            histogram.record(us).unwrap();
        }
        let (sum, buckets) = buckets(&histogram);
        assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), 5);
        assert_eq!(buckets[0].1, 2, "1 and 100 µs");
        assert_eq!(buckets.last().unwrap().1, 1, "an hour is beyond the last bound");
        assert!((sum - 3599.0).abs() < 10.0, "{sum}");
    }
}
