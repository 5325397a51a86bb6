//! One real Apache Kafka broker (KRaft) from the jars that `make setup-test` fetches, on the servers' cores.
//!
//! Plain and alone: enough to measure with. Clusters, security and faults are the business of the `tests` crate,
//! which this crate cannot use, because that one uses this.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use futures_lite::future::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use tempfile::TempDir;

use crate::program::{Launch, Program};

/// Time to come up: 4 s of formatting and 3 s of starting on an idle machine.
const START_MAX: Duration = Duration::from_secs(120);
/// Time for an answer to an admin call.
const ADMIN_MAX: Duration = Duration::from_secs(30);

const LOG4J: &str = "log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{ABSOLUTE} %p %m%n
";

/// A running broker.
pub(crate) struct Broker {
    // Before its folder, so that it is gone when that is removed.
    program: Program,
    port: u16,
    _folder: TempDir,
}

impl Broker {
    /// Formats a storage and starts a broker upon it.
    ///
    /// # Errors
    /// Java or the jars are missing, or it does not come up.
    pub(crate) fn start(root: &Path, scratch: &Path, cores: &[u16]) -> Result<Broker> {
        let libs = root.join("target/kafka/libs");
        ensure!(libs.exists(), "Kafka's jars are missing: run `make setup-test`, which fetches them");
        let folder = tempfile::Builder::new().prefix("kafka").tempdir_in(scratch)?;
        let [port, controller] = free_ports()?;
        let config = folder.path().join("server.properties");
        fs::write(&config, properties(port, controller, &folder.path().join("log")))?;
        fs::write(folder.path().join("log4j.properties"), LOG4J)?;
        let storage = ["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c"];
        let mut format = Program::start(
            "format",
            folder.path(),
            &java(&libs, folder.path(), &storage, &config)?,
            cores,
            cores,
        )?;
        let ended = format.wait(START_MAX)?;
        ensure!(ended.success(), "formatting failed: {}", format.tail());
        let launch = java(&libs, folder.path(), &["kafka.Kafka"], &config)?;
        let mut program = Program::start("kafka", folder.path(), &launch, cores, cores)?;
        program.wait_for_log("Kafka Server started", START_MAX)?;
        Ok(Broker { program, port, _folder: folder })
    }

    /// `host:port`.
    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.program.id()
    }

    /// Creates a topic whose records carry the time at which the broker appended them.
    ///
    /// # Errors
    /// The broker refuses.
    pub(crate) fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1))
            .set("message.timestamp.type", "LogAppendTime")
            .set("file.delete.delay.ms", "1000");
        let (admin, options) = self.admin()?;
        for result in block_on(admin.create_topics([&topic], &options))? {
            result.map_err(|(name, code)| anyhow!("topic {name}: {code}"))?;
        }
        Ok(())
    }

    /// Deletes a topic: a run leaves some hundred MiB.
    ///
    /// # Errors
    /// The broker refuses.
    pub(crate) fn delete_topic(&self, name: &str) -> Result<()> {
        let (admin, options) = self.admin()?;
        for result in block_on(admin.delete_topics(&[name], &options))? {
            result.map_err(|(name, code)| anyhow!("topic {name}: {code}"))?;
        }
        Ok(())
    }

    fn admin(&self) -> Result<(AdminClient<DefaultClientContext>, AdminOptions)> {
        let admin = ClientConfig::new().set("bootstrap.servers", self.bootstrap()).create()?;
        Ok((admin, AdminOptions::new().operation_timeout(Some(ADMIN_MAX))))
    }
}

fn java(libs: &Path, folder: &Path, class: &[&str], config: &Path) -> Result<Launch> {
    // Maven's jars need no more than `java` on the PATH.
    let program = which("java").context("Java is missing: run `make setup-test`, which installs it")?;
    let log4j = format!("-Dlog4j.configuration=file:{}", folder.join("log4j.properties").display());
    let mut arguments: Vec<String> =
        ["-Xms256m", "-Xmx1g", log4j.as_str(), "-cp"].map(str::to_owned).to_vec();
    arguments.push(format!("{}/*", libs.display()));
    arguments.extend(class.iter().map(|&word| word.to_owned()));
    arguments.push(config.display().to_string());
    Ok(Launch::new(program, arguments))
}

/// Path of a program on the PATH.
pub(crate) fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Distinct ports that nobody listens on now: a broker cannot take port 0, because it advertises what it was told.
pub(crate) fn free_ports<const COUNT: usize>() -> std::io::Result<[u16; COUNT]> {
    let mut held = Vec::new();
    let mut ports = [0; COUNT];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// Source of the names: Kafka documentation, "Broker configs". What is not named has its default.
fn properties(port: u16, controller: u16, log: &Path) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
message.max.bytes=2097152
auto.create.topics.enable=false
",
        log.display()
    )
}
