//! The programs that are measured, and how each is told what to do.
//!
//! Every one runs as its documents advise for speed, and safely: a message is deleted after its ack. `limit` is the
//! exception, and no pump: it joins nothing, and shows what receiving, deleting and producing cost by themselves.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use crate::broker::which;
use crate::program::Launch;
use crate::workload::{KafkaKind, Workload};

/// A program that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// `millrace run` with defaults
    Millrace,
    /// The least that does the job: glommio, serde_json, librdkafka; no leases, no metrics
    Floor,
    /// The parts without the job: receives and deletes unparsed, produces from memory. Not a pump
    Limit,
    /// aws-sdk-sqs and rdkafka's FutureProducer on tokio
    Sdk,
    /// boto3 and confluent-kafka, sixteen threads
    Python,
    /// Redpanda Connect; needs `--kafka real`
    Connect,
    /// mq-bridge; needs `--kafka real`
    MqBridge,
    /// Vector; needs `--vector PATH`
    Vector,
}

/// What a target has to do.
pub(crate) struct Job<'a> {
    /// Root of the project.
    pub(crate) root: &'a Path,
    /// Folder of the built programs.
    pub(crate) programs: &'a Path,
    /// Folder of the run, for generated files.
    pub(crate) folder: &'a Path,
    /// `http://127.0.0.1:PORT`, or with `https`.
    pub(crate) endpoint: &'a str,
    /// URL of the queue.
    pub(crate) queue_url: &'a str,
    /// Authority to trust, when the endpoint is https.
    pub(crate) ca: Option<&'a Path>,
    /// Brokers.
    pub(crate) bootstrap: &'a str,
    /// Topic.
    pub(crate) topic: &'a str,
    /// Parameters.
    pub(crate) workload: &'a Workload,
    /// Port for Millrace's own pages.
    pub(crate) pages_port: u16,
    /// Cores that the target gets.
    pub(crate) cores: usize,
    /// `--set` of Millrace.
    pub(crate) settings: &'a [String],
    /// Installed Vector.
    pub(crate) vector: Option<&'a Path>,
}

impl Target {
    /// Name in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Target::Millrace => "millrace",
            Target::Floor => "floor",
            Target::Limit => "limit",
            Target::Sdk => "sdk",
            Target::Python => "python",
            Target::Connect => "connect",
            Target::MqBridge => "mq-bridge",
            Target::Vector => "vector",
        }
    }

    /// Whether its records are those of the queue, so that loss can be judged.
    pub(crate) fn is_pump(self) -> bool {
        self != Target::Limit
    }

    /// Why it cannot do this work, if so.
    ///
    /// # Errors
    /// The reason.
    pub(crate) fn ensure_able(self, workload: &Workload) -> Result<()> {
        let is_peer = matches!(self, Target::Connect | Target::MqBridge | Target::Vector);
        ensure!(
            workload.fifo.is_none() || !is_peer && self != Target::Limit,
            "{} keeps no order of message groups",
            self.name()
        );
        // Seen, not read: one cannot parse the mock's ApiVersions, the other never gets ready.
        ensure!(
            !matches!(self, Target::Connect | Target::MqBridge) || workload.kafka == KafkaKind::Real,
            "{} does not work with the mock cluster: use --kafka real",
            self.name()
        );
        ensure!(
            self != Target::Vector || !workload.tls,
            "vector is not told of a private authority here: it has not been tried"
        );
        ensure!(self != Target::Limit || workload.attributes == 0, "limit knows no attributes");
        ensure!(self != Target::Limit || workload.rate.is_none(), "limit has no latency: it joins nothing");
        Ok(())
    }

    /// The command.
    ///
    /// # Errors
    /// Its program is missing, or a file cannot be written.
    pub(crate) fn launch(self, job: &Job<'_>) -> Result<Launch> {
        let launch = match self {
            Target::Millrace => millrace(job)?,
            Target::Floor => own(job, "bench-floor"),
            Target::Limit => own(job, "bench-limit"),
            Target::Sdk => own(job, "bench-sdk"),
            Target::Python => python(job)?,
            Target::Connect => connect(job)?,
            Target::MqBridge => mq_bridge(job)?,
            Target::Vector => vector(job)?,
        };
        ensure!(launch.program.is_file(), "{} is missing: run `{}`", launch.program.display(), self.remedy());
        // Nobody checks these; SDKs refuse to work without, and look for metadata servers otherwise.
        let launch = launch
            .environment("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .environment("AWS_SECRET_ACCESS_KEY", "secret")
            .environment("AWS_REGION", "us-east-1")
            .environment("AWS_EC2_METADATA_DISABLED", "true")
            .environment("HOME", job.folder);
        Ok(self.trusting(launch, job.ca))
    }

    /// Tells programs that take no argument for it which authority to trust: Go and rustls-native-certs read this
    /// variable, and have nobody else to trust then.
    fn trusting(self, launch: Launch, ca: Option<&Path>) -> Launch {
        match (self, ca) {
            (Target::Connect | Target::MqBridge, Some(ca)) => launch.environment("SSL_CERT_FILE", ca),
            _ => launch,
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Target::Millrace | Target::Floor | Target::Limit | Target::Sdk => {
                "cargo build --release -p controlplane -p bench"
            }
            _ => "make peers",
        }
    }
}

