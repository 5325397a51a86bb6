//! ElasticMQ, an SQS server that this project did not write.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::process::Process;
use crate::scratch::Scratch;
use crate::{ports, root};

/// A running ElasticMQ.
#[derive(Debug)]
pub struct ElasticMq {
    port: u16,
    _process: Process,
    _scratch: Scratch,
}

impl ElasticMq {
    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// Jars are missing, or it does not come up.
    pub fn start() -> Result<ElasticMq> {
        let libs = root().join("target/elasticmq/libs");
        ensure!(
            libs.join(".complete").exists(),
            "ElasticMQ's jars are missing: run `make test`, which fetches them"
        );
        let scratch = Scratch::new("elasticmq")?;
        let port = ports::free()?;
        let config = scratch.join("elasticmq.conf");
        fs::write(
            &config,
            format!(
                "include classpath(\"application.conf\")
node-address {{ protocol = http, host = \"127.0.0.1\", port = {port}, context-path = \"\" }}
rest-sqs {{ enabled = true, bind-port = {port}, bind-hostname = \"127.0.0.1\", sqs-limits = strict }}
rest-stats {{ enabled = false }}
queues-storage {{ enabled = false }}
"
            ),
        )?;
        let mut command = Command::new("java");
        command
            .args(["-Xmx512m", "-XX:TieredStopAtLevel=1"])
            .arg(format!("-Dconfig.file={}", config.display()));
        command.arg("-cp").arg(format!("{}/*", libs.display())).arg("org.elasticmq.server.Main");
        let mut process = Process::start("elasticmq", scratch.path(), command)?;
        process.wait_for_log("Started SQS rest server", Duration::from_secs(60))?;
        Ok(ElasticMq { port, _process: process, _scratch: scratch })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
