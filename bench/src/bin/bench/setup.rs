//! Where and how runs are made: what all commands that measure have alike, and what outlives a run.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Args;
use tempfile::TempDir;

use crate::broker::Broker;
use crate::cores::{self, Cores};
use crate::machine::Machine;
use crate::round::Stage;
use crate::workload::{KafkaKind, Workload};

/// Options of all commands that measure.
#[derive(Args)]
pub(crate) struct Setup {
    /// Cores of SQS server, Kafka, feed and reader; by default all but the target's
    #[arg(long, value_delimiter = ',', value_name = "CORES")]
    pub(crate) server_cores: Vec<u16>,
    /// Cores of the target; by default the last one
    #[arg(long, value_delimiter = ',', value_name = "CORES")]
    pub(crate) target_cores: Vec<u16>,
    /// Setting of Millrace that differs from its default; may be given often
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,
    /// Folder of the built programs; by default that of this one
    #[arg(long, value_name = "FOLDER")]
    pub(crate) programs: Option<PathBuf>,
    /// An installed Vector
    #[arg(long, value_name = "PATH")]
    pub(crate) vector: Option<PathBuf>,
    /// File that results are appended to
    #[arg(long, default_value = "bench/results/latest.jsonl", value_name = "FILE")]
    pub(crate) results: PathBuf,
    /// Count system calls for two seconds after each window: with perf, or reads and writes alone without
    #[arg(long)]
    pub(crate) syscalls: bool,
    /// Keep logs and generated files
    #[arg(long)]
    pub(crate) keep: bool,
}

/// What outlives a run.
pub(crate) struct Ground {
    // Before the folder that it writes to.
    broker: Option<Broker>,
    scratch: TempDir,
    root: PathBuf,
    programs: PathBuf,
    allowed: Vec<u16>,
    /// The machine.
    pub(crate) machine: Machine,
    /// Name of all runs of this call.
    pub(crate) suite: String,
}

impl Setup {
    /// Looks around, and starts the real broker if it is wanted.
    ///
    /// # Errors
    /// Cores that are not allowed, a folder that cannot be written, a broker that does not start.
    pub(crate) fn prepare(&self, kafka: KafkaKind) -> Result<Ground> {
        let root = root()?;
        let allowed = cores::allowed()?;
        let cores = self.cores(&allowed, 1)?;
        let programs = match &self.programs {
            Some(folder) => folder.clone(),
            None => std::env::current_exe()?.parent().context("a program is in a folder")?.to_owned(),
        };
        let machine = Machine::look(&root, &programs, allowed.len());
        let scratch = tempfile::Builder::new()
            .prefix("bench-")
            .disable_cleanup(self.keep)
            .tempdir_in(scratch_root(&root)?)?;
        if self.keep {
            eprintln!("logs: {}", scratch.path().display());
        }
        cores::confine(&cores.servers)?;
        let broker = match kafka {
            KafkaKind::Real => Some(Broker::start(&root, scratch.path(), &cores.servers)?),
            KafkaKind::Mock => None,
        };
        let suite = format!("{}-{}", now_s(), std::process::id());
        Ok(Ground { broker, scratch, root, programs, allowed, machine, suite })
    }

    /// Cores of servers and target; the last `target_count` for the target unless others are named.
    fn cores(&self, allowed: &[u16], target_count: usize) -> Result<Cores> {
        let mut target = self.target_cores.clone();
        if target.is_empty() {
            target = allowed[allowed.len().saturating_sub(target_count)..].to_vec();
        }
        Cores::choose(allowed, &self.server_cores, &target)
    }

    /// The stage of runs of one workload.
    ///
    /// # Errors
    /// Cores that are not allowed.
    pub(crate) fn stage<'a>(
        &self,
        ground: &'a Ground,
        workload: &Workload,
        target_count: usize,
    ) -> Result<Stage<'a>> {
        let cores = self.cores(&ground.allowed, target_count)?;
        if !cores.are_apart() {
            eprintln!("note: servers and target share a core; only ratios mean anything");
        }
        cores::confine(&cores.servers)?;
        eprintln!("{}\n{}", workload.summary(), ground.machine.summary());
        Ok(Stage {
            root: ground.root.clone(),
            programs: ground.programs.clone(),
            scratch: ground.scratch.path().to_owned(),
            cores,
            workload: workload.clone(),
            settings: self.settings.clone(),
            vector: self.vector.clone(),
            broker: ground.broker.as_ref(),
            syscalls: self.syscalls,
        })
    }
}

/// Root of the project that this was built from.
///
/// # Errors
/// None in a workspace.
pub(crate) fn root() -> Result<PathBuf> {
    Ok(Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the crate is in a workspace")?.to_owned())
}

/// Scratch files stand with what is built: a real broker's log needs a real disk.
fn scratch_root(root: &Path) -> Result<PathBuf> {
    let folder = root.join("target/bench-scratch");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