/// Threads of a target that are not its own affair.
fn shards(job: &Job<'_>) -> usize {
    if job.workload.shards == 0 { job.cores } else { usize::from(job.workload.shards) }
}

fn millrace(job: &Job<'_>) -> Result<Launch> {
    let shards = shards(job);
    let ca = job.ca.map(|path| format!("ca_file = {path:?}\n")).unwrap_or_default();
    let text = format!(
        "[shards]\ncount = {shards}\npin = {}\n\n[api]\nlisten = \"127.0.0.1:{}\"\n\n[[pipeline]]\nname = \"bench\"\n\n\
         [pipeline.queue]\nurl = {:?}\nregion = \"us-east-1\"\n{ca}\n\
         [pipeline.kafka]\nbrokers = [{:?}]\ncompression = \"{}\"\n\n[pipeline.route]\ntopic = {:?}\n",
        shards <= job.cores,
        job.pages_port,
        job.queue_url,
        job.bootstrap,
        job.workload.compression.as_str(),
        job.topic,
    );
    let file = write(job, "millrace.toml", &text)?;
    let mut arguments: Vec<OsString> = vec!["run".into(), "--config".into(), file.into()];
    for setting in job.settings {
        arguments.extend(["--set".into(), setting.into()]);
    }
    Ok(Launch::new(job.programs.join("millrace"), arguments)
        .environment("STATE_DIRECTORY", job.folder.join("state")))
}

/// Arguments that all programs of this crate take.
fn own(job: &Job<'_>, name: &str) -> Launch {
    Launch::new(job.programs.join(name), arguments(job))
}

fn arguments(job: &Job<'_>) -> Vec<String> {
    let mut arguments: Vec<String> = [
        ("--endpoint", job.endpoint),
        ("--queue-url", job.queue_url),
        ("--brokers", job.bootstrap),
        ("--topic", job.topic),
        ("--compression", job.workload.compression.as_str()),
    ]
    .iter()
    .flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()])
    .collect();
    arguments.extend(["--shards".to_owned(), shards(job).to_string()]);
    arguments.extend(["--body-bytes".to_owned(), job.workload.body_bytes().to_string()]);
    if let Some(ca) = job.ca {
        arguments.extend(["--ca".to_owned(), ca.display().to_string()]);
    }
    if job.workload.attributes > 0 {
        arguments.push("--attributes".to_owned());
    }
    if job.workload.fifo.is_some() {
        arguments.push("--fifo".to_owned());
    }
    arguments
}

fn python(job: &Job<'_>) -> Result<Launch> {
    let script = job.root.join("bench/peers/pump.py");
    let mut all = vec![script.display().to_string()];
    all.extend(arguments(job));
    Ok(Launch::new(job.root.join("target/venv-peers/bin/python"), all))
}

