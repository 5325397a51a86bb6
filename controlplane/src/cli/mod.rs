//! The command line: grammar, help texts, and which function each verb is.
//!
//! Grammar: `millrace VERB [NOUN] [flags]`; long flags, one letter only for `-c -o -q -v -h -V`. Data goes to
//! stdout, all else to stderr.

mod examples;
mod papers;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use dataplane::config::{Bytes, Time};

use crate::exit::{self, Failure};
use crate::remote::{self, Asked, configs};
use crate::settings::{self, Sources};
use crate::term::{self, Color};

/// Moves messages from Amazon SQS to Apache Kafka; deletes none that Kafka has not confirmed.
#[derive(Debug, Parser)]
#[command(name = "millrace", version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "Start with `millrace demo`. Each verb has --help with worked examples.")]
#[command(after_long_help = examples::TOP, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Flags of every verb.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Configuration file [default: /etc/millrace/millrace.toml, if there]
    #[arg(short, long, global = true, value_name = "FILE", env = "MILLRACE_CONFIG")]
    config: Option<PathBuf>,
    /// Change one key of the configuration, e.g. drain.deadline=40s; repeatable
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Form of the output
    #[arg(short, long, global = true, value_name = "FORM", env = "MILLRACE_OUTPUT", default_value = "text")]
    output: Output,
    /// Colour on stdout
    #[arg(long, global = true, value_name = "WHEN", env = "MILLRACE_COLOR", default_value = "auto")]
    color: Color,
    /// Form of the log on stderr; auto is text on a terminal and JSON otherwise
    #[arg(long, global = true, value_name = "FORM", env = "MILLRACE_LOG_FORMAT", default_value = "auto")]
    log_format: LogFormat,
    /// Log warnings and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Log more; twice for all
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// Form of a verb's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the whole job on this machine: queue, Kafka, load and proof in one process
    #[command(after_long_help = examples::DEMO)]
    Demo(Box<DemoArgs>),
    /// Run the appliance until a signal ends it
    #[command(after_long_help = examples::RUN)]
    Run(RunArgs),
    /// Run the data plane alone; a control plane in another process attaches at its [door]
    #[command(after_long_help = examples::PLANES)]
    Dataplane(DataplaneArgs),
    /// Run the control plane alone: attach the data planes of [[attach]], show and steer them
    #[command(after_long_help = examples::PLANES)]
    Controlplane(ControlplaneArgs),
    /// Check configuration and platform and, with --connect, rights and limits of the other sides
    #[command(after_long_help = examples::CHECK)]
    Check(CheckArgs),
    /// Check configuration and platform without connecting anywhere: `check` without --connect
    #[command(after_long_help = examples::VALIDATE)]
    Validate(ValidateArgs),
    /// Print a default, the schema, what a file amounts to; show and change what an appliance runs
    #[command(subcommand, after_long_help = examples::CONFIG)]
    Config(ConfigVerb),
    /// Sign in at an appliance's API; the password is asked for
    #[command(after_long_help = examples::LOGIN)]
    Login(remote::LoginArgs),
    /// Sign out
    #[command(after_long_help = examples::LOGIN)]
    Logout(remote::Remote),
    /// Watch a running appliance live: rates, latencies, shards, alerts
    #[command(after_long_help = examples::TOP_VERB)]
    Top(crate::top::TopArgs),
    /// List, pause, resume, drain, stop, start and limit pipelines
    #[command(after_long_help = examples::PIPELINES)]
    Pipelines(remote::PipelinesArgs),
    /// List, show, make, alter and delete topics
    #[command(after_long_help = examples::TOPICS)]
    Topics(remote::TopicsArgs),
    /// List consumer groups, show their positions
    #[command(after_long_help = examples::GROUPS)]
    Groups(remote::GroupsArgs),
    /// List queues, show depth and settings
    #[command(after_long_help = examples::QUEUES)]
    Queues(remote::QueuesArgs),
    /// List and show rejected messages
    #[command(after_long_help = examples::REJECTED)]
    Rejected(remote::RejectedArgs),
    /// Watch messages as they pass, their values covered
    #[command(after_long_help = examples::TAP)]
    Tap(remote::TapArgs),
    /// List alerts, take them on, silence and test them
    #[command(after_long_help = examples::ALERTS)]
    Alerts(remote::AlertsArgs),
    /// Show latency percentiles of each stage
    #[command(after_long_help = examples::LATENCY)]
    Latency(remote::LatencyArgs),
    /// Show what SQS costs
    #[command(after_long_help = examples::FIGURES)]
    Cost(remote::Remote),
    /// List shards
    #[command(after_long_help = examples::FIGURES)]
    Shards(remote::Remote),
    /// List instances, end one
    #[command(after_long_help = examples::FIGURES)]
    Instances(remote::InstancesArgs),
    /// List and end sessions
    #[command(after_long_help = examples::SESSIONS)]
    Sessions(remote::SessionsArgs),
    /// List, add, change and remove users
    #[command(after_long_help = examples::USERS)]
    Users(remote::UsersArgs),
    /// List, create and revoke API keys
    #[command(after_long_help = examples::KEYS)]
    Keys(remote::KeysArgs),
    /// Show who changed what
    #[command(after_long_help = examples::AUDIT)]
    Audit(remote::AuditArgs),
    /// Back up users, keys, audit log and history
    #[command(after_long_help = examples::BACKUP)]
    Backup(remote::BackupArgs),
    /// Bring a backup back
    #[command(after_long_help = examples::BACKUP)]
    Restore(remote::RestoreArgs),
    /// Print the OpenAPI document of the API
    #[command(after_long_help = examples::OPENAPI)]
    Openapi,
    /// Ask the appliance of this machine whether it is alive or ready: exit 0, 1, or 69 if nothing answers
    #[command(after_long_help = examples::PROBE)]
    Probe {
        /// The question
        #[arg(value_enum)]
        question: Question,
        /// Address of its HTTP listener, instead of api.listen of the configuration; api.tls is still taken from it
        #[arg(long, value_name = "ADDR:PORT")]
        listen: Option<String>,
    },
    /// Print version, build and what it needs
    #[command(after_long_help = examples::VERSION)]
    Version,
    /// Print the completion script of a shell
    #[command(after_long_help = examples::COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    #[command(after_long_help = examples::MAN)]
    Man {
        /// The folder; it must be there
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

/// What `probe` asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Question {
    /// Do its shards turn? A supervisor restarts what does not.
    Live,
    /// Do messages flow, or could they?
    Ready,
}

