//! The list of metrics: name, help and where each figure comes from.
//!
//! Pure. One call for each family; the order is the order of the page.

use std::collections::BTreeMap;
use std::fmt;

use dataplane::control::{PumpReport, State};
use dataplane::stats::{Codes, Counters, Latency, STAGES, Stage};

use super::{Labels, Sheet};
use crate::board::{Depth, View};
use crate::{health, snapshot};

/// Families that are one counter each, by pipeline and shard: name, help, field.
type CounterFamily = (&'static str, &'static str, fn(&Counters) -> u64);

const COUNTERS: &[CounterFamily] = &[
    ("messages_received", "Messages received from SQS, redeliveries included.", |c| c.received),
    ("messages_delivered", "Messages acked by Kafka and deleted at SQS.", |c| c.delivered),
    ("messages_rejected", "Messages accepted by the dead-letter topic and deleted at SQS.", |c| c.rejected),
    ("messages_filtered", "Messages dropped on purpose by a rule and deleted.", |c| c.filtered),
    ("messages_released", "Messages given back to the queue.", |c| c.released),
    ("messages_lease_lost", "Messages whose visibility ran out before they were finished.", |c| c.lease_lost),
    ("messages_redelivered_while_held", "Messages that came again while they were held.", |c| {
        c.redelivered_while_held
    }),
    ("messages_corrupt", "Messages whose MD5 did not match; released.", |c| c.corrupt),
    ("messages_unusable", "Messages without handle or id in a response.", |c| c.unusable),
    ("messages_handed_off", "Messages handed to another shard's producer.", |c| c.handed_off),
    ("received_bytes", "Bytes of the bodies received.", |c| c.received_bytes),
    ("delivered_bytes", "Bytes of the bodies delivered.", |c| c.delivered_bytes),
    ("sqs_empty_receives", "ReceiveMessage calls that brought nothing.", |c| c.empty_receives),
    ("sqs_request_errors", "SQS responses or connections that failed.", |c| c.request_errors),
    ("sqs_connections_opened", "SQS connections opened.", |c| c.connections_opened),
    ("sqs_delete_entries_failed", "Entries that a delete call refused.", |c| c.delete_entries_failed),
    ("leases_extended", "Leases extended.", |c| c.leases_extended),
    ("kafka_produce_requests", "Records given to librdkafka, repeats and dead letters included.", |c| {
        c.produced
    }),
    ("kafka_produce_retries", "Records given to librdkafka again after a passing error.", |c| {
        c.produce_retries
    }),
    ("kafka_ambiguous", "Records that timed out after they may have been stored.", |c| c.ambiguous),
    ("kafka_dead_lettered", "Records accepted by the dead-letter topic.", |c| c.dead_lettered),
    ("kafka_producer_rebuilds", "Producers made anew after a fatal error.", |c| c.producer_rebuilds),
    ("breaker_opened", "Times the breaker opened.", |c| c.breaker_opened),
];

/// Families that say how deep a queue is: name, help, field.
type DepthFamily = (&'static str, &'static str, fn(&Depth) -> u64);

const DEPTHS: &[DepthFamily] = &[
    ("queue_visible_messages", "Messages that can be received; approximate.", |depth| depth.visible),
    ("queue_in_flight_messages", "Messages that a consumer holds; approximate.", |depth| depth.in_flight),
    ("queue_delayed_messages", "Messages that are delayed; approximate.", |depth| depth.delayed),
];

/// Writes all families.
pub(super) fn encode(view: &View, sheet: &mut Sheet<'_, '_>) -> fmt::Result {
    messages(view, sheet)?;
    latencies(view, sheet)?;
    types(view, sheet)?;
    sqs_and_kafka(view, sheet)?;
    shards(view, sheet)?;
    appliance(view, sheet)
}

fn messages(view: &View, sheet: &mut Sheet<'_, '_>) -> fmt::Result {
    for (name, help, field) in COUNTERS {
        let series = pumps(view).map(|(labels, pump)| (labels, field(&pump.counters)));
        sheet.counters(name, help, series)?;
    }
    let in_flight = pumps(view).map(|(labels, pump)| (labels, pump.counters.in_flight as f64));
    sheet.gauges("messages_in_flight", "Messages held now.", in_flight)?;
    let bytes = pumps(view).map(|(labels, pump)| (labels, pump.counters.in_flight_bytes as f64));
    sheet.gauges("in_flight_bytes", "Bytes held now by received batches.", bytes)?;
    let budget = view.budgets.iter().map(|(name, bytes)| (by_pipeline(name), *bytes as f64));
    sheet.gauges("budget_bytes", "Bytes that may be held on one shard.", budget)?;
    let unaccounted = view
        .pipelines
        .iter()
        .map(|name| (by_pipeline(name), snapshot::totals(view, name).unaccounted() as f64));
    sheet.gauges(
        "messages_unaccounted",
        "Received messages without a fate; anything but 0 is a bug.",
        unaccounted,
    )
}