/// Source of the shape: Redpanda Connect's own pages of `aws_sqs` and `kafka_franz`; counts by measurement, see
/// docs/performance.md.
fn connect(job: &Job<'_>) -> Result<Launch> {
    let metadata =
        if job.workload.attributes > 0 { "\n    metadata: { include_patterns: [ \".*\" ] }" } else { "" };
    let text = format!(
        "http: {{ enabled: false }}
logger: {{ level: WARN }}
input:
  broker:
    copies: 8
    inputs:
      - aws_sqs:
          url: {}
          endpoint: {}
          region: us-east-1
          credentials: {{ id: a, secret: b }}
          wait_time_seconds: 20
          max_number_of_messages: 10
          max_outstanding_messages: 10000
output:
  kafka_franz:
    seed_brokers: [ \"{}\" ]
    topic: {}
    compression: {}
    max_in_flight: 2048
    batching: {{ count: 1000, period: 5ms }}{metadata}
",
        job.queue_url,
        job.endpoint,
        job.bootstrap,
        job.topic,
        job.workload.compression.as_str(),
    );
    let file = write(job, "connect.yaml", &text)?;
    let launch = Launch::new(job.root.join("target/peers/connect"), ["run".into(), file.into_os_string()]);
    // Go would start a thread for each core of the machine and not of its mask.
    Ok(launch.environment("GOMAXPROCS", job.cores.to_string()))
}

fn mq_bridge(job: &Job<'_>) -> Result<Launch> {
    let text = format!(
        "routes:
  bench:
    concurrency: 16
    batch_size: 10
    input: {{ aws: {{ queue_url: \"{}\", region: us-east-1, endpoint_url: \"{}\", access_key: a, secret_key: b, max_messages: 10, wait_time_seconds: 20 }} }}
    output: {{ kafka: {{ url: \"{}\", topic: {}, producer_options: [ [\"linger.ms\", \"5\"], [\"compression.type\", \"{}\"] ] }} }}
",
        job.queue_url,
        job.endpoint,
        job.bootstrap,
        job.topic,
        job.workload.compression.as_str(),
    );
    let file = write(job, "mq-bridge.yaml", &text)?;
    Ok(Launch::new(job.root.join("target/peers/mq-bridge-app"), ["-c".into(), file.into_os_string()]))
}

fn vector(job: &Job<'_>) -> Result<Launch> {
    let program = match job.vector {
        Some(path) => path.to_owned(),
        None => which("vector").context("Vector cannot be built here: install it and give --vector PATH")?,
    };
    let template = fs::read_to_string(job.root.join("bench/peers/vector.yaml"))?;
    let pairs = [
        ("QUEUE_URL", job.queue_url),
        ("ENDPOINT", job.endpoint),
        ("BROKERS", job.bootstrap),
        ("TOPIC", job.topic),
        ("COMPRESSION", job.workload.compression.as_str()),
    ];
    let mut launch = Launch::new(program, ["--config", "vector.yaml"]);
    if !template.contains("${QUEUE_URL}") {
        bail!("bench/peers/vector.yaml does not take its queue from the environment");
    }
    let file = write(job, "vector.yaml", &template)?;
    launch.arguments = vec!["--config".into(), file.into(), "--threads".into(), job.cores.to_string().into()];
    launch = launch.environment("VECTOR_DATA_DIR", job.folder);
    Ok(pairs.iter().fold(launch, |launch, (name, value)| launch.environment(name, value)))
}

fn write(job: &Job<'_>, name: &str, text: &str) -> Result<PathBuf> {
    let path = job.folder.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::tests::parsed;

    #[test]
    fn every_target_has_a_command_with_queue_and_topic() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["millrace", "bench-floor", "bench-limit", "bench-sdk", "vector"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let (workload, settings) = (parsed(&["--compression", "zstd"]), ["drain.deadline=9s".to_owned()]);
        let vector = folder.path().join("vector");
        let job = Job {
            root,
            programs: folder.path(),
            folder: folder.path(),
            endpoint: "http://127.0.0.1:9",
            queue_url: "http://127.0.0.1:9/0/q",
            ca: Some(Path::new("authority.pem")),
            pages_port: 7,
            bootstrap: "127.0.0.1:8",
            topic: "topic-of-run",
            workload: &workload,
            cores: 1,
            settings: &settings,
            vector: Some(&vector),
        };
        for target in [Target::Vector, Target::Millrace, Target::Floor, Target::Limit, Target::Sdk] {
            let launch = target.launch(&job).unwrap();
            let mut told = format!("{:?}{:?}", launch.arguments, launch.environment);
            if target == Target::Millrace {
                told += &fs::read_to_string(folder.path().join("millrace.toml")).unwrap();
            }
            for part in ["http://127.0.0.1:9/0/q", "127.0.0.1:8", "topic-of-run", "zstd"] {
                assert!(told.contains(part), "{}: {part} in {told}", target.name());
            }
            assert!(target == Target::Vector || told.contains("authority.pem"), "{told}");
        }
        let absent = Job { programs: Path::new("absent"), ..job };
        let error = Target::Floor.launch(&absent).unwrap_err().to_string();
        assert!(error.contains("cargo build --release"), "{error}");
    }

    #[test]
    fn what_a_target_cannot_do_is_said() {
        assert!(Target::MqBridge.ensure_able(&parsed(&[])).is_err());
        assert!(Target::Connect.ensure_able(&parsed(&[])).is_err());
        assert!(Target::MqBridge.ensure_able(&parsed(&["--kafka", "real"])).is_ok());
        assert!(Target::Connect.ensure_able(&parsed(&["--fifo", "9", "--kafka", "real"])).is_err());
        assert!(Target::Floor.ensure_able(&parsed(&["--fifo", "9"])).is_ok());
        assert!(Target::Limit.ensure_able(&parsed(&["--rate", "9"])).is_err());
        assert!(Target::Vector.ensure_able(&parsed(&["--tls"])).is_err());
    }
}
