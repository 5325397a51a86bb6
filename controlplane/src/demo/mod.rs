//! The verb `demo`: the whole job in one process, proved message by message.
//!
//! An embedded SQS server and librdkafka's mock cluster stand in for the other sides; the pump is the real one. An
//! independent reader consumes everything back and compares it with what was sent. Reads top-down as what happens.

mod causes;
mod chaos;
mod generator;
mod outcome;
mod reader;
mod seen;
mod view;
mod world;

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bench::load::Bodies;
use dataplane::config::{Api, Config, DeadLetter, Pipeline, Shards, Time, TypeRule};
use dataplane::control::{Command, Credentials, QueueFacts};
use dataplane::start::{End, Placement};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use self::causes::Stories;
use self::generator::{Generator, Load};
use self::outcome::{Edge, Outcome, Readback, Totals, Window};
use self::reader::{Brief, Findings, Progress, Reader};
use self::view::{Moment, Scene};
use self::world::World;
use crate::api::Ctx;
use crate::appliance::{self, Appliance, Commands};
use crate::board;
use crate::cli::{DemoArgs, Global, LogFormat, Output};
use crate::configs::Configs;
use crate::exit::{self, Failure};
use crate::http::Door;
use crate::store::Store;
use crate::watch::Watch;
use crate::{cores, logs, process, serve, snapshot, term};

pub(crate) use chaos::Chaos;

/// Name of the demo's pipeline.
const PIPELINE: &str = "demo";
/// Address of the page unless --listen names one; another port if this one is taken.
const LISTEN: &str = "127.0.0.1:8080";
/// Time from the start to the first delivered message.
const START_MAX: Duration = Duration::from_secs(30);
/// Warm-up before the measuring window.
const WARM_UP: Duration = Duration::from_secs(2);
/// Window of `--no-wait` without `--for`.
const SHORT: Duration = Duration::from_secs(10);
/// Without any progress for so long, what is missing will not come.
const STALL_MAX: Duration = Duration::from_secs(45);
/// How often the live view and the ledger are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often a new report is looked for at an edge of the window.
const EDGE_LOOK: Duration = Duration::from_millis(20);

/// Runs the demo.
///
/// # Errors
/// Why it could not start or come to an end.
pub(crate) fn run(args: &DemoArgs, global: &Global) -> Result<u8, Failure> {
    let _logs = logs::start(&global.quieter());
    let door = door(args)?;
    let mut config = config(args);
    let placement = Appliance::preflight(&config)?;
    for warning in &placement.warnings {
        term::note(&format!("millrace: warning: {warning}"));
    }
    let outside = cores::left_by(&placement);
    let world = World::start(args, &outside)?;
    config.pipeline.push(pipeline(args, &world));
    if let Some(problem) = config.problems().first() {
        return Err(Failure::config(problem.to_string(), ""));
    }
    let appliance = Appliance::start(&config, &placement)?;
    appliance::write_port(args.serve.port_file.as_deref(), door.address().port())?;
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Failure::config(format!("the runtime cannot start: {error}"), "raise ulimit -n"))?;
    let stage = Stage {
        args,
        config: Arc::new(config),
        placement: &placement,
        world: &world,
        appliance: &appliance,
        live: live(global),
        log_format: global.log_format(),
    };
    let performed = runtime.block_on(stage.perform(door, outside))?;
    let end = appliance.end();
    let code = conclude(args, global, &placement, performed, &end);
    world.end();
    code
}

fn live(global: &Global) -> bool {
    std::io::stdout().is_terminal() && global.output() == Output::Text
}

fn door(args: &DemoArgs) -> Result<Door, Failure> {
    match args.serve.listen {
        Some(address) => Door::bind(&at(&address.to_string())),
        None => Door::bind(&at(LISTEN)).or_else(|_| Door::bind(&at("127.0.0.1:0"))),
    }
}

fn at(listen: &str) -> Api {
    Api { listen: listen.to_owned(), ..Api::default() }
}

/// Shards on all cores but one, which the servers, the load and the reader need.
fn config(args: &DemoArgs) -> Config {
    let shards = Shards { count: args.serve.shards, reserve_cores: 1, ..Shards::default() };
    let api = args.serve.listen.map(|address| at(&address.to_string())).unwrap_or_default();
    Config { shards, api, ..Config::default() }
}

