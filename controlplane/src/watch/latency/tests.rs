//! The log against the histograms that it was fed with.

use dataplane::control::{ShardReport, State};
use dataplane::stats::{Counters, Stage};
use proptest::prelude::*;

use super::*;
use crate::board::Board;
use crate::board::fixture::{config, report};

/// A view whose one shard has recorded this since the start.
fn view(latency: &Latency) -> View {
    let board = Board::new(&config(), 1);
    let mut one: ShardReport = report(0, 1, State::Running, Counters::default());
    one.pumps[0].latency = latency.clone();
    board.publish(vec![one], Vec::new());
    View::clone(&board.view())
}

fn orders() -> Of {
    Some("orders".to_owned())
}

fn recorded(window: &Window, stage: Stage) -> &Histogram<u64> {
    &window.stages[stage as usize]
}

fn never(_: &str) -> bool {
    false
}

#[test]
fn a_second_holds_what_came_in_it_and_nothing_before() {
    let (mut log, mut latency) = (LatencyLog::default(), Latency::new());
    latency.record(Stage::EndToEnd, 5_000, 100);
    log.push(&view(&latency), 1_000, never);
    latency.record(Stage::EndToEnd, 9_000, 7);
    log.push(&view(&latency), 2_000, never);
    let seconds = log.seconds(&orders(), 0, i64::MAX).unwrap();
    assert_eq!(seconds[0].columns, None, "the first reading has nothing to compare with");
    let column = &seconds[1].columns.as_ref().unwrap()[Stage::EndToEnd as usize];
    assert_eq!((column.percentiles.count, column.counts.len()), (7, 1));
    assert!((9_000..9_010).contains(&column.percentiles.p99), "{column:?}");
    assert_eq!(log.seconds(&Some("nobody".to_owned()), 0, i64::MAX), None);
}

#[test]
fn a_histogram_that_began_anew_is_a_gap_and_then_counts_again() {
    let mut log = LatencyLog::default();
    let mut latency = Latency::new();
    latency.record(Stage::Decode, 5, 100);
    log.push(&view(&latency), 1_000, never);
    let mut anew = Latency::new();
    anew.record(Stage::Decode, 9, 200);
    assert!(difference(&latency, &anew).is_none(), "more counts, but not the same ones");
    log.push(&view(&anew), 2_000, never);
    anew.record(Stage::Decode, 9, 3);
    log.push(&view(&anew), 3_000, never);
    let seconds = log.seconds(&orders(), 1_000, i64::MAX).unwrap();
    assert_eq!(seconds[0].columns, None);
    assert_eq!(seconds[1].columns.as_ref().unwrap()[Stage::Decode as usize].percentiles.count, 3);
    assert!(log.window(&orders(), 0, 10_000).unwrap().has_gap);
}

#[test]
fn an_interval_that_the_sampler_calls_a_gap_is_left_out() {
    let (mut log, mut latency) = (LatencyLog::default(), Latency::new());
    log.push(&view(&latency), 1_000, never);
    latency.record(Stage::Decode, 5, 10);
    log.push(&view(&latency), 2_000, |name| name == "orders");
    assert_eq!(log.window(&orders(), 0, 10_000).unwrap().stages[Stage::Decode as usize].len(), 0);
    latency.record(Stage::Decode, 5, 4);
    log.push(&view(&latency), 3_000, never);
    assert_eq!(log.window(&orders(), 0, 10_000).unwrap().stages[Stage::Decode as usize].len(), 4);
}

#[test]
fn a_minute_ends_with_its_exact_percentiles() {
    let (mut log, mut latency) = (LatencyLog::default(), Latency::new());
    log.push(&view(&latency), 60_000, never);
    for second in 1..=59 {
        latency.record(Stage::EndToEnd, 1_000 + second, 10);
        assert!(log.push(&view(&latency), 60_000 + second as i64 * 1_000, never).is_empty());
    }
    let ended = log.push(&view(&latency), 121_000, never);
    let of: Vec<&Of> = ended.iter().map(|minute| &minute.of).collect();
    assert_eq!(of, [&None, &orders()]);
    let column = &ended[1].columns[Stage::EndToEnd as usize];
    assert_eq!((ended[1].minute_ms, column.percentiles.count), (60_000, 590));
    assert_eq!(column.percentiles.max, latency.stage(Stage::EndToEnd).max());
    assert_eq!(column.counts.iter().map(|(_, count)| count).sum::<u64>(), 590);
}

#[test]
fn a_minute_without_messages_has_no_columns() {
    let (mut log, latency) = (LatencyLog::default(), Latency::new());
    log.push(&view(&latency), 60_500, never);
    assert!(log.push(&view(&latency), 121_000, never).is_empty());
}

#[test]
fn ten_minutes_are_kept() {
    let (mut log, mut latency) = (LatencyLog::default(), Latency::new());
    for second in 0..700 {
        latency.record(Stage::Decode, 3, 1);
        log.push(&view(&latency), second * 1_000 + 1, never);
    }
    assert_eq!(log.seconds(&orders(), 0, i64::MAX).unwrap().len(), CELLS_MAX);
    let window = log.window(&orders(), 0, i64::MAX).unwrap();
    assert_eq!((window.from_ms, window.to_ms), (90_000, 700_000));
    assert_eq!(recorded(&window, Stage::Decode).len(), 610);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever is recorded when: a window over everything is the difference of the last and the first reading, bucket
    /// by bucket, and survives the encoding that leaves this process.
    #[test]
    fn windows_are_differences_of_cumulative_histograms(
        seconds in proptest::collection::vec(
            proptest::collection::vec((1_u64..4_000_000_000, 1_u64..50), 0..6), 1..30)
    ) {
        let mut latency = Latency::new();
        latency.record(Stage::EndToEnd, 77, 5);
        let first = latency.clone();
        let mut log = LatencyLog::default();
        log.push(&view(&latency), 500, never);
        for (second, values) in (1_i64..).zip(&seconds) {
            for (us, count) in values {
                latency.record(Stage::EndToEnd, *us, *count);
            }
            log.push(&view(&latency), second * 1_000, never);
        }
        let mut expected = latency.stage(Stage::EndToEnd).clone();
        expected.subtract(first.stage(Stage::EndToEnd)).unwrap();
        for of in [orders(), None] {
            let window = log.window(&of, 0, i64::MAX).unwrap();
            let ours = recorded(&window, Stage::EndToEnd);
            prop_assert_eq!(ours, &expected);
            let text = compare::encoded(ours);
            prop_assert_eq!(&compare::decoded(&text).unwrap(), &expected);
        }
    }
}
