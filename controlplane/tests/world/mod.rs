//! What the tests of the binary share: calling it, waiting for it, and a world for it to run in.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use bench::sqs::{OutMessage, Server, ServerConfig};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use serde_json::Value;

/// A secret that must never appear in any output.
pub(crate) const CANARY: &str = "canary-9f3b1c-never-print-me";

/// The binary with an environment of its own: no AWS or Millrace variables of the machine reach it.
pub(crate) fn millrace(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.env_clear().args(args).stdin(Stdio::null());
    command.env("HOME", "/nonexistent").env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// Runs the binary to its end.
pub(crate) fn output(args: &[&str]) -> Output {
    millrace(args).output().unwrap()
}

/// Exit code, stdout and stderr of a run.
pub(crate) fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// An SQS server and a mock cluster with one topic.
pub(crate) struct World {
    pub server: Server,
    pub cluster: MockCluster<'static, DefaultProducerContext>,
    pub folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> World {
        let server = Server::start(ServerConfig::default()).unwrap();
        server.create_queue("orders", &[]).unwrap();
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("orders", 4, 1).unwrap();
        World { server, cluster, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn send(&self, count: usize) {
        let messages = (0..count).map(|number| OutMessage::new(format!("{{\"n\":{number}}}")));
        self.server.send("orders", messages.collect()).unwrap();
    }

    /// Writes a config for this world and returns its path.
    pub(crate) fn config(&self, more: &str) -> PathBuf {
        let path = self.folder.path().join("millrace.toml");
        let text = format!(
            "[api]\nlisten = \"127.0.0.1:0\"\nstore = {:?}\n[shards]\ncount = 1\npin = false\n[drain]\ndeadline = \"10s\"\n{more}\n\
             [[pipeline]]\nname = \"orders\"\nqueue.url = \"{}\"\nqueue.region = \"us-east-1\"\nqueue.wait_time = \"1s\"\n\
             kafka.brokers = [{:?}]\nroute.topic = \"orders\"\n",
            self.folder.path().join("store"),
            self.server.queue_url("orders"),
            self.cluster.bootstrap_servers(),
        );
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// A running appliance.
pub(crate) struct Running {
    pub child: Child,
    pub port: u16,
    /// What was read of its log so far.
    pub seen: String,
}

impl Running {
    /// Starts `run` with this config and waits for its port.
    pub(crate) fn start(config: &Path, env: &[(&str, &str)]) -> Running {
        Running::start_as("run", config, env)
    }

    /// Starts `dataplane` with this config; it has no port.
    pub(crate) fn start_pump(config: &Path) -> Running {
        Running::spawn(&["dataplane", "--config", config.to_str().unwrap()], &[])
    }

    /// Starts `run` or `controlplane` with this config and waits for its port.
    pub(crate) fn start_as(verb: &str, config: &Path, env: &[(&str, &str)]) -> Running {
        let port_file = config.with_extension("port");
        let _none_yet = std::fs::remove_file(&port_file);
        let args = [verb, "--config", config.to_str().unwrap(), "--port-file", port_file.to_str().unwrap()];
        let mut running = Running::spawn(&args, env);
        running.port =
            wait("the port file", || std::fs::read_to_string(&port_file).ok()?.trim().parse().ok());
        running
    }

    fn spawn(args: &[&str], env: &[(&str, &str)]) -> Running {
        let mut command = millrace(args);
        command
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", CANARY)
            .envs(env.iter().copied());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Running { child, port: 0, seen: String::new() }
    }

    /// The token that the first start shows.
    pub(crate) fn first_token(&mut self) -> String {
        let stderr = self.child.stderr.as_mut().unwrap();
        loop {
            let mut line = Vec::new();
            let mut byte = [0];
            while byte != *b"\n" {
                stderr.read_exact(&mut byte).expect("the log has the token");
                line.push(byte[0]);
            }
            let line = String::from_utf8(line).unwrap();
            self.seen.push_str(&line);
            let json: Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(token) = json["first_token"].as_str() {
                return token.to_owned();
            }
        }
    }

    /// Status and body of a GET.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        get(self.port, path).unwrap()
    }

    pub(crate) fn wait_ready(&self) {
        wait("readiness", || get(self.port, "/readyz").filter(|(status, _)| *status == 200));
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; returns status and stderr.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let status = wait("the end", || self.child.try_wait().unwrap());
        let mut log = std::mem::take(&mut self.seen);
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        assert!(!log.contains(CANARY) && !out.contains(CANARY), "the secret was printed");
        (status, log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already when the test went well.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Of everybody who signs in.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A person at a terminal of their own: where sessions are kept, and which appliance is asked.
pub(crate) struct Person<'a> {
    pub home: &'a Path,
    pub api: String,
    pub token: Option<String>,
}

impl Person<'_> {
    /// Exit code, stdout and stderr of a verb; `input` goes to its stdin.
    pub(crate) fn says(&self, verb: &[&str], input: &str) -> (i32, String, String) {
        let mut command = millrace(verb);
        command.env("XDG_CONFIG_HOME", self.home).env("MILLRACE_API", &self.api);
        if let Some(token) = &self.token {
            command.env("MILLRACE_TOKEN", token);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A verb that reads nothing may have ended already.
        let _closed = child.stdin.take().unwrap().write_all(input.as_bytes());
        told(&child.wait_with_output().unwrap())
    }

    /// The answer of a verb that does its work.
    pub(crate) fn json(&self, verb: &[&str], input: &str) -> Value {
        let (code, out, error) = self.says(&[verb, &["-o", "json"]].concat(), input);
        assert_eq!(code, 0, "{verb:?}: {error}");
        serde_json::from_str(&out).unwrap_or(Value::Null)
    }
}

/// A GET over a connection of its own.
pub(crate) fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n")?.1.to_owned();
    Some((status, body))
}

/// Asks until there is an answer.
pub(crate) fn wait<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}