fn pipeline(args: &DemoArgs, world: &World) -> Pipeline {
    let brokers: Vec<&str> = world.brokers.split(',').collect();
    let mut pipeline = Pipeline::new(PIPELINE, &world.server.queue_url(world.queue), &brokers, world::TOPIC);
    pipeline.queue.region = Some("us-east-1".to_owned());
    // The end waits for the last long poll.
    pipeline.queue.wait_time = Time::from_secs(2);
    pipeline.type_rule = TypeRule::JsonPointer { pointer: "/type".to_owned() };
    pipeline.dead_letter = Some(DeadLetter { topic: world::DEAD_LETTERS.to_owned() });
    if args.size > 64 << 10 {
        pipeline.kafka.batch_bytes_max = dataplane::config::Bytes(4 << 20);
    }
    pipeline
}

/// What came out of the performance.
struct Performed {
    window: Option<Window>,
    sent: u64,
    findings: Findings,
    stories: Stories,
    counters: dataplane::stats::Counters,
    held_back: Duration,
    aborted: bool,
    trouble: Option<String>,
}

/// Everything that plays.
struct Stage<'a> {
    args: &'a DemoArgs,
    config: Arc<Config>,
    placement: &'a Placement,
    world: &'a World,
    appliance: &'a Appliance,
    live: bool,
    log_format: LogFormat,
}

/// What the conductor leaves when the pump has been told to end.
struct Played {
    window: Option<Window>,
    held_back: Duration,
    trouble: Option<String>,
}

