//! The matrix: named workloads that differ from a base in one respect each, so that a figure has one cause.
//!
//! The base itself is in it (`base`): 1 KiB bodies, no attributes, lz4, plain HTTP, a standard queue, one shard, no
//! simulated round trip.

use anyhow::{Result, ensure};
use clap::Args;

use crate::print;
use crate::runs::Runs;
use crate::setup::Setup;
use crate::table;
use crate::targets::Target;
use crate::workload::{Compression, Workload};

/// Options of `bench suite`.
#[derive(Args)]
pub(crate) struct Suite {
    /// Only these workloads
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Print the workloads and end
    #[arg(long)]
    list: bool,
    /// These targets instead of each workload's own, where they can do it
    #[arg(long, value_enum, value_delimiter = ',')]
    targets: Vec<Target>,
    /// Rounds of each workload
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    #[command(flatten)]
    base: Workload,
    #[command(flatten)]
    setup: Setup,
}

/// A named workload.
struct Case {
    name: &'static str,
    workload: Workload,
    targets: &'static [Target],
    /// Cores that the target gets where there are so many.
    target_cores: usize,
}

const ALL: &[Target] = &[Target::Millrace, Target::Floor, Target::Limit, Target::Sdk];
const PAIR: &[Target] = &[Target::Millrace, Target::Floor];
const PUMPS: &[Target] = &[Target::Millrace, Target::Floor, Target::Sdk];

impl Suite {
    /// Runs the matrix; prints the tables.
    ///
    /// # Errors
    /// An unknown name, results that cannot be written, or a run that failed.
    pub(crate) fn run(&self) -> Result<()> {
        let cases = self.chosen()?;
        if self.list {
            let line = |case: &Case| {
                let targets: Vec<_> = self.targets_of(case).iter().map(|target| target.name()).collect();
                format!("{:<18} {} ({})\n", case.name, case.workload.summary(), targets.join(", "))
            };
            print(&cases.iter().map(line).collect::<String>());
            return Ok(());
        }
        let ground = self.setup.prepare(self.base.kafka)?;
        let mut runs = Runs::new(&self.setup, &ground);
        for (number, case) in (1..).zip(&cases) {
            eprintln!("{} ({number} of {})", case.name, cases.len());
            runs.rounds(&case.workload, case.target_cores, &self.targets_of(case), self.rounds)?;
        }
        print(&table::markdown(&runs.lines));
        runs.ensure_good()
    }

    fn chosen(&self) -> Result<Vec<Case>> {
        let mut cases = cases(&self.base);
        for name in &self.only {
            ensure!(cases.iter().any(|case| case.name == name), "no workload is named `{name}`: see --list");
        }
        cases.retain(|case| self.only.is_empty() || self.only.iter().any(|name| name == case.name));
        Ok(cases)
    }

    fn targets_of(&self, case: &Case) -> Vec<Target> {
        let wanted = if self.targets.is_empty() { case.targets } else { &self.targets };
        wanted.iter().copied().filter(|target| target.ensure_able(&case.workload).is_ok()).collect()
    }
}

fn cases(base: &Workload) -> Vec<Case> {
    let with = |change: &dyn Fn(&mut Workload)| {
        let mut workload = base.clone();
        change(&mut workload);
        workload
    };
    let case = |name, targets, workload| Case { name, workload, targets, target_cores: 1 };
    let mut cases = vec![
        case("base", ALL, base.clone()),
        case("size-64", ALL, with(&|workload| workload.size = 64)),
        case("size-16k", ALL, with(&|workload| workload.size = 16 << 10)),
        case("size-256k", ALL, with(&|workload| workload.size = 256 << 10)),
        case("size-1m", ALL, with(&|workload| workload.size = 1 << 20)),
        case("attributes-3", PUMPS, with(&|workload| workload.attributes = 3)),
        case("attributes-10", PUMPS, with(&|workload| workload.attributes = 10)),
        case("tls", ALL, with(&|workload| workload.tls = true)),
        case("tls-16k", ALL, with(&|workload| (workload.tls, workload.size) = (true, 16 << 10))),
        case("compression-none", ALL, with(&|workload| workload.compression = Compression::None)),
        case("compression-zstd", ALL, with(&|workload| workload.compression = Compression::Zstd)),
        case("fifo-1", PUMPS, with(&|workload| workload.fifo = Some(1))),
        case("fifo-100", PUMPS, with(&|workload| workload.fifo = Some(100))),
        case("fifo-10000", PUMPS, with(&|workload| workload.fifo = Some(10_000))),
        case("rtt-5ms", PAIR, with(&|workload| workload.rtt_ms = 5)),
        case("rtt-20ms", PAIR, with(&|workload| workload.rtt_ms = 20)),
    ];
    cases.push(Case { target_cores: 2, ..case("shards-2", PAIR, with(&|workload| workload.shards = 2)) });
    cases
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::tests::parsed;

    #[test]
    fn names_and_workloads_are_different() {
        let cases = cases(&parsed(&["--seconds", "4"]));
        for (at, case) in cases.iter().enumerate() {
            assert_eq!(case.workload.seconds, 4, "{}", case.name);
            let others = &cases[at + 1..];
            assert!(others.iter().all(|other| other.name != case.name && other.workload != case.workload));
        }
    }

    #[test]
    fn every_target_can_do_what_its_workload_asks() {
        for case in cases(&parsed(&[])) {
            for target in case.targets {
                let refused = target.ensure_able(&case.workload).is_err();
                assert!(!refused, "{} cannot do {}", target.name(), case.name);
            }
        }
    }
}
