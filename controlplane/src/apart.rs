//! The verbs `dataplane` and `controlplane`: the two planes as separate processes.
//!
//! A data plane needs nobody: it fetches its own credentials, obeys its own signals and works by its own file. A control
//! plane holds what `run` has beside the shards, and may die and come back at any time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use dataplane::config::Config;
use tokio::sync::watch;

use crate::api::Ctx;
use crate::appliance::{self, Appliance};
use crate::board::Board;
use crate::cli::Global;
use crate::configs::Configs;
use crate::exit::{self, Failure};
use crate::fleet::{Fleet, Gate};
use crate::http::Door;
use crate::settings::Loaded;
use crate::watch::Watch;
use crate::{fit, logs, process, run, serve};

/// Runs the shards until a signal or an order ends them.
///
/// # Errors
/// Why it could not start.
pub(crate) fn dataplane(loaded: Loaded, global: &Global) -> Result<u8, Failure> {
    let _logs = logs::start(global);
    process::no_core_dumps();
    let Loaded { mut config, origin, sources } = loaded;
    let Some(door) = config.door.clone() else {
        return Err(Failure::config(
            format!("{origin}: door: there is none, so no control plane could attach"),
            "add [door] with listen = \"unix:/run/millrace/door.sock\", or use the verb run",
        ));
    };
    let as_read = config.clone();
    let placement = Appliance::preflight(&config)?;
    fit::fit_batches(&mut config);
    run::runtime()?.block_on(async {
        let accesses = run::accesses(&mut config).await?;
        let gate = Gate::bind(&door)?;
        let appliance = Appliance::start(&config, &placement)?;
        tracing::info!(
            event = "started", version = env!("CARGO_PKG_VERSION"), config = origin, shards = placement.cores.len(),
            cores = ?placement.cores, kernel = placement.kernel, pipelines = config.pipeline.len(),
            door = gate.address(), "the data plane is up; a control plane can attach"
        );
        let (commands, receiver) = Appliance::channel();
        let supply = run::supply(accesses, &appliance, &commands);
        let board = Arc::clone(appliance.board());
        let configs =
            Configs::new(as_read, Some(sources), Arc::clone(&board), commands.clone()).with(supply);
        tokio::spawn(gate.serve(configs.clone(), Arc::clone(&board), commands.clone()));
        let aborted = Arc::new(AtomicBool::new(false));
        let reload = move || {
            let configs = configs.clone();
            drop(tokio::spawn(async move { configs.reload().await }));
        };
        tokio::spawn(run::obey_signals(run::signals()?, commands, board, reload, Arc::clone(&aborted)));
        appliance.tend(receiver).await;
        Ok(run::finish(appliance, &aborted))
    })
}

/// Attaches data planes and serves the API until a signal ends it; the data planes go on.
///
/// # Errors
/// Why it could not start.
pub(crate) fn controlplane(loaded: Loaded, port_file: Option<&Path>, global: &Global) -> Result<u8, Failure> {
    let _logs = logs::start(global);
    process::no_core_dumps();
    let Loaded { config, origin, sources } = loaded;
    if config.attach.is_empty() {
        return Err(Failure::config(
            format!("{origin}: attach: there is none, so there is nothing to show or steer"),
            "add [[attach]] with address = \"unix:/run/millrace/door.sock\", or use the verb run",
        ));
    }
    let door = Door::bind(&config.api)?;
    let store = serve::store(&config.api);
    let accounts = serve::accounts(&config.api, &store)?;
    run::runtime()?.block_on(async {
        let as_read = config.clone();
        let config: Arc<Config> = Arc::new(config);
        let watched = Watch::new(Arc::clone(&config), store.clone()).await?;
        let board = Arc::new(Board::new(&config, 0));
        let (commands, receiver) = Appliance::channel();
        let configs = Configs::new(as_read, Some(sources), Arc::clone(&board), commands.clone());
        let fleet = Fleet::start(configs.clone(), Arc::clone(&board))?;
        let (address, url) = (door.address(), door.url());
        tracing::info!(
            event = "started", version = env!("CARGO_PKG_VERSION"), config = origin, attach = config.attach.len(),
            listen = %address, "the control plane is up; {url} shows its figures"
        );
        appliance::write_port(port_file, address.port())?;
        tokio::spawn(fleet.clone().run());
        tokio::spawn(fleet.clone().pass_on(receiver));
        let ctx = Ctx::new(configs, Arc::clone(&board), commands, store, accounts, watched, Some(fleet));
        serve::begin(&ctx, &url, global.log_format()).await;
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(door.serve(ctx.clone(), stopped));
        wait_for_the_end(run::signals()?, &ctx).await;
        let _last_answers = stop.send(true);
        let _closed = serving.await;
        tracing::info!(event = "ended", "the control plane has ended; the data planes go on");
        Ok(exit::OK)
    })
}

/// Obeys HUP and USR1 until TERM or INT.
async fn wait_for_the_end(mut signals: run::Signals, ctx: &Ctx) {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return,
            _ = signals.interrupt.recv() => return,
            _ = signals.hang_up.recv() => drop(tokio::spawn(serve::reload(ctx.clone()))),
            _ = signals.user.recv() => run::log_snapshot(ctx.board()),
        }
    }
}