/// One pipeline without a file.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Direct {
    /// URL of the queue: one pipeline without a file
    #[arg(long, value_name = "URL", conflicts_with = "config", requires = "brokers")]
    queue: Option<String>,
    /// Kafka brokers, host:port, separated by commas
    #[arg(long, value_name = "HOSTS", value_delimiter = ',', requires = "queue")]
    brokers: Vec<String>,
    /// Topic to produce to
    #[arg(long, value_name = "NAME", requires = "queue")]
    topic: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    direct: Direct,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Args)]
pub(crate) struct DataplaneArgs {
    #[command(flatten)]
    direct: Direct,
    /// Number of shards, instead of shards.count
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct ControlplaneArgs {
    /// Address of the HTTP listener, instead of api.listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Write the port of the HTTP listener to this file once it listens
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,
}

/// Where the appliance runs and listens; flags for what is changed most.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Serve {
    /// Address of the HTTP listener, instead of api.listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Number of shards, instead of shards.count
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) shards: Option<u16>,
    /// Write the port of the HTTP listener to this file once it listens
    #[arg(long, value_name = "FILE")]
    pub(crate) port_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Configuration file, the same as --config
    #[arg(value_name = "FILE", conflicts_with_all = ["config", "queue"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    direct: Direct,
    /// Connect to SQS and Kafka and probe rights and limits; nothing is written or deleted
    #[arg(long)]
    connect: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// Configuration file, the same as --config
    #[arg(value_name = "FILE", conflicts_with_all = ["config", "queue"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    direct: Direct,
    /// Check the file only, not this machine
    #[arg(long)]
    no_env: bool,
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Print a file with every key, its default and its meaning
    Default,
    /// Print the JSON Schema of the file
    Schema,
    /// Print what a file, flags and changes amount to, or what an appliance runs
    Show {
        /// What the appliance at --api runs, instead of a file
        #[arg(long, conflicts_with_all = ["config", "queue"])]
        running: bool,
        #[command(flatten)]
        direct: Direct,
        #[command(flatten)]
        remote: remote::Remote,
    },
    /// Compare a file with what an appliance runs: exit 0 nothing differs, 1 something does
    Diff(configs::DiffArgs),
    /// Put a file into force on a running appliance
    Apply(configs::ApplyArgs),
    /// List what was in force, or print one of them
    History(configs::HistoryArgs),
    /// Put a version of the history into force again
    Rollback(configs::RollbackArgs),
    /// Print the operator's manual of the file as Markdown
    Manual,
}

