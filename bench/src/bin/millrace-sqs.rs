//! The embedded SQS server as a program: for trying a consumer without an account, and for measuring the
//! server itself. It keeps nothing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bench::load::{Bodies, drain};
use bench::sqs::{FaultPlan, Identity, Keys, OutMessage, Server, ServerConfig};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Environment variable with the secret of `--access-key`.
const SECRET_KEY: &str = "MILLRACE_SQS_SECRET_KEY";
/// Body bytes of the benchmark's messages.
const BODY_BYTES: usize = 1024;
/// Messages handed to the server at once while a queue is filled.
const FILL: u64 = 10_000;
/// Passes over the shortest queues together hold at least so many messages, or the clock's grain would show.
const PASS_MESSAGES_MIN: u64 = 200_000;

#[derive(Parser)]
#[command(name = "millrace-sqs", version, about = "An SQS server in memory, with faults on demand", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  millrace-sqs serve --queue orders
  millrace-sqs serve --listen 127.0.0.1:9324 --queue orders,VisibilityTimeout=60 --queue pay.fifo --latency 5ms
  millrace-sqs serve --queue orders --faults faults.json --for 10s
  millrace-sqs serve --queue orders --tls-ca ca.pem
  aws sqs send-message --endpoint-url http://127.0.0.1:9324 --queue-url http://127.0.0.1:9324/000000000000/orders --message-body hello
  millrace-sqs self-bench --messages 1000 --messages 1000000

A fault plan is JSON; the first rule that matches a call decides:
  {\"seed\": 7, \"rules\": [{\"operation\": \"ReceiveMessage\", \"chance\": 0.01, \"action\": \"drop_after\"}]}
Other pages of the server: GET /_stats, GET /_ledger?from=N, PUT /_faults";

#[derive(Subcommand)]
enum Command {
    /// Run the server until SIGINT or SIGTERM
    #[command(after_help = EXAMPLES)]
    Serve(Serve),
    /// Measure the server: CPU time per message while 16 connections empty a queue
    SelfBench(SelfBench),
}

#[derive(Args)]
struct Serve {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:9324", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Queue to create, with attributes; names ending in .fifo are FIFO. May be given often
    #[arg(long = "queue", value_name = "NAME[,ATTRIBUTE=VALUE]...")]
    queues: Vec<String>,
    /// Time added to every answer, such as 5ms
    #[arg(long, default_value = "0ms", value_parser = duration, value_name = "TIME")]
    latency: Duration,
    /// Fault plan, a JSON file
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Keep no ledger: memory then does not grow with what was done
    #[arg(long)]
    no_ledger: bool,
    /// Refuse deletes with stale receipt handles on standard queues too
    #[arg(long)]
    strict_handles: bool,
    /// Seed of MessageIds
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Check that calls are signed with this access key; its secret is taken from MILLRACE_SQS_SECRET_KEY
    #[arg(long, value_name = "ID")]
    access_key: Option<String>,
    /// Speak HTTPS with a certificate made on the fly, and write the authority that clients have to trust here
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// End by itself after this time, such as 10s
    #[arg(long = "for", value_parser = duration, value_name = "TIME")]
    time_max: Option<Duration>,
}

#[derive(Args)]
struct SelfBench {
    /// Length of the queue; may be given often
    #[arg(long, default_values_t = [1_000, 1_000_000], value_name = "COUNT")]
    messages: Vec<u64>,
    /// Connections of the client
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=1024))]
    connections: u64,
    /// Keep the ledger while measuring
    #[arg(long)]
    ledger: bool,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Serve(serve) => run(&serve),
        Command::SelfBench(bench) => self_bench(&bench),
    }
}

/// `250us`, `5ms`, `10s`, `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| format!("`{text}` does not begin with a number"))?;
    match &text[digits..] {
        "us" => Ok(Duration::from_micros(number)),
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err(format!("`{text}` needs a unit: us, ms, s or m")),
    }
}

/// Keys that calls must be signed with. The secret is never an argument: those are for all to see.
fn keys(serve: &Serve) -> Result<Option<Keys>> {
    let Some(access_key) = serve.access_key.clone() else { return Ok(None) };
    let secret_key = std::env::var(SECRET_KEY).with_context(|| format!("--access-key needs {SECRET_KEY}"))?;
    Ok(Some(Keys { access_key, secret_key, ..Keys::default() }))
}

