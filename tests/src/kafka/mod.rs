//! A real Apache Kafka: KRaft, one or three brokers, from the jars that `make test` fetches.
//!
//! Each broker is a process of its own that can be killed, stopped, continued and started again.

mod certificates;
mod properties;
mod segments;
mod topics;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::kernel::Signal;
use crate::process::{Exit, Process};
use crate::scratch::Scratch;
use crate::{ports, root};

pub use certificates::{Certificate, Certificates};
pub use segments::Codec;
pub use topics::Topic;

/// Time for a broker to come up: 3 s on an idle machine, far more beside other tests on two cores.
const START_MAX: Duration = Duration::from_secs(120);

/// SCRAM-SHA-512 user of a secured cluster and the password.
pub const SCRAM_USER: (&str, &str) = ("bob", "bobs-secret");
/// PLAIN user of a secured cluster and the password.
pub const PLAIN_USER: (&str, &str) = ("alice", "alices-secret");

/// The storage id of every cluster: it names no secret, only "the same cluster".
const STORAGE_ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";

const LOG4J: &str = "log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{ABSOLUTE} %p %m%n
";

/// What kind of cluster is wanted.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Number of brokers, 1 or 3.
    pub brokers: usize,
    /// Adds SASL_SSL and mTLS listeners and an authorizer that denies by default; the plain listener
    /// administers.
    pub secured: bool,
    /// A second plain listener of the first broker: its port, and the port of the fault proxy before it,
    /// which is advertised.
    pub proxied: Option<(u16, u16)>,
}

/// A cluster of real brokers.
#[derive(Debug)]
pub struct Kafka {
    // Before the folder that they write to, so that they are dropped first.
    brokers: Vec<Broker>,
    certificates: Option<Certificates>,
    scratch: Scratch,
}

#[derive(Debug)]
struct Broker {
    ports: BrokerPorts,
    config: PathBuf,
    process: Option<Process>,
}

/// Ports of one broker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BrokerPorts {
    pub(crate) plain: u16,
    pub(crate) controller: u16,
    pub(crate) sasl_ssl: u16,
    pub(crate) ssl: u16,
}

impl BrokerPorts {
    fn free() -> Result<BrokerPorts> {
        let [plain, controller, sasl_ssl, ssl] = ports::free_many()?;
        Ok(BrokerPorts { plain, controller, sasl_ssl, ssl })
    }
}

impl Kafka {
    /// Starts `count` plain brokers and waits until they serve.
    ///
    /// # Errors
    /// Jars are missing, or a broker does not come up.
    pub fn start(count: usize) -> Result<Kafka> {
        Kafka::start_as(&Plan { brokers: count, ..Plan::default() })
    }

