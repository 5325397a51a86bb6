//! One run of one target: start the world, start the target, warm up, measure a window, end all, compare the ledgers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use bench::load::Bodies;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

use crate::broker::{Broker, free_ports};
use crate::cores::Cores;
use crate::feed::{self, Fed, Feed, Progress};
use crate::program::Program;
use crate::reader::{Brief, Findings, Reader};
use crate::results::{Latency, Measured, PerMessage};
use crate::stages;
use crate::syscalls::{self, Syscalls};
use crate::targets::{Job, Target};
use crate::usage::{self, Usage};
use crate::verdict;
use crate::wires::Wires;
use crate::workload::{KafkaKind, Workload};
use crate::world::World;

/// Time for the first delete: a JVM-sized start beside others on two cores.
const FIRST_DELETE_MAX: Duration = Duration::from_secs(90);
/// Time for the backlog.
const FILL_MAX: Duration = Duration::from_secs(300);
/// Time to end after SIGTERM; a drain with long polls of 20 s in flight takes that long.
const END_MAX: Duration = Duration::from_secs(30);
/// Time for the last messages of an open loop; those that take longer are counted as missing.
const ARRIVE_MAX: Duration = Duration::from_secs(10);
/// The schedule of an open loop begins so long after the target: time to start, or the first messages would be late by it
/// and a target's own latencies would hold that for good.
const START_AHEAD: Duration = Duration::from_secs(3);
/// Exit code of a target that had to be killed, as shells write it: 128 and the signal's number.
const KILLED: i32 = 137;
/// Time over which system calls are counted.
const SYSCALLS_TIME: Duration = Duration::from_secs(2);

/// What all runs of a call share.
pub(crate) struct Stage<'a> {
    /// Root of the project.
    pub(crate) root: PathBuf,
    /// Folder of the built programs.
    pub(crate) programs: PathBuf,
    /// Folder for logs and generated files.
    pub(crate) scratch: PathBuf,
    /// Cores.
    pub(crate) cores: Cores,
    /// Parameters.
    pub(crate) workload: Workload,
    /// `--set` of Millrace.
    pub(crate) settings: Vec<String>,
    /// Installed Vector.
    pub(crate) vector: Option<PathBuf>,
    /// The real broker, if there is one.
    pub(crate) broker: Option<&'a Broker>,
    /// Count system calls after the window.
    pub(crate) syscalls: bool,
}

/// All counters at one moment.
struct Sample {
    at: Instant,
    ledger_ns: u64,
    sent: u64,
    queued: u64,
    target: Usage,
    servers_us: u64,
    target_cores_us: u64,
    wires: Option<Wires>,
}

/// A run under way.
struct Run<'a> {
    stage: &'a Stage<'a>,
    target: Target,
    world: World<'a>,
    bodies: Arc<Bodies>,
    progress: Arc<Progress>,
    program: Program,
    /// Where Millrace shows its pages.
    pages_port: u16,
    feed: Feed,
    /// The one that reads while the target runs.
    reader: Option<Reader>,
}

/// System calls a second, and when they were counted by the SQS server's clock.
struct Counted {
    per_second: f64,
    counter: syscalls::Counter,
    from_ns: u64,
    to_ns: u64,
}

/// Measures a target once. `serial` names its topic and files.
///
/// # Errors
/// It did not start, ended early, or the ledgers could not be read.
pub(crate) fn measure(stage: &Stage<'_>, target: Target, serial: u64) -> Result<Measured> {
    target.ensure_able(&stage.workload)?;
    let mut run = Run::start(stage, target, serial)?;
    run.warm_up()?;
    // A Millrace without its page, or with another, is still measured.
    let account = |port| (target == Target::Millrace).then(|| stages::read(port).ok()).flatten();
    let account_before = account(run.pages_port);
    let before = run.sample()?;
    // The last number that is surely planned before the window.
    run.progress.measured_from.get_or_init(|| before.sent);
    let rss_tenths_bytes = run.watch_window()?;
    let after = run.sample()?;
    run.progress.measured_to.get_or_init(|| after.sent);
    let account_after = account(run.pages_port);
    let counted = if stage.syscalls { run.count_syscalls() } else { None };
    let mut measured = run.finish(&before, &after, counted.as_ref())?;
    measured.rss_tenths_bytes = rss_tenths_bytes;
    measured.stages_us = account_after.zip(account_before).map(|(after, before)| after.since(&before));
    Ok(measured)
}