fn latencies(view: &View, sheet: &mut Sheet<'_, '_>) -> fmt::Result {
    let merged: Vec<(&String, Latency)> =
        view.pipelines.iter().map(|name| (name, snapshot::latency(view, name))).collect();
    let stages = merged.iter().flat_map(|(name, latency)| {
        STAGES.into_iter().map(move |stage| {
            let labels = vec![("pipeline", (*name).clone()), ("stage", stage.as_str().to_owned())];
            (labels, latency.stage(stage))
        })
    });
    sheet.histograms("stage_duration", "Time of each stage of a message's walk.", stages)?;
    let whole = merged.iter().map(|(name, latency)| (by_pipeline(name), latency.stage(Stage::EndToEnd)));
    sheet.histograms("end_to_end", "From the receive to the confirmed delete.", whole)
}

fn types(view: &View, sheet: &mut Sheet<'_, '_>) -> fmt::Result {
    let merged: Vec<snapshot::Pipeline> = snapshot::take(view).pipelines;
    let each = || {
        merged.iter().flat_map(|pipeline| {
            pipeline.types.iter().map(|one| {
                let labels: Labels = vec![("pipeline", pipeline.name.clone()), ("type", one.name.clone())];
                (labels, one)
            })
        })
    };
    sheet.counters(
        "message_type",
        "Messages received, by type.",
        each().map(|(labels, one)| (labels, one.count)),
    )?;
    sheet.counters(
        "message_type_bytes",
        "Bytes of bodies, by type.",
        each().map(|(labels, one)| (labels, one.bytes)),
    )?;
    sheet.counters(
        "message_type_errors",
        "Messages rejected, by type.",
        each().map(|(labels, one)| (labels, one.errors)),
    )
}

fn sqs_and_kafka(view: &View, sheet: &mut Sheet<'_, '_>) -> fmt::Result {
    let requests = view.pipelines.iter().flat_map(|name| {
        let totals = snapshot::totals(view, name);
        let attributes = view.attribute_calls.get(name).copied().unwrap_or(0);
        [
            ("receive", totals.receives),
            ("delete", totals.deletes),
            ("extend", totals.extends),
            ("release", totals.release_calls),
            ("attributes", attributes),
        ]
        .map(|(op, count)| (vec![("op", op.to_owned()), ("pipeline", name.clone())], count))
    });
    sheet.counters("sqs_requests", "SQS calls answered.", requests)?;
    sheet.counters(
        "sqs_errors",
        "SQS errors by operation and code.",
        codes(view, |pump| &pump.sqs_errors),
    )?;
    let throttled = view.pipelines.iter().map(|name| {
        let count = snapshot::pumps(view, name).map(|(_, pump)| throttled(&pump.sqs_errors)).sum();
        (by_pipeline(name), count)
    });
    sheet.counters("sqs_throttled", "SQS calls refused because of a quota.", throttled)?;
    sheet.counters(
        "kafka_produce_errors",
        "Kafka errors by code.",
        codes(view, |pump| &pump.kafka_errors),
    )?;
    sheet.counters("rejections", "Rejected messages by code.", codes(view, |pump| &pump.rejections))?;
    let pollers = pumps(view).map(|(labels, pump)| (labels, f64::from(pump.pollers)));
    sheet.gauges("sqs_pollers", "Receives in flight.", pollers)?;
    let skew = pumps(view).map(|(labels, pump)| (labels, pump.clock_skew_s as f64));
    sheet.gauges("clock_skew_seconds", "AWS's clock minus ours.", skew)?;
    for (name, help, field) in DEPTHS {
        let series = view.depths.iter().map(|(pipeline, depth)| (by_pipeline(pipeline), field(depth) as f64));
        sheet.gauges(name, help, series)?;
    }
    Ok(())
}

/// Throttling, by whatever name: `OverLimit` and `RequestThrottled` come as HTTP 400.
pub(super) fn throttled(codes: &Codes) -> u64 {
    let is = |code: &str| {
        code.contains("Throttl") || code.contains("OverLimit") || code.contains("TooManyRequests")
    };
    codes.0.iter().filter(|(code, _)| is(code)).map(|(_, count)| count).sum()
}

