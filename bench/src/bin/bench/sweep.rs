//! Latency over load: each target at rising rates of an open loop, up to where it saturates.
//!
//! A target is first measured in a closed loop; its rates are shares of what it did there. Half load of one target is then
//! half of *its* throughput; give rates in messages a second to load all targets alike.

use anyhow::{Result, ensure};
use clap::Args;

use crate::print;
use crate::results::Measured;
use crate::runs::Runs;
use crate::setup::Setup;
use crate::table;
use crate::targets::Target;
use crate::workload::{self, Workload};

/// Share of the planned messages that a target has to delete within the window to keep up.
const KEPT_UP_MIN: f64 = 0.98;
/// A 99th percentile beyond this is a queue that grows, and not a latency.
const P99_MS_MAX: f64 = 1000.0;

/// Options of `bench sweep`.
#[derive(Args)]
pub(crate) struct Sweep {
    /// Targets, one after the other
    #[arg(long, value_enum, value_delimiter = ',', default_value = "millrace,floor")]
    targets: Vec<Target>,
    /// Rates in percent of the target's own closed-loop throughput, rising
    #[arg(long, value_delimiter = ',', default_value = "10,25,50,75,90,100,110", value_name = "PERCENTS")]
    percents: Vec<f64>,
    /// Rates in messages a second, rising, the same for all targets, instead of percents
    #[arg(long, value_delimiter = ',', value_name = "PER SECOND", value_parser = workload::rate, conflicts_with = "rate")]
    rates: Vec<f64>,
    #[command(flatten)]
    pub(crate) workload: Workload,
    #[command(flatten)]
    pub(crate) setup: Setup,
}

impl Sweep {
    /// Runs all rates of all targets; prints the tables.
    ///
    /// # Errors
    /// A target that has no latency, results that cannot be written, or a run that failed.
    pub(crate) fn run(&self) -> Result<()> {
        ensure!(self.workload.rate.is_none(), "a sweep sets the rate: use --rates");
        for target in &self.targets {
            target.ensure_able(&Workload { rate: Some(1.0), ..self.workload.clone() })?;
        }
        let ground = self.setup.prepare(self.workload.kafka)?;
        let mut runs = Runs::new(&self.setup, &ground);
        for &target in &self.targets {
            self.climb(&mut runs, target)?;
        }
        print(&table::markdown(&runs.lines));
        runs.ensure_good()
    }

    fn climb(&self, runs: &mut Runs<'_>, target: Target) -> Result<()> {
        let mut rates = self.rates.clone();
        if rates.is_empty() {
            let Some(closed) = runs.single(&self.workload, target)? else { return Ok(()) };
            let whole = closed.messages_per_s;
            rates = self.percents.iter().map(|percent| (whole * percent / 100.0).round().max(1.0)).collect();
        }
        for rate in rates {
            let open = Workload { rate: Some(rate), ..self.workload.clone() };
            let Some(run) = runs.single(&open, target)? else { break };
            if let Some(cause) = saturation(run, rate) {
                eprintln!("{} is saturated at {rate} messages/s: {cause}", target.name());
                break;
            }
        }
        Ok(())
    }
}

/// Why a rate is beyond what a target can do, if it is.
fn saturation(run: &Measured, rate: f64) -> Option<String> {
    if run.messages_per_s < KEPT_UP_MIN * rate {
        return Some(format!("it kept up with {:.0} only", run.messages_per_s));
    }
    let p99_ms = *run.latency.as_ref()?.percentiles_ms.get("p99")?;
    (p99_ms > P99_MS_MAX).then(|| format!("p99 is {p99_ms:.0} ms"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Latency;
    use crate::results::tests::line;

    #[test]
    fn who_falls_behind_is_saturated() {
        let mut run = line("a", "floor", 1, 1000.0, 15.0).measured.unwrap();
        let mut latency = Latency::default();
        latency.percentiles_ms.insert("p99".to_owned(), 9.0);
        run.latency = Some(latency);
        assert_eq!(saturation(&run, 1000.0), None);
        assert!(saturation(&run, 1100.0).unwrap().contains("kept up with 1000"));
        run.latency.as_mut().unwrap().percentiles_ms.insert("p99".to_owned(), 1500.0);
        assert_eq!(saturation(&run, 1000.0).unwrap(), "p99 is 1500 ms");
    }
}