impl<'a> Run<'a> {
    fn start(stage: &'a Stage<'a>, target: Target, serial: u64) -> Result<Run<'a>> {
        let workload = &stage.workload;
        let world = World::start(workload, stage.broker, &stage.scratch, serial)?;
        let bodies = Arc::new(Bodies::new(
            workload.seed,
            workload.body_bytes() as usize,
            usize::from(workload.attributes),
        ));
        let progress = Arc::new(Progress::default());
        // A real broker keeps everything: it is read after the window, so that the reader costs the servers nothing.
        let reads_along = workload.rate.is_some() || world.kafka() == KafkaKind::Mock;
        let brief = brief(stage, &world, &bodies);
        let reader = reads_along.then(|| Reader::start(brief, Arc::clone(&progress))).transpose()?;
        let plan = feed::Plan {
            workload: workload.clone(),
            bodies: Arc::clone(&bodies),
            queue: world.queue,
            // What `limit` produces is not what was sent: its reader never catches up with the feed.
            waits_for_reader: reads_along && target.is_pump(),
        };
        let feed = || Feed::start(plan, Arc::clone(&world.sqs), Arc::clone(&progress));
        let [pages_port] = free_ports()?;
        let start = || start_program(stage, target, &world, pages_port, serial);
        let (program, feed) = if workload.rate.is_some() {
            let program = start()?;
            std::thread::sleep(START_AHEAD);
            (program, feed()?)
        } else {
            let feed = feed()?;
            wait_for_backlog(&feed, &progress)?;
            (start()?, feed)
        };
        Ok(Run { stage, target, world, bodies, progress, program, pages_port, feed, reader })
    }

    /// Until messages flow, and the time that was asked for beyond.
    fn warm_up(&mut self) -> Result<()> {
        let end = Instant::now() + FIRST_DELETE_MAX;
        // In this order: what is stored between the two looks must not seem deleted.
        while self.progress.stored.load(Ordering::Acquire) <= self.world.queued() {
            self.program.ensure_running()?;
            ensure!(
                Instant::now() < end,
                "{} deleted nothing within {FIRST_DELETE_MAX:?}:\n{}",
                self.target.name(),
                self.program.tail()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        self.watch(Duration::from_secs(self.stage.workload.warmup))
    }

    /// Lets time pass; an end of target or feed ends the run.
    fn watch(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            self.program.ensure_running()?;
            ensure!(!self.feed.has_ended(), "the feed ended early");
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
    }

    /// Lets the window pass; what was resident at the ends of its tenths.
    fn watch_window(&mut self) -> Result<Vec<u64>> {
        let tenth = self.stage.workload.window() / 10;
        (0..10)
            .map(|_| {
                self.watch(tenth)?;
                Ok(usage::rss_bytes(self.program.id()))
            })
            .collect()
    }

    fn sample(&self) -> Result<Sample> {
        // `ss` costs some milliseconds of the servers' core: outside of the window on both sides.
        let wires = Wires::read(self.program.id());
        let broker = self.stage.broker.map(|broker| Usage::read(broker.id())).transpose()?;
        Ok(Sample {
            wires,
            sent: self.progress.sent.load(Ordering::Acquire),
            queued: self.world.queued(),
            target_cores_us: usage::cores_busy_us(&self.stage.cores.target)?,
            servers_us: Usage::read(std::process::id())?.cpu_us() + broker.map_or(0, |usage| usage.cpu_us()),
            target: Usage::read(self.program.id()).context("the target is gone")?,
            ledger_ns: self.world.sqs.now_ns(),
            at: Instant::now(),
        })
    }

    /// While the load goes on.
    fn count_syscalls(&self) -> Option<Counted> {
        let from_ns = self.world.sqs.now_ns();
        let (per_second, counter) = syscalls::per_second(self.program.id(), SYSCALLS_TIME)?;
        Some(Counted { per_second, counter, from_ns, to_ns: self.world.sqs.now_ns() })
    }

    /// Ends everything in order and puts the figures together.
    fn finish(mut self, before: &Sample, after: &Sample, counted: Option<&Counted>) -> Result<Measured> {
        let fed = self.feed.stop()?;
        if self.stage.workload.rate.is_some() {
            wait_for_arrivals(&self.progress, after.sent);
        }
        let rss_peak_bytes = usage::rss_peak_bytes(self.program.id());
        let status = self.program.end(END_MAX)?;
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => Reader::start(brief(self.stage, &self.world, &self.bodies), Arc::clone(&self.progress))?,
        };
        let findings = reader.finish()?;
        let ledger = self.world.sqs.take_ledger();
        let messages = verdict::deleted_within(&ledger, before.ledger_ns, after.ledger_ns);
        ensure!(messages > 0, "{} deleted nothing within the window", self.target.name());
        let epoch_ns = (self.world.kafka() == KafkaKind::Real).then_some(self.world.epoch_ns);
        let checks = self.target.is_pump().then(|| verdict::compare(&ledger, &fed.ids, &findings, epoch_ns));
        let mut measured = figures(self.stage, before, after, messages);
        measured.wires = wires(before, after, self.world.sqs.address().port());
        measured.rss_peak_bytes = rss_peak_bytes;
        measured.exit_code = status.map_or(Some(KILLED), |status| status.code());
        measured.checks = checks;
        measured.syscalls = counted.map(|counted| {
            let deleted = verdict::deleted_within(&ledger, counted.from_ns, counted.to_ns).max(1) as f64;
            let messages_per_s =
                deleted / Duration::from_nanos(counted.to_ns - counted.from_ns).as_secs_f64();
            Syscalls { per_message: counted.per_second / messages_per_s, counter: counted.counter }
        });
        if self.stage.workload.rate.is_some() {
            measured.latency = Some(latency(before, after, &findings, &fed)?);
        }
        Ok(measured)
    }
}