impl Stage<'_> {
    async fn perform(&self, door: Door, outside: Vec<u16>) -> Result<Performed, Failure> {
        let address = door.address().to_string();
        let (commands, receiver) = Appliance::channel();
        introduce(&commands, self.args.fifo.is_some()).await;
        // Nothing of a demo outlives it: users and keys neither.
        let store = Store::in_memory();
        let accounts = serve::accounts(&self.config.api, &store)?;
        let board = Arc::clone(self.appliance.board());
        let watched = Watch::new(Arc::clone(&self.config), store.clone()).await?;
        let configs = Configs::new((*self.config).clone(), None, Arc::clone(&board), commands.clone());
        let ctx = Ctx::new(configs, board, commands.clone(), store, accounts, watched, None);
        serve::begin(&ctx, &door.url(), self.log_format).await;
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(door.serve(ctx, stopped));
        let progress = Arc::new(Progress::default());
        let bodies = Arc::new(Bodies::new(self.args.seed, self.args.size as usize, 0));
        let brief = Brief {
            brokers: self.world.brokers.clone(),
            bodies: Arc::clone(&bodies),
            groups: self.args.fifo,
            cores: outside.clone(),
        };
        let reader = Reader::start(brief, Arc::clone(&progress))?;
        let load = Load {
            bodies,
            body_bytes: u64::from(self.args.size),
            rate: self.args.rate,
            groups: self.args.fifo,
            queue: self.world.queue,
            cores: outside,
        };
        let generator = Generator::start(load, Arc::clone(&self.world.server), Arc::clone(&progress))?;
        if self.live {
            term::out(&self.scene(&address).header());
            term::out(&"\n".repeat(view::LIVE_LINES));
        } else {
            term::note(self.scene(&address).header().trim_end());
        }
        let mut stories = Stories::default();
        let aborted = std::cell::Cell::new(false);
        let (played, ()) = tokio::join!(
            self.conduct(generator, &progress, &mut stories, &commands, &aborted),
            self.appliance.tend(receiver),
        );
        let counters = snapshot::totals(&self.appliance.board().view(), PIPELINE);
        let findings = reader.finish();
        stories.read(&self.world.server.take_ledger());
        let _last_answers = stop.send(true);
        let _closed = serving.await;
        Ok(Performed {
            window: played.window,
            sent: progress.sent.load(Ordering::Acquire),
            findings,
            stories,
            counters,
            held_back: played.held_back,
            aborted: aborted.get(),
            trouble: played.trouble,
        })
    }

    fn scene<'a>(&'a self, address: &'a str) -> Scene<'a> {
        Scene {
            address,
            sqs: self.world.server.endpoint(),
            brokers: world::BROKERS,
            cores: &self.placement.cores,
            memlock_bytes: self.placement.memlock_bytes,
        }
    }

    /// Leads from the first message to the command that ends the pump. A second signal ends all at once.
    async fn conduct(
        &self,
        generator: Generator,
        progress: &Progress,
        stories: &mut Stories,
        commands: &Commands,
        aborted: &std::cell::Cell<bool>,
    ) -> Played {
        let mut window = None;
        let mut trouble = None;
        let mut held_back = Duration::ZERO;
        let play = async {
            let measured = self.measure(progress, stories).await;
            held_back = generator.held_back();
            let stopped = generator.stop();
            self.world.calm();
            match measured {
                Ok(measured) => window = Some(measured),
                Err(text) => trouble = Some(text),
            }
            trouble = trouble.take().or(stopped.err());
            if trouble.is_none() {
                trouble = self.finish(progress, stories).await.err();
            }
        };
        tokio::select! {
            () = play => {
                // The receiver lives as long as the pump is tended, which is until this arrives.
                let _ended = commands.send(Command::Drain).await;
            }
            () = second_signal() => {
                aborted.set(true);
                let _ended = commands.send(Command::Abort).await;
            }
        }
        Played { window, held_back, trouble }
    }

    /// Waits for the first messages, then measures until the time is up or a signal comes.
    async fn measure(&self, progress: &Progress, stories: &mut Stories) -> Result<Window, String> {
        let began = Instant::now();
        while snapshot::totals(&self.appliance.board().view(), PIPELINE).delivered == 0 {
            if began.elapsed() > START_MAX || self.appliance.is_finished() {
                return Err(format!(
                    "nothing was delivered within {} s: {}",
                    START_MAX.as_secs(),
                    self.reason()
                ));
            }
            sleep(Duration::from_millis(100)).await;
        }
        sleep(WARM_UP).await;
        let begin = self.edge().await;
        let length = self.args.duration.or(self.args.no_wait.then_some(SHORT));
        let until = length.map(|length| Instant::now() + length);
        let signal = first_signal();
        tokio::pin!(signal);
        let mut before = (Instant::now(), 0);
        loop {
            let left = until.map_or(LOOK, |until| until.duration_since(Instant::now()).min(LOOK));
            tokio::select! {
                () = sleep(left) => {}
                () = &mut signal => break,
            }
            if self.appliance.is_finished() {
                return Err(format!("the data plane ended: {}", self.reason()));
            }
            stories.read(&self.world.server.take_ledger());
            let elapsed = began.elapsed().as_secs();
            self.draw(
                progress,
                &mut before,
                format!(
                    "running {elapsed} s{}",
                    if until.is_none() { ", Ctrl-C ends and proves" } else { "" }
                ),
            );
            if until.is_some_and(|until| Instant::now() >= until) {
                break;
            }
        }
        let end = self.edge().await;
        Ok(Window::between(&begin, &end))
    }

    /// Waits until the queue is empty and everything is read back, or nothing moves any more.
    async fn finish(&self, progress: &Progress, stories: &mut Stories) -> Result<(), String> {
        let mut before = (Instant::now(), 0);
        let mut moved = (Instant::now(), (0, 0));
        loop {
            let depth = self.world.server.depth(self.world.queue).unwrap_or_default();
            let held = depth.visible + depth.in_flight + depth.delayed;
            let unique = progress.unique.load(Ordering::Acquire);
            if held == 0 && unique >= progress.sent.load(Ordering::Acquire) {
                return Ok(());
            }
            if moved.1 != (held, unique) {
                moved = (Instant::now(), (held, unique));
            } else if moved.0.elapsed() > STALL_MAX {
                return Err(format!(
                    "nothing moves any more: {held} messages in the queue, {unique} read back; {}",
                    self.reason()
                ));
            }
            if self.appliance.is_finished() {
                return Err(format!("the data plane ended: {}", self.reason()));
            }
            sleep(Duration::from_millis(50)).await;
            if before.0.elapsed() >= LOOK {
                stories.read(&self.world.server.take_ledger());
                self.draw(progress, &mut before, "the load has ended; reading the rest back".to_owned());
            }
        }
    }

    /// Waits until every shard has published anew, and takes CPU time at that moment.
    async fn edge(&self) -> Edge {
        let at = |reports: &[dataplane::control::ShardReport]| {
            reports.iter().map(|report| report.at_ns).collect::<Vec<_>>()
        };
        let before = at(&self.appliance.reports());
        loop {
            sleep(EDGE_LOOK).await;
            let reports = self.appliance.reports();
            let fresh = reports.len() == self.placement.cores.len()
                && at(&reports).iter().zip(&before).all(|(now, before)| now > before);
            if fresh || self.appliance.is_finished() {
                return Edge { reports, cpu_ns: self.appliance.cpu_ns() };
            }
        }
    }

    /// Shows how deep the queue is, as the AWS side of `run` would; the embedded server bills no request for it.
    fn measure_queue(&self) {
        let depth = self.world.server.depth(self.world.queue).unwrap_or_default();
        let [visible, in_flight, delayed] =
            [depth.visible, depth.in_flight, depth.delayed].map(|messages| messages as u64);
        self.appliance.board().depth(PIPELINE, board::Depth { visible, in_flight, delayed });
    }

    fn draw(&self, progress: &Progress, before: &mut (Instant, u64), doing: String) {
        self.measure_queue();
        let view = self.appliance.board().view();
        let delivered = snapshot::totals(&view, PIPELINE).delivered;
        let seconds = before.0.elapsed().as_secs_f64().max(1e-3);
        let rate = if before.1 == 0 { 0.0 } else { (delivered - before.1) as f64 / seconds };
        *before = (Instant::now(), delivered);
        if !self.live {
            return;
        }
        let moment = Moment {
            sent: progress.sent.load(Ordering::Acquire),
            unique: progress.unique.load(Ordering::Acquire),
            records: progress.records.load(Ordering::Acquire),
            rate,
            doing,
        };
        let lines = view::live(&view, PIPELINE, &moment).replace('\n', "\x1b[K\n");
        term::out(&format!("\x1b[{}A{lines}", view::LIVE_LINES));
    }

    fn reason(&self) -> String {
        let view = self.appliance.board().view();
        let reasons: Vec<String> =
            crate::health::ready(&view).into_iter().filter_map(|check| check.trouble).collect();
        if reasons.is_empty() { "the pump says that all is well".to_owned() } else { reasons.join("; ") }
    }
}