/// Flags of `demo`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DemoArgs {
    /// Measure this long, then prove and end; without it until Ctrl-C
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// Messages a second, or max: as many as the pump takes
    #[arg(long, value_name = "N|max", default_value = "2000")]
    pub(crate) rate: bench::load::Rate,
    /// Size of a message body, 128B to 256KiB
    #[arg(long, value_name = "SIZE", default_value = "1KiB", value_parser = size)]
    pub(crate) size: u32,
    /// Seed of bodies and faults: the same seed sends the same
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Use a FIFO queue with this many message groups and check their order
    #[arg(long, value_name = "GROUPS", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) fifo: Option<u32>,
    /// Time added to every answer of SQS, as a network does, up to 1s
    #[arg(long, value_name = "TIME", value_parser = round_trip)]
    pub(crate) round_trip: Option<Duration>,
    /// Play a fault while it runs; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) chaos: Vec<crate::demo::Chaos>,
    /// Write the result as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Do not wait for Ctrl-C: without --for, measure 10s
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

impl Cli {
    /// Does what the command line says; returns the exit code.
    ///
    /// # Errors
    /// Why the verb could not do its work.
    // long: one arm for each verb
    pub(crate) fn run(self) -> Result<u8, Failure> {
        let global = self.global;
        match self.verb {
            Verb::Demo(args) => crate::demo::run(&args, &global),
            Verb::Run(args) => {
                let loaded = sources(&global, None, &args.direct, &args.serve, true)?.load()?;
                crate::run::run(loaded, args.serve.port_file.as_deref(), &global)
            }
            Verb::Dataplane(args) => {
                let serve = Serve { shards: args.shards, ..Serve::default() };
                crate::apart::dataplane(sources(&global, None, &args.direct, &serve, true)?.load()?, &global)
            }
            Verb::Controlplane(args) => {
                let serve = Serve { listen: args.listen, ..Serve::default() };
                let loaded = sources(&global, None, &Direct::default(), &serve, true)?.load()?;
                crate::apart::controlplane(loaded, args.port_file.as_deref(), &global)
            }
            Verb::Check(args) => {
                let sources = sources(&global, args.file, &args.direct, &Serve::default(), false)?;
                crate::check::run(
                    &sources,
                    crate::check::Depth { platform: true, connect: args.connect },
                    &global,
                )
            }
            Verb::Validate(args) => {
                let sources = sources(&global, args.file, &args.direct, &Serve::default(), false)?;
                crate::check::run(
                    &sources,
                    crate::check::Depth { platform: !args.no_env, connect: false },
                    &global,
                )
            }
            Verb::Config(verb) => config(verb, &global),
            Verb::Login(args) => remote::run(Asked::Login(args), global.output),
            Verb::Logout(args) => remote::run(Asked::Logout(args), global.output),
            Verb::Top(args) => crate::top::run(&args, global.output),
            Verb::Pipelines(args) => remote::run(Asked::Pipelines(args), global.output),
            Verb::Users(args) => remote::run(Asked::Users(args), global.output),
            Verb::Keys(args) => remote::run(Asked::Keys(args), global.output),
            Verb::Audit(args) => remote::run(Asked::Audit(args), global.output),
            Verb::Backup(args) => remote::run(Asked::Backup(args), global.output),
            Verb::Restore(args) => remote::run(Asked::Restore(args), global.output),
            Verb::Topics(args) => remote::run(Asked::Topics(args), global.output),
            Verb::Groups(args) => remote::run(Asked::Groups(args), global.output),
            Verb::Queues(args) => remote::run(Asked::Queues(args), global.output),
            Verb::Rejected(args) => remote::run(Asked::Rejected(args), global.output),
            Verb::Tap(args) => remote::run(Asked::Tap(args), global.output),
            Verb::Alerts(args) => remote::run(Asked::Alerts(args), global.output),
            Verb::Latency(args) => remote::run(Asked::Latency(args), global.output),
            Verb::Cost(args) => remote::run(Asked::Cost(args), global.output),
            Verb::Shards(args) => remote::run(Asked::Shards(args), global.output),
            Verb::Instances(args) => remote::run(Asked::Instances(args), global.output),
            Verb::Sessions(args) => remote::run(Asked::Sessions(args), global.output),
            Verb::Openapi => {
                term::out(&crate::api::document_text());
                Ok(exit::OK)
            }
            Verb::Probe { question, listen } => probe(question, listen, &global),
            Verb::Version => {
                term::out(&papers::version(global.output));
                Ok(exit::OK)
            }
            Verb::Completions { shell } => {
                term::out(&papers::completions(shell));
                Ok(exit::OK)
            }
            Verb::Man { out } => papers::man(&out),
        }
    }
}