fn start_program(
    stage: &Stage<'_>,
    target: Target,
    world: &World<'_>,
    pages_port: u16,
    serial: u64,
) -> Result<Program> {
    let launch = target.launch(&Job {
        root: &stage.root,
        programs: &stage.programs,
        folder: &stage.scratch,
        endpoint: &world.sqs.endpoint(),
        queue_url: &world.sqs.queue_url(world.queue),
        ca: world.ca.as_deref(),
        bootstrap: &world.bootstrap,
        topic: &world.topic,
        workload: &stage.workload,
        pages_port,
        cores: stage.cores.target.len(),
        settings: &stage.settings,
        vector: stage.vector.as_deref(),
    })?;
    let name = format!("{serial}-{}", target.name());
    Program::start(&name, &stage.scratch, &launch, &stage.cores.target, &stage.cores.servers)
}

fn wait_for_backlog(feed: &Feed, progress: &Progress) -> Result<()> {
    let end = Instant::now() + FILL_MAX;
    while !progress.filled.load(Ordering::Acquire) && !feed.has_ended() {
        ensure!(Instant::now() < end, "the backlog was not filled within {FILL_MAX:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn brief(stage: &Stage<'_>, world: &World<'_>, bodies: &Arc<Bodies>) -> Brief {
    Brief {
        workload: stage.workload.clone(),
        kafka: world.kafka(),
        bootstrap: world.bootstrap.clone(),
        topic: world.topic.clone(),
        bodies: Arc::clone(bodies),
    }
}

fn wait_for_arrivals(progress: &Progress, wanted: u64) {
    let end = Instant::now() + ARRIVE_MAX;
    while progress.unique.load(Ordering::Acquire) < wanted && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn figures(stage: &Stage<'_>, before: &Sample, after: &Sample, messages: u64) -> Measured {
    let window = after.at - before.at;
    let spent = after.target.since(&before.target);
    let per_message = |count: u64| count as f64 / messages as f64;
    let share = |used_us: u64, cores: usize| used_us as f64 / (window.as_micros() as f64 * cores as f64);
    let (cores, server_cores) = (stage.cores.target.len(), stage.cores.servers.len());
    let others_us = (after.target_cores_us - before.target_cores_us).saturating_sub(spent.cpu_us());
    Measured {
        window_s: window.as_secs_f64(),
        messages,
        messages_per_s: messages as f64 / window.as_secs_f64(),
        user_us: per_message(spent.user_us),
        system_us: per_message(spent.system_us),
        cpu_us: per_message(spent.cpu_us()),
        threads_us: spent
            .threads_ns
            .iter()
            .map(|(name, ns)| (name.clone(), per_message(*ns) / 1000.0))
            .collect(),
        voluntary_switches: per_message(spent.voluntary),
        involuntary_switches: per_message(spent.involuntary),
        rss_peak_bytes: 0,
        rss_tenths_bytes: Vec::new(),
        target_busy: share(spent.cpu_us(), cores),
        servers_busy: share(after.servers_us.saturating_sub(before.servers_us), server_cores),
        foreign_busy: share(others_us, cores),
        wires: None,
        topped_up: after.sent - before.sent,
        exit_code: None,
        checks: None,
        latency: None,
        syscalls: None,
        stages_us: None,
    }
}

/// Bytes a message, over the messages deleted between the two looks at the connections.
fn wires(before: &Sample, after: &Sample, sqs_port: u16) -> Option<PerMessage> {
    let (sqs, kafka) = after.wires.as_ref()?.since(before.wires.as_ref()?, sqs_port);
    let deleted = |sample: &Sample| sample.sent.saturating_sub(sample.queued);
    let messages = deleted(after).saturating_sub(deleted(before)).max(1) as f64;
    Some(PerMessage {
        sqs_sent: sqs.sent as f64 / messages,
        sqs_received: sqs.received as f64 / messages,
        kafka_sent: kafka.sent as f64 / messages,
        kafka_received: kafka.received as f64 / messages,
    })
}

fn latency(before: &Sample, after: &Sample, findings: &Findings, fed: &Fed) -> Result<Latency> {
    let histogram = &findings.latency_us;
    let percentiles = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("p99.99", 99.99)];
    let mut percentiles_ms: std::collections::BTreeMap<String, f64> = percentiles
        .iter()
        .map(|(name, at)| ((*name).to_owned(), histogram.value_at_percentile(*at) as f64 / 1000.0))
        .collect();
    percentiles_ms.insert("max".to_owned(), histogram.max() as f64 / 1000.0);
    Ok(Latency {
        arrived: histogram.len(),
        missing: (after.sent - before.sent).saturating_sub(histogram.len()),
        percentiles_ms,
        feed_late_ms_max: fed.late_max.as_secs_f64() * 1000.0,
        histogram: encoded(histogram)?,
    })
}

fn encoded(histogram: &Histogram<u64>) -> Result<String> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(histogram, &mut bytes).context("the histogram cannot be encoded")?;
    Ok(base64::engine::general_purpose::STANDARD.encode(bytes))
}
