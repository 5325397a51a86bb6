//! Runs one after another: each is told as it ends and appended to the results.

use anyhow::{Result, ensure};

use crate::results::{self, Line, Measured, SCHEMA};
use crate::round::{self, Stage};
use crate::setup::{Ground, Setup, now_s};
use crate::table;
use crate::targets::Target;
use crate::verdict;
use crate::workload::Workload;

/// The runs of a call.
pub(crate) struct Runs<'a> {
    setup: &'a Setup,
    ground: &'a Ground,
    /// Results so far.
    pub(crate) lines: Vec<Line>,
}

impl<'a> Runs<'a> {
    /// None yet.
    pub(crate) fn new(setup: &'a Setup, ground: &'a Ground) -> Runs<'a> {
        Runs { setup, ground, lines: Vec::new() }
    }

    /// Runs targets by turns: A B C, A B C, …
    ///
    /// # Errors
    /// The results cannot be written. A run that fails is a result.
    pub(crate) fn rounds(
        &mut self,
        workload: &Workload,
        target_cores: usize,
        targets: &[Target],
        rounds: u32,
    ) -> Result<()> {
        let stage = self.setup.stage(self.ground, workload, target_cores)?;
        for round in 1..=rounds {
            for &target in targets {
                self.once(&stage, target, round)?;
            }
        }
        Ok(())
    }

    /// Runs a target once with one workload.
    ///
    /// # Errors
    /// The results cannot be written. A run that fails is a result.
    pub(crate) fn single(&mut self, workload: &Workload, target: Target) -> Result<Option<&Measured>> {
        self.rounds(workload, 1, &[target], 1)?;
        Ok(self.lines.last().and_then(|line| line.measured.as_ref()))
    }

    fn once(&mut self, stage: &Stage<'_>, target: Target, round: u32) -> Result<()> {
        let at_s = now_s();
        let measured = round::measure(stage, target, self.lines.len() as u64);
        report(round, target, &measured, stage.workload.rate.is_some());
        let (measured, error) = match measured {
            Ok(measured) => (Some(measured), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        let settings = if target == Target::Millrace { stage.settings.clone() } else { Vec::new() };
        let line = Line {
            schema: SCHEMA,
            at_s,
            suite: self.ground.suite.clone(),
            machine: self.ground.machine.clone(),
            server_cores: stage.cores.servers.clone(),
            target_cores: stage.cores.target.clone(),
            workload: stage.workload.clone(),
            target: target.name().to_owned(),
            settings,
            round,
            measured,
            error,
        };
        results::append(&self.setup.results, &line)?;
        self.lines.push(line);
        Ok(())
    }

    /// Fails if a run did.
    ///
    /// # Errors
    /// A run failed or broke a promise.
    pub(crate) fn ensure_good(&self) -> Result<()> {
        let failed = self.lines.iter().filter(|line| !is_good(line)).count();
        ensure!(failed == 0, "{failed} of {} runs failed or lost messages; see above", self.lines.len());
        Ok(())
    }
}

/// One line for each run as it ends, with what makes it doubtful.
fn report(round: u32, target: Target, measured: &Result<Measured>, is_open: bool) {
    let name = target.name();
    match measured {
        Ok(run) => {
            let checks = run.checks.as_ref().map_or_else(|| "no pump".to_owned(), verdict::Checks::summary);
            let p99_ms = run.latency.as_ref().and_then(|latency| latency.percentiles_ms.get("p99"));
            let latency = p99_ms.map(|p99_ms| format!(", p99 {p99_ms:.1} ms")).unwrap_or_default();
            eprintln!(
                "round {round} {name}: {:.0} messages/s, {:.2} us CPU/message, busy {:.0} % (servers {:.0} %){latency}, {checks}",
                run.messages_per_s,
                run.cpu_us,
                run.target_busy * 100.0,
                run.servers_busy * 100.0
            );
            for doubt in table::doubts(run, is_open) {
                eprintln!("  note: {doubt}");
            }
        }
        Err(error) => eprintln!("round {round} {name}: failed: {error:#}"),
    }
}

fn is_good(line: &Line) -> bool {
    let checked = line.measured.as_ref().map(|run| run.checks.as_ref().is_none_or(verdict::Checks::are_good));
    checked.unwrap_or(false)
}
