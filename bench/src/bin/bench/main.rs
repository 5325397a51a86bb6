//! The benchmark harness: runs Millrace and others against the same servers, one after the other, again and again.
//!
//! The servers and this harness share some cores, the target has others for itself. What is measured, and what the
//! figures can and cannot say, is in docs/performance.md.

mod broker;
mod cores;
mod feed;
mod machine;
mod program;
mod reader;
mod readme;
mod results;
mod round;
mod runs;
mod setup;
mod stages;
mod suite;
mod sweep;
mod syscalls;
mod table;
mod targets;
mod usage;
mod verdict;
mod wires;
mod workload;
mod world;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use runs::Runs;
use setup::Setup;
use suite::Suite;
use sweep::Sweep;
use targets::Target;
use workload::Workload;

#[derive(Parser)]
#[command(name = "bench", version, about = "Measures Millrace beside a floor and its peers, on one machine", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  bench run                                              millrace and floor, 1 KiB, five rounds
  bench run --targets millrace,floor,sdk,python,connect --kafka real
  bench run --targets millrace,floor --tls               HTTPS to SQS with a private authority
  bench run --rate 20000 --kafka real                    latency, open loop
  bench sweep --targets millrace,connect --kafka real    latency at 10 to 110 % of each one's throughput
  bench suite --seconds 4 --rounds 3                     the matrix of workloads; --list shows it
  bench run --targets millrace,floor --size 64 --attributes 10 --rounds 3 --syscalls
  bench table bench/results/latest.jsonl                 Markdown
  bench table bench/results/latest.jsonl --readme        the same into README.md and docs/performance.md

Build first: cargo build --release -p controlplane -p bench. `make peers` builds connect, mq-bridge and python.";

#[derive(Subcommand)]
enum Command {
    /// Run targets by turns and print a table
    #[command(after_help = EXAMPLES)]
    Run(Box<Run>),
    /// Run targets at rising rates, open loop, until they saturate
    Sweep(Box<Sweep>),
    /// Run the matrix of workloads
    Suite(Box<Suite>),
    /// Print the tables of results files
    Table(Table),
}

#[derive(Args)]
struct Run {
    /// Targets, in this order in each round
    #[arg(long, value_enum, value_delimiter = ',', default_value = "millrace,floor")]
    targets: Vec<Target>,
    /// Rounds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    #[command(flatten)]
    workload: Workload,
    #[command(flatten)]
    setup: Setup,
}

#[derive(Args)]
struct Table {
    /// Results files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Put the first table into README.md and all into docs/performance.md, between their marks
    #[arg(long)]
    readme: bool,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Run(run) => run.run(),
        Command::Sweep(sweep) => sweep.run(),
        Command::Suite(suite) => suite.run(),
        Command::Table(table) => table.run(),
    }
}

impl Run {
    fn run(&self) -> Result<()> {
        let ground = self.setup.prepare(self.workload.kafka)?;
        let mut runs = Runs::new(&self.setup, &ground);
        runs.rounds(&self.workload, 1, &self.targets, self.rounds)?;
        print(&table::markdown(&runs.lines));
        runs.ensure_good()
    }
}

impl Table {
    fn run(&self) -> Result<()> {
        let mut lines = Vec::new();
        for file in &self.files {
            lines.extend(results::read(file)?);
        }
        let tables = table::tables(&lines);
        if self.readme {
            let root = setup::root()?;
            readme::replace(&root.join("README.md"), tables.first().map_or("", String::as_str))?;
            readme::replace(&root.join("docs/performance.md"), &tables.join("\n"))?;
        } else {
            print(&tables.join("\n"));
        }
        Ok(())
    }
}

#[allow(clippy::print_stdout, reason = "the table is what the program is for")]
fn print(text: &str) {
    print!("{text}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let cli =
            Cli::try_parse_from(["bench", "run", "--targets", "floor,mq-bridge", "--target-cores", "1,2"]);
        let Command::Run(run) = cli.unwrap().command else { panic!("run was asked for") };
        assert_eq!(run.targets, [Target::Floor, Target::MqBridge]);
        assert_eq!(run.setup.target_cores, [1, 2]);
    }
}
