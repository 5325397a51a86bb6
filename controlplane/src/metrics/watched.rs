//! Metrics of what the watch knows: cost, alerts, receivers, and the kernel's figures.
//!
//! Pure. Labels are closed or bounded: operations, rules, receivers, interfaces and names of threads.

use std::fmt;

use super::{Labels, Sheet};
use crate::watch::Figures;
use crate::watch::system::{Interface, System};

/// Writes all families.
pub(super) fn encode(figures: &Figures, sheet: &mut Sheet<'_, '_>) -> fmt::Result {
    cost(figures, sheet)?;
    alerts(figures, sheet)?;
    kernel(&figures.system, sheet)
}

fn cost(figures: &Figures, sheet: &mut Sheet<'_, '_>) -> fmt::Result {
    let requests = figures.bills.iter().flat_map(|(pipeline, bill)| {
        bill.requests
            .each()
            .map(|(op, count)| (vec![("op", op.to_owned()), ("pipeline", pipeline.clone())], count))
    });
    sheet.counters("sqs_billed_requests", "SQS requests as they are billed, by 64 KiB.", requests)?;
    let usd = figures.bills.iter().map(|(pipeline, bill)| (vec![("pipeline", pipeline.clone())], bill.usd));
    sheet.counters_f64("sqs_cost_usd", "Price of the billed requests, US dollars.", usd)
}

fn alerts(figures: &Figures, sheet: &mut Sheet<'_, '_>) -> fmt::Result {
    let alerts = figures.alerts.iter().map(|((rule, severity, state), count)| {
        let labels: Labels = vec![
            ("rule", rule.clone()),
            ("severity", (*severity).to_owned()),
            ("state", (*state).to_owned()),
        ];
        (labels, *count as f64)
    });
    sheet.gauges("alerts", "Alerts that are pending or firing.", alerts)?;
    let notices = figures.receivers.iter().flat_map(|receiver| {
        let deliveries = &receiver.deliveries;
        [("delivered", deliveries.delivered), ("dropped", deliveries.dropped), ("failed", deliveries.failed)]
            .map(|(outcome, count)| {
                (vec![("outcome", outcome.to_owned()), ("receiver", receiver.name.clone())], count)
            })
    });
    sheet.counters("notices", "Notices of alerts, by receiver and outcome.", notices)?;
    let lost = figures.store_lost_minutes as f64;
    sheet.gauge("store_lost_minutes", "Minutes of history in a row that could not be stored.", lost)
}

fn kernel(system: &System, sheet: &mut Sheet<'_, '_>) -> fmt::Result {
    let switches = system.threads.iter().flat_map(|thread| {
        [("involuntary", thread.involuntary_switches), ("voluntary", thread.voluntary_switches)]
            .map(|(kind, count)| (vec![("kind", kind.to_owned()), ("thread", thread.name.clone())], count))
    });
    sheet.counters("thread_context_switches", "Context switches of threads by name and kind.", switches)?;
    let none = || Labels::new();
    let descriptors = &system.descriptors;
    sheet.gauge("io_uring_fds", "Open io_uring instances.", descriptors.io_uring as f64)?;
    sheet.gauges(
        "fds_max",
        "Descriptors that may be open.",
        descriptors.max.map(|max| (none(), max as f64)).into_iter(),
    )?;
    let disk = system.disk;
    sheet.gauges(
        "store_disk_bytes",
        "Size of the store's disk.",
        disk.map(|disk| (none(), disk.total_bytes as f64)).into_iter(),
    )?;
    let free = disk.map(|disk| (none(), disk.free_bytes as f64)).into_iter();
    sheet.gauges("store_disk_free_bytes", "Free space on the store's disk.", free)?;
    let each = |field: fn(&Interface) -> u64| {
        system.network.iter().map(move |one| (vec![("interface", one.name.clone())], field(one)))
    };
    sheet.counters(
        "network_received_bytes",
        "Bytes that an interface received.",
        each(|one| one.received_bytes),
    )?;
    sheet.counters("network_sent_bytes", "Bytes that an interface sent.", each(|one| one.sent_bytes))?;
    sheet.counters("network_drops", "Packets that an interface dropped.", each(|one| one.drops))?;
    let pressure = &system.pressure;
    let pressure =
        [("cpu", pressure.cpu_ratio), ("io", pressure.io_ratio), ("memory", pressure.memory_ratio)];
    let pressure = pressure
        .into_iter()
        .filter_map(|(resource, ratio)| ratio.map(|ratio| (vec![("resource", resource.to_owned())], ratio)));
    sheet.gauges("pressure_ratio", "Share of ten seconds in which some task waited for it.", pressure)?;
    let memory = system.memory.and_then(|memory| memory.available_bytes);
    let memory = memory.map(|bytes| (none(), bytes as f64)).into_iter();
    sheet.gauges("machine_memory_available_bytes", "Memory that could be had without swapping.", memory)
}

#[cfg(test)]
pub(super) fn fixture() -> Figures {
    use crate::watch::cost::{self, Requests, Usage};
    use crate::watch::notify::{Deliveries, Shown};
    use crate::watch::system::{Disk, Memory, Pressure, Thread};

    let requests = Requests { receive: 100, delete: 50, ..Requests::default() };
    let bill = cost::bill(&Usage { requests, ..Usage::default() }, 0.4);
    let interface = Interface { name: "eth0".into(), received_bytes: 1, sent_bytes: 2, errors: 0, drops: 0 };
    let deliveries = Deliveries { delivered: 4, failed: 1, ..Deliveries::default() };
    Figures {
        bills: [("orders".to_owned(), bill)].into(),
        system: System {
            threads: vec![Thread { name: "shard-0".into(), involuntary_switches: 3, ..Thread::default() }],
            descriptors: crate::watch::system::Descriptors { max: Some(1024), ..Default::default() },
            disk: Some(Disk { total_bytes: 10, free_bytes: 5, free_ratio: 0.5 }),
            network: vec![interface],
            memory: Some(Memory { total_bytes: 9, available_bytes: Some(7) }),
            pressure: Pressure { cpu_ratio: Some(0.25), ..Pressure::default() },
            ..System::default()
        },
        alerts: [(("breaker-open".to_owned(), "page", "firing"), 1)].into(),
        receivers: vec![Shown { name: "ops".into(), kind: "webhook", pages_only: false, deliveries }],
        store_lost_minutes: 2,
    }
}