/// Gives the pump what the AWS side of `run` would: the embedded server takes any credentials.
async fn introduce(commands: &Commands, fifo: bool) {
    let credentials = Credentials {
        access_key: "demo".to_owned(),
        secret_key: "demo".to_owned().into(),
        session_token: None,
    };
    let facts = QueueFacts {
        fifo,
        visibility_timeout_s: world::VISIBILITY_S,
        receive_count_max: None,
        message_bytes_max: 1 << 20,
    };
    let pipeline = PIPELINE.to_owned();
    // Both fit into the channel, whose receiver is not gone yet.
    let _sent = commands.send(Command::Credentials { pipeline: pipeline.clone(), credentials }).await;
    let _sent = commands.send(Command::QueueFacts { pipeline, facts }).await;
}

/// Waits for Ctrl-C or SIGTERM.
async fn first_signal() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Waits for the second of them.
async fn second_signal() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    for _ in 0..2 {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

/// Judges, shows and writes what came out; gives the exit code.
fn conclude(
    args: &DemoArgs,
    global: &Global,
    placement: &Placement,
    performed: Performed,
    end: &End,
) -> Result<u8, Failure> {
    if performed.aborted {
        return Ok(exit::INTERRUPTED);
    }
    let outcome = judge(args, placement, performed, end);
    let json = serde_json::to_string_pretty(&outcome).map_err(|error| Failure::bug(error.to_string()))?;
    if let Some(file) = &args.json {
        std::fs::write(file, format!("{json}\n")).map_err(|error| {
            Failure::config(format!("--json {}: {error}", file.display()), "name a file in a writable folder")
        })?;
    }
    match global.output() {
        Output::Json => term::line(&json),
        Output::Text => term::out(&view::block(&outcome)),
    }
    Ok(if outcome.proved { exit::OK } else { exit::CHECK_FAILED })
}

fn judge(args: &DemoArgs, placement: &Placement, performed: Performed, end: &End) -> Outcome {
    let Performed { window, sent, findings, stories, counters, held_back, trouble, .. } = performed;
    let totals = Totals::of(&counters);
    let duplicate_causes = stories.explain(&findings.duplicate_list, findings.duplicates, &counters);
    let mut failures = outcome::failures(sent, &totals, &findings, &duplicate_causes);
    failures.extend(trouble);
    match end {
        End::Drained => {}
        End::DeadlinePassed { released } => {
            failures.push(format!("the drain's deadline passed with {released} messages held"));
        }
        End::Failed { text } => failures.push(text.clone()),
    }
    let window = window.unwrap_or_else(Window::empty);
    Outcome {
        proved: failures.is_empty(),
        failures,
        seconds: window.seconds,
        shards: placement.cores.len(),
        cores: placement.cores.clone(),
        sent,
        totals,
        messages_per_second: window.per_second(),
        cpu_us_per_message: window.cpu_us_per_message(),
        readback: Readback {
            records: findings.records,
            missing: sent.saturating_sub(findings.unique),
            duplicates: findings.duplicates,
            out_of_order: findings.out_of_order,
            corrupt: findings.corrupt,
            overrun: findings.overrun,
        },
        duplicate_causes,
        latency_us: window.latency_us,
        rss_peak_bytes: process::usage().rss_peak_bytes,
        held_back_s: held_back.as_secs_f64(),
        seed: args.seed,
        size: args.size,
        rate: match args.rate {
            bench::load::Rate::Max => "max".to_owned(),
            bench::load::Rate::PerSecond(rate) => rate.to_string(),
        },
        fifo: args.fifo,
        chaos: args.chaos.iter().map(|chaos| chaos.name()).collect(),
        version: env!("CARGO_PKG_VERSION"),
        commit: env!("MILLRACE_COMMIT"),
    }
}