impl Global {
    /// Form of the output.
    pub(crate) fn output(&self) -> Output {
        self.output
    }

    /// Whether stdout gets colour.
    pub(crate) fn color(&self) -> Color {
        self.color
    }

    /// Form of the log.
    pub(crate) fn log_format(&self) -> LogFormat {
        self.log_format
    }

    /// Level of the log of Millrace's own lines.
    pub(crate) fn log_level(&self) -> &'static str {
        match (self.quiet, self.verbose) {
            (true, _) => "warn",
            (false, 0) => "info",
            (false, 1) => "debug",
            (false, _) => "trace",
        }
    }

    /// The same, with a log of warnings only unless more was asked for: for verbs that show things themselves.
    pub(crate) fn quieter(&self) -> Global {
        Global { quiet: self.verbose == 0, ..self.clone() }
    }
}

/// Asks where `--listen`, the configuration or the default says, over TLS where the configuration has it.
fn probe(question: Question, listen: Option<String>, global: &Global) -> Result<u8, Failure> {
    let configured =
        sources(global, None, &Direct::default(), &Serve::default(), false).and_then(|sources| sources.api());
    let api = match configured {
        // The default file may be another's to read; one that is named must be right.
        Err(failure) if global.config.is_some() => return Err(failure),
        configured => configured.unwrap_or_default(),
    };
    let path = if question == Question::Live { "livez" } else { "readyz" };
    crate::probe::run(&listen.unwrap_or(api.listen), api.tls.as_ref(), path)
}