    /// One broker that all tests of this process share. It ends with the process.
    ///
    /// # Errors
    /// It did not come up, for whoever asked first.
    pub fn shared() -> Result<&'static Kafka> {
        static SHARED: OnceLock<Result<Kafka, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Kafka::start(1).map_err(|error| format!("{error:#}")));
        shared.as_ref().map_err(|text| anyhow!("the shared Kafka is not there: {text}"))
    }

    /// Starts a cluster and waits until it serves.
    ///
    /// # Errors
    /// Jars are missing, or a broker does not come up.
    pub fn start_as(plan: &Plan) -> Result<Kafka> {
        let scratch = Scratch::new("kafka")?;
        fs::write(scratch.join("log4j.properties"), LOG4J)?;
        let certificates = plan.secured.then(|| Certificates::make(scratch.path())).transpose()?;
        let ports = (0..plan.brokers).map(|_| BrokerPorts::free()).collect::<Result<Vec<_>>>()?;
        let mut kafka = Kafka { scratch, brokers: Vec::new(), certificates };
        for (index, &own) in ports.iter().enumerate() {
            let config = kafka.scratch.join(&format!("broker-{index}.properties"));
            let logs = kafka.scratch.join(&format!("data-{index}"));
            let text = properties::text(plan, index, &ports, &logs, kafka.certificates.as_ref());
            fs::write(&config, text)?;
            kafka.brokers.push(Broker { ports: own, config, process: None });
        }
        kafka.format(plan.secured)?;
        for index in 0..plan.brokers {
            kafka.launch(index)?;
        }
        for index in 0..plan.brokers {
            kafka.wait_ready(index)?;
        }
        Ok(kafka)
    }

    /// Formats the storage of all brokers at once: each is a Java start of seconds.
    fn format(&self, secured: bool) -> Result<()> {
        let mut formatters = Vec::new();
        for (index, broker) in self.brokers.iter().enumerate() {
            let mut command = java("256m")?;
            command.args(["kafka.tools.StorageTool", "format", "-t", STORAGE_ID, "-c"]).arg(&broker.config);
            if secured {
                let (user, password) = SCRAM_USER;
                command.args(["--add-scram", &format!("SCRAM-SHA-512=[name={user},password={password}]")]);
            }
            formatters.push(Process::start(&format!("format-{index}"), self.scratch.path(), command)?);
        }
        for mut formatter in formatters {
            let exit = formatter.wait(START_MAX)?;
            ensure!(exit == Exit::Code(0), "formatting failed: {}", formatter.tail());
        }
        Ok(())
    }

    fn launch(&mut self, index: usize) -> Result<()> {
        let heap = if self.brokers.len() > 1 { "400m" } else { "768m" };
        let mut command = java(heap)?;
        let log4j = self.scratch.join("log4j.properties");
        command.arg(format!("-Dlog4j.configuration=file:{}", log4j.display()));
        command.arg("kafka.Kafka").arg(&self.brokers[index].config);
        let process = Process::start(&format!("kafka-{index}"), self.scratch.path(), command)?;
        self.brokers[index].process = Some(process);
        Ok(())
    }

    fn wait_ready(&mut self, index: usize) -> Result<()> {
        let process = self.brokers[index].process.as_mut().context("the broker was not launched")?;
        process.wait_for_log("Kafka Server started", START_MAX)
    }

    /// `host:port` of all brokers' plain listeners.
    pub fn brokers(&self) -> Vec<String> {
        self.brokers.iter().map(|broker| address(broker.ports.plain)).collect()
    }

    /// The same, with commas.
    pub fn bootstrap(&self) -> String {
        self.brokers().join(",")
    }

    /// The SASL_SSL listener of a secured cluster.
    pub fn sasl_ssl(&self) -> String {
        address(self.brokers[0].ports.sasl_ssl)
    }

    /// The mTLS listener of a secured cluster.
    pub fn ssl(&self) -> String {
        address(self.brokers[0].ports.ssl)
    }

    /// Certificates of a secured cluster.
    ///
    /// # Errors
    /// The cluster is a plain one.
    pub fn certificates(&self) -> Result<&Certificates> {
        self.certificates.as_ref().context("a plain cluster has no certificates")
    }

    /// SIGKILLs a broker.
    pub fn kill(&mut self, index: usize) {
        self.brokers[index].process = None;
    }

    /// Stops or continues a broker.
    ///
    /// # Errors
    /// The broker does not run.
    pub fn signal(&mut self, index: usize, signal: Signal) -> Result<()> {
        self.brokers[index].process.as_mut().context("the broker does not run")?.signal(signal)
    }

    /// Starts a killed broker again.
    ///
    /// # Errors
    /// It does not come up.
    pub fn restart(&mut self, index: usize) -> Result<()> {
        self.launch(index)?;
        self.wait_ready(index)
    }

    /// Lets a user write to a topic, or takes that right away again.
    ///
    /// # Errors
    /// The cluster refuses.
    pub fn set_write_right(&self, principal: &str, topic: &str, allowed: bool) -> Result<()> {
        let mut command = java("128m")?;
        command.args(["org.apache.kafka.tools.AclCommand", "--bootstrap-server", &self.bootstrap()]);
        command.args(if allowed { &["--add"][..] } else { &["--remove", "--force"][..] });
        command.args(["--allow-principal", &format!("User:{principal}")]);
        command.args(["--operation", "Write", "--operation", "Describe", "--topic", topic]);
        let mut process = Process::start("acl", self.scratch.path(), command)?;
        let exit = process.wait(START_MAX)?;
        ensure!(exit == Exit::Code(0), "the right could not be set: {}", process.tail());
        Ok(())
    }

    /// The end of a broker's log.
    pub fn tail(&self, index: usize) -> String {
        self.brokers[index].process.as_ref().map(Process::tail).unwrap_or_default()
    }
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn java(heap: &str) -> Result<Command> {
    let libs = root().join("target/kafka/libs");
    ensure!(libs.join(".complete").exists(), "Kafka's jars are missing: run `make test`, which fetches them");
    let mut command = Command::new("java");
    // Quick to start rather than fast in the long run; the sharing of classes warns on some builds of Java.
    command.args(["-Xms64m", &format!("-Xmx{heap}"), "-XX:TieredStopAtLevel=1", "-Xshare:auto"]);
    command.arg("-cp").arg(format!("{}/*", libs.display()));
    Ok(command)
}
