//! The verb `run`: preflight, start, AWS side, HTTP door, signals, drain.
//!
//! Reads top-down as the list of what is wired. Nothing ends the process but a signal, a shard's death or a
//! configuration that cannot work: an unreachable SQS or Kafka means "not ready", with a reason.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dataplane::config::Config;
use dataplane::control::Command;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::api::Ctx;
use crate::appliance::{self, Appliance, Commands};
use crate::board::{Board, Phase};
use crate::cli::Global;
use crate::configs::Configs;
use crate::exit::{self, Failure};
use crate::fleet::Gate;
use crate::http::Door;
use crate::settings::Loaded;
use crate::supply::{self, Accesses, Supply};
use crate::watch::Watch;
use crate::{fit, logs, process, serve, snapshot, supervisor};

/// Runs the appliance until a signal ends it.
///
/// # Errors
/// Why it could not start.
pub(crate) fn run(loaded: Loaded, port_file: Option<&Path>, global: &Global) -> Result<u8, Failure> {
    let _logs = logs::start(global);
    process::no_core_dumps();
    let Loaded { mut config, origin, sources } = loaded;
    let as_read = config.clone();
    let door = Door::bind(&config.api)?;
    let store = serve::store(&config.api);
    let accounts = serve::accounts(&config.api, &store)?;
    let placement = Appliance::preflight(&config)?;
    fit::fit_batches(&mut config);
    runtime()?.block_on(async {
        let accesses = accesses(&mut config).await?;
        let config = Arc::new(config);
        // Rules and receivers that cannot work are told before anything is received.
        let watched = Watch::new(Arc::clone(&config), store.clone()).await?;
        let gate = config.door.as_ref().map(Gate::bind).transpose()?;
        let appliance = Appliance::start(&config, &placement)?;
        let (address, url) = (door.address(), door.url());
        tracing::info!(
            event = "started", version = env!("CARGO_PKG_VERSION"), config = origin, shards = placement.cores.len(),
            cores = ?placement.cores, kernel = placement.kernel, pipelines = config.pipeline.len(), listen = %address,
            door = gate.as_ref().map(Gate::address), "millrace is up; {url} shows its figures"
        );
        appliance::write_port(port_file, address.port())?;
        let (commands, receiver) = Appliance::channel();
        let supply = supply(accesses, &appliance, &commands);
        let board = Arc::clone(appliance.board());
        let configs =
            Configs::new(as_read, Some(sources), Arc::clone(&board), commands.clone()).with(supply);
        if let Some(gate) = gate {
            tokio::spawn(gate.serve(configs.clone(), Arc::clone(&board), commands.clone()));
        }
        let ctx = Ctx::new(configs, Arc::clone(&board), commands.clone(), store, accounts, watched, None);
        serve::begin(&ctx, &url, global.log_format()).await;
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(door.serve(ctx.clone(), stopped));
        let aborted = Arc::new(AtomicBool::new(false));
        let reload = move || drop(tokio::spawn(serve::reload(ctx.clone())));
        tokio::spawn(obey_signals(signals()?, commands, board, reload, Arc::clone(&aborted)));
        appliance.tend(receiver).await;
        let _last_answers = stop.send(true);
        let _closed = serving.await;
        Ok(finish(appliance, &aborted))
    })
}

/// The runtime beside the shards, and that of a control plane alone.
///
/// # Errors
/// The process is out of descriptors. Exit code 78.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    // One thread: the work is small, and a second one would only find a shard's core.
    Builder::new_current_thread().enable_all().build().map_err(|error| {
        Failure::config(format!("the runtime cannot start: {error}"), "raise the limit of descriptors")
    })
}

/// How AWS is reached for each pipeline.
///
/// # Errors
/// A region or a profile that cannot be found. Exit code 78.
pub(crate) async fn accesses(config: &mut Config) -> Result<Accesses, Failure> {
    let mut accesses = Vec::new();
    for pipeline in &mut config.pipeline {
        accesses.push((pipeline.name.clone(), supply::access(&mut pipeline.queue).await?));
    }
    Ok(accesses)
}

/// Keeps every pipeline in credentials and queue facts, and systemd in the picture.
pub(crate) fn supply(accesses: Accesses, appliance: &Appliance, commands: &Commands) -> Supply {
    tokio::spawn(supervisor::tell(Arc::clone(appliance.board())));
    let supply = Supply::of(appliance, commands.clone());
    supply.keep(accesses);
    supply
}

/// Tells the totals, waits for the shards' threads, and gives the exit code.
pub(crate) fn finish(appliance: Appliance, aborted: &AtomicBool) -> u8 {
    let totals = snapshot::take(&appliance.board().view()).totals;
    tracing::info!(
        event = "ended",
        received = totals.received,
        delivered = totals.delivered,
        rejected = totals.rejected,
        filtered = totals.filtered,
        released = totals.released,
        lease_lost = totals.lease_lost,
        "the data plane has ended"
    );
    let code = appliance::exit_code(&appliance.end());
    if aborted.load(Ordering::Relaxed) { exit::INTERRUPTED } else { code }
}

/// The signals that are obeyed.
pub(crate) struct Signals {
    pub(crate) terminate: Signal,
    pub(crate) interrupt: Signal,
    pub(crate) hang_up: Signal,
    pub(crate) user: Signal,
}

/// Catches the signals.
///
/// # Errors
/// The kernel refuses: a bug.
pub(crate) fn signals() -> Result<Signals, Failure> {
    let listen =
        |kind| signal(kind).map_err(|error| Failure::bug(format!("a signal cannot be caught: {error}")));
    Ok(Signals {
        terminate: listen(SignalKind::terminate())?,
        interrupt: listen(SignalKind::interrupt())?,
        hang_up: listen(SignalKind::hangup())?,
        user: listen(SignalKind::user_defined1())?,
    })
}

/// TERM and INT: drain, then leave. HUP: read the configuration again. USR1: a snapshot into the log.
pub(crate) async fn obey_signals(
    mut signals: Signals,
    commands: Commands,
    board: Arc<Board>,
    reload: impl Fn(),
    aborted: Arc<AtomicBool>,
) {
    let mut asked = false;
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => {}
            _ = signals.interrupt.recv() => {}
            _ = signals.hang_up.recv() => {
                // Beside the signals: it waits for the shards.
                reload();
                continue;
            }
            _ = signals.user.recv() => {
                log_snapshot(&board);
                continue;
            }
        }
        board.enter(Phase::Draining);
        let command = if asked {
            aborted.store(true, Ordering::Relaxed);
            tracing::warn!(event = "abort", "second signal: what is held goes back to the queue now");
            Command::Abort
        } else {
            tracing::info!(event = "drain", "signal: not ready, receiving stops, what is held is finished");
            Command::Drain
        };
        asked = true;
        // The receiver is gone only when the process ends anyway.
        let _ending = commands.send(command).await;
    }
}

/// Writes the figures of this moment into the log.
pub(crate) fn log_snapshot(board: &Board) {
    match serde_json::to_string(&snapshot::take(&board.view())) {
        Ok(figures) => tracing::info!(event = "snapshot", snapshot = figures, "figures of this moment"),
        Err(error) => tracing::warn!(event = "snapshot", %error, "the figures could not be written"),
    }
}