/// A certificate for HTTPS, its authority in the file that was asked for.
fn identity(serve: &Serve) -> Result<Option<Identity>> {
    let Some(path) = &serve.tls_ca else { return Ok(None) };
    let identity = Identity::new(serve.listen.ip())?;
    std::fs::write(path, identity.ca_pem()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Some(identity))
}

#[allow(clippy::print_stdout, reason = "a program says where it listens")]
fn run(serve: &Serve) -> Result<()> {
    let config = ServerConfig {
        listen: serve.listen,
        latency: serve.latency,
        ledger: !serve.no_ledger,
        strict_handles: serve.strict_handles,
        seed: serve.seed,
        keys: keys(serve)?,
        tls: identity(serve)?,
    };
    let mut server = Server::start(config).with_context(|| format!("cannot listen on {}", serve.listen))?;
    for queue in &serve.queues {
        println!("queue {}", create(&server, queue)?);
    }
    if let Some(path) = &serve.faults {
        server.set_faults(plan(path)?);
    }
    println!("listening on {}", server.endpoint());
    wait_for_end(serve.time_max)?;
    let stats = server.stats();
    server.stop();
    for (operation, count) in &stats.calls {
        println!("{count:>12}  {operation}");
    }
    Ok(())
}

/// Creates a queue from `NAME,ATTRIBUTE=VALUE,…`; returns its URL.
fn create(server: &Server, text: &str) -> Result<String> {
    let mut parts = text.split(',');
    let name = parts.next().unwrap_or_default();
    let mut attributes = Vec::new();
    if name.ends_with(".fifo") {
        attributes.push(("FifoQueue", "true"));
    }
    for part in parts {
        let Some(pair) = part.split_once('=') else { bail!("`{part}` in `{text}` is not ATTRIBUTE=VALUE") };
        attributes.push(pair);
    }
    if let Err(error) = server.create_queue(name, &attributes) {
        bail!("queue `{text}`: {}: {}", error.code, error.message);
    }
    Ok(server.queue_url(name))
}

fn plan(path: &Path) -> Result<FaultPlan> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no fault plan", path.display()))
}

fn wait_for_end(time_max: Option<Duration>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let over = async {
            match time_max {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = over => {}
        }
        Ok(())
    })
}

#[allow(clippy::print_stdout, reason = "the benchmark's result")]
fn self_bench(bench: &SelfBench) -> Result<()> {
    println!("{:>12} {:>14} {:>22}", "queue length", "messages/s", "server CPU us/message");
    for &messages in &bench.messages {
        ensure!(messages > 0, "a queue of no messages measures nothing");
        let (rate, cpu_us) = measure(messages, bench)?;
        println!("{messages:>12} {rate:>14.0} {cpu_us:>22.2}");
    }
    Ok(())
}

/// Fills and empties one queue, often enough; messages per second and CPU time of the server's thread.
fn measure(messages: u64, bench: &SelfBench) -> Result<(f64, f64)> {
    let server = Server::start(ServerConfig { ledger: bench.ledger, ..ServerConfig::default() })?;
    server.create_queue("bench", &[]).map_err(|error| anyhow::anyhow!(error.message))?;
    let bodies = Bodies::new(1, BODY_BYTES, 0);
    let (mut elapsed, mut cpu_ns, mut drained) = (Duration::ZERO, 0, 0);
    while drained < PASS_MESSAGES_MIN {
        for first in (0..messages).step_by(FILL as usize) {
            let numbers = first..messages.min(first + FILL);
            let chunk = numbers.map(|number| OutMessage::new(bodies.body(number).text)).collect();
            server.send("bench", chunk).map_err(|error| anyhow::anyhow!(error.message))?;
        }
        let (since, cpu_before) = (Instant::now(), server.thread_cpu_ns());
        let deleted = drain(server.address(), &server.queue_url("bench"), bench.connections as usize)?;
        elapsed += since.elapsed();
        cpu_ns += server.thread_cpu_ns() - cpu_before;
        ensure!(deleted == messages, "{deleted} of {messages} messages were deleted");
        drained += deleted;
    }
    Ok((drained as f64 / elapsed.as_secs_f64(), cpu_ns as f64 / 1000.0 / drained as f64))
}