fn shards(view: &View, sheet: &mut Sheet<'_, '_>) -> fmt::Result {
    let shard = |number: u16| vec![("shard", number.to_string())];
    let turns = view.reports.iter().map(|report| (shard(report.shard), report.turns));
    sheet.counters("shard_loop_turns", "Turns of the shard's clock task.", turns)?;
    let stalls = view.reports.iter().map(|report| (shard(report.shard), report.stall_us as f64 / 1e6));
    sheet.gauges("shard_stall_seconds", "Longest delay of a turn in the last second.", stalls)?;
    let still = view
        .reports
        .iter()
        .zip(&view.still)
        .map(|(report, still)| (shard(report.shard), still.as_secs_f64()));
    sheet.gauges("shard_still_seconds", "Time since the shard last turned.", still)?;
    let epochs = view.reports.iter().map(|report| (shard(report.shard), report.epoch as f64));
    sheet.gauges("config_epoch", "Number of the configuration that the shard works by.", epochs)?;
    // librdkafka gives the threads of different producers the same names.
    let mut cpu = BTreeMap::<&str, u64>::new();
    for thread in &view.threads {
        *cpu.entry(&thread.name).or_default() += thread.cpu_ns;
    }
    let threads = cpu.into_iter().map(|(name, ns)| (vec![("thread", name.to_owned())], ns as f64 / 1e9));
    sheet.counters_f64("thread_cpu_seconds", "CPU time of the data plane's threads.", threads)
}

fn appliance(view: &View, sheet: &mut Sheet<'_, '_>) -> fmt::Result {
    let states = pumps(view).map(|(labels, pump)| (labels, f64::from(u8::from(pump.state == State::Broken))));
    sheet.gauges("breaker_state", "1 while the breaker is open.", states)?;
    let running =
        pumps(view).map(|(labels, pump)| (labels, f64::from(u8::from(pump.state == State::Running))));
    sheet.gauges("pipeline_running", "1 while the pipeline runs on this shard.", running)?;
    let limited = pumps(view).map(|(labels, pump)| (labels, f64::from(u8::from(pump.rate_limited))));
    sheet.gauges("rate_limited", "1 while receiving waits for a limit of the pipeline.", limited)?;
    let ready = health::ready(view).iter().all(|check| check.trouble.is_none());
    sheet.gauge("ready", "1 while the appliance is ready.", f64::from(u8::from(ready)))?;
    sheet.gauge("shards", "Shards that were started.", view.shards as f64)?;
    if let Some(fleet) = &view.fleet {
        let mut answers: BTreeMap<&str, f64> = fleet.absent.iter().map(|(name, _)| (&**name, 0.0)).collect();
        answers.extend(fleet.owners.values().map(|(name, _)| (&**name, 1.0)));
        let answers = answers.into_iter().map(|(name, value)| (vec![("data_plane", name.to_owned())], value));
        sheet.gauges(
            "data_plane_answers",
            "1 while an attached data plane publishes; of a control plane alone.",
            answers,
        )?;
    }
    sheet.gauge("uptime_seconds", "Time since the data plane was started.", view.uptime.as_secs_f64())?;
    let dropped = crate::logs::dropped() as f64;
    sheet.counter("log_lines_dropped", "Log lines dropped because nobody read them.", dropped)?;
    let build = vec![
        ("commit", env!("MILLRACE_COMMIT").to_owned()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    sheet.gauges("build_info", "Version and commit.", [(build, 1.0)].into_iter())
}

fn by_pipeline(name: &str) -> Labels {
    vec![("pipeline", name.to_owned())]
}

fn pumps(view: &View) -> impl Iterator<Item = (Labels, &PumpReport)> {
    view.reports.iter().flat_map(|report| {
        report.pumps.iter().map(|pump| {
            let labels = vec![("pipeline", pump.pipeline.clone()), ("shard", report.shard.to_string())];
            (labels, pump)
        })
    })
}

fn codes<'a>(view: &'a View, of: fn(&PumpReport) -> &Codes) -> impl Iterator<Item = (Labels, u64)> + 'a {
    view.pipelines.iter().flat_map(move |name| {
        let mut merged = Codes::default();
        for (_, pump) in snapshot::pumps(view, name) {
            merged.add(of(pump));
        }
        merged
            .0
            .into_iter()
            .map(move |(code, count)| (vec![("code", code), ("pipeline", name.clone())], count))
    })
}