fn config(verb: ConfigVerb, global: &Global) -> Result<u8, Failure> {
    match verb {
        ConfigVerb::Default => term::out(&settings::default_file()),
        ConfigVerb::Manual => term::out(&settings::markdown()),
        ConfigVerb::Schema => term::line(&format!("{:#}", settings::schema())),
        ConfigVerb::Show { running: true, remote, .. } => {
            return running(configs::Asked::Show(remote), global);
        }
        ConfigVerb::Diff(args) => return running(configs::Asked::Diff(args), global),
        ConfigVerb::Apply(args) => return running(configs::Asked::Apply(args), global),
        ConfigVerb::History(args) => return running(configs::Asked::History(args), global),
        ConfigVerb::Rollback(args) => return running(configs::Asked::Rollback(args), global),
        ConfigVerb::Show { direct, .. } => {
            let loaded = sources(global, None, &direct, &Serve::default(), true)?.load()?;
            match global.output {
                Output::Text => term::out(&settings::show(&loaded.config)?),
                Output::Json => {
                    let json = serde_json::to_string_pretty(&loaded.config);
                    term::line(&json.map_err(|error| Failure::bug(error.to_string()))?);
                }
            }
        }
    }
    Ok(exit::OK)
}

fn running(asked: configs::Asked, global: &Global) -> Result<u8, Failure> {
    remote::run(Asked::Config(asked), global.output)
}

/// Puts together what the command line says about the configuration.
fn sources(
    global: &Global,
    file: Option<PathBuf>,
    direct: &Direct,
    serve: &Serve,
    topic_needed: bool,
) -> Result<Sources, Failure> {
    if topic_needed && direct.queue.is_some() && direct.topic.is_none() {
        return Err(Failure::new(exit::USAGE, "--queue needs --topic as well", "add --topic NAME"));
    }
    let mut sets = global.set.clone();
    sets.extend(serve.listen.map(|address| format!("api.listen={address}")));
    sets.extend(serve.shards.map(|count| format!("shards.count={count}")));
    Ok(Sources {
        file: file.or_else(|| global.config.clone()),
        queue: direct.queue.clone(),
        brokers: direct.brokers.clone(),
        topic: direct.topic.clone(),
        sets,
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    let time = Time::parse(text)?;
    if time < Time::from_secs(1) { Err(format!("`{text}` is shorter than 1s")) } else { Ok(time.0) }
}

fn round_trip(text: &str) -> Result<Duration, String> {
    let time = Time::parse(text)?;
    if time > Time::from_secs(1) { Err(format!("`{text}` is longer than 1s")) } else { Ok(time.0) }
}

fn size(text: &str) -> Result<u32, String> {
    let Bytes(bytes) = Bytes::parse(text).or_else(|error| text.parse().map(Bytes).map_err(|_| error))?;
    match u32::try_from(bytes) {
        Ok(bytes @ 128..=262_144) => Ok(bytes),
        _ => Err(format!("`{text}` is outside 128B to 256KiB")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn short_help_fits_a_screen() {
        let mut command = Cli::command();
        let help = command.render_help().to_string();
        // A tall terminal window of today; each of the forty verbs is a line, and there is one for each resource of the API.
        assert!(help.lines().count() <= 64, "{} lines", help.lines().count());
        for verb in command.get_subcommands_mut() {
            let lines = verb.render_help().to_string().lines().count();
            assert!(lines <= 40, "{} has {lines} lines", verb.get_name());
        }
    }

    #[test]
    fn one_letter_flags_are_the_agreed_ones() {
        let command = Cli::command();
        let mut letters: Vec<char> = command.get_arguments().filter_map(clap::Arg::get_short).collect();
        for verb in command.get_subcommands() {
            letters.extend(verb.get_arguments().filter_map(clap::Arg::get_short));
        }
        assert!(letters.iter().all(|letter| "coqvhV".contains(*letter)), "{letters:?}");
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        assert!(size("1MiB").unwrap_err().contains("256KiB"));
        assert_eq!(size("1KiB"), Ok(1024));
        assert_eq!(size("512"), Ok(512));
        assert!(duration("10ms").unwrap_err().contains("1s"));
    }
}
