//! The appliance under test: `millrace run` with a file, asked over HTTP, ended by signals.
//!
//! It is the real binary in a process of its own. Nothing of it is linked in here but its words.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::kernel::{Cage, Signal};
use crate::process::{Exit, Process};
use crate::scratch::Scratch;
use crate::{http, root, wait_until};

/// The AWS keys of every appliance under test.
pub const ACCESS_KEY: &str = "AKIDEXAMPLE";
/// Its secret.
pub const SECRET_KEY: &str = "canary-of-a-secret-key";

/// Name of the one pipeline of a plan.
pub const PIPELINE: &str = "orders";

/// Seconds until it must be ready, beside other tests on two cores.
const READY_S_MAX: u64 = 60;

/// Time to end after a signal: the drain's deadline and some.
pub const END_MAX: Duration = Duration::from_secs(60);

/// What an appliance is told: a TOML file in sections, environment, limits.
#[derive(Clone, Debug)]
pub struct Plan {
    sections: BTreeMap<String, String>,
    /// Pipelines beside the first: their names and sections.
    others: Vec<(String, BTreeMap<String, String>)>,
    has_keys: bool,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    cage: Cage,
}

impl Plan {
    /// One pipeline from a queue to a topic, on one shard that is not pinned, with short waits.
    pub fn new(queue_url: &str, brokers: &[String], topic: &str) -> Plan {
        let plan = Plan {
            sections: BTreeMap::new(),
            others: Vec::new(),
            has_keys: true,
            environment: Vec::new(),
            arguments: Vec::new(),
            cage: Cage::default(),
        };
        plan.set("shards", "count = 1\npin = false")
            .set("api", "listen = \"127.0.0.1:0\"")
            .set("drain", "deadline = \"20s\"")
            .set(
                "pipeline.queue",
                &format!("url = {queue_url:?}\nregion = \"us-east-1\"\nwait_time = \"1s\""),
            )
            .set("pipeline.kafka", &format!("brokers = {brokers:?}"))
            .set("pipeline.route", &format!("topic = {topic:?}"))
    }

    /// Replaces a section.
    pub fn set(mut self, section: &str, lines: &str) -> Plan {
        self.sections.insert(section.to_owned(), format!("{lines}\n"));
        self
    }

    /// Adds lines to a section.
    pub fn add(mut self, section: &str, lines: &str) -> Plan {
        let text = self.sections.entry(section.to_owned()).or_default();
        text.push_str(lines);
        text.push('\n');
        self
    }

    /// Exchanges a part of a section.
    pub fn replace(mut self, section: &str, from: &str, to: &str) -> Plan {
        if let Some(text) = self.sections.get_mut(section) {
            *text = text.replace(from, to);
        }
        self
    }

    /// Gives it a dead-letter topic.
    pub fn dead_letter(self, topic: &str) -> Plan {
        self.set("pipeline.dead_letter", &format!("topic = {topic:?}"))
    }

    /// Takes its dead-letter topic away.
    pub fn without_dead_letter(mut self) -> Plan {
        self.sections.remove("pipeline.dead_letter");
        self
    }

    /// Adds the pipeline of another plan, under a name of its own.
    pub fn beside(mut self, name: &str, other: &Plan) -> Plan {
        self.others.push((name.to_owned(), other.sections.clone()));
        self
    }

    /// Takes the AWS keys out of its environment: it must find others.
    pub fn without_keys(mut self) -> Plan {
        self.has_keys = false;
        self
    }

    /// Sets a variable of its environment.
    pub fn environment(mut self, name: &str, value: &str) -> Plan {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Kills it at the `nth` passing of a named point.
    pub fn kill_at(self, point: &str, nth: u64) -> Plan {
        self.environment("MILLRACE_FAILPOINT", &format!("{point}:{nth}"))
    }

    /// Adds an argument after `run --config FILE`.
    pub fn argument(mut self, argument: &str) -> Plan {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Runs it within limits.
    pub fn cage(mut self, cage: Cage) -> Plan {
        self.cage = cage;
        self
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, lines) in self.sections.iter().filter(|(name, _)| !name.starts_with("pipeline")) {
            // Writing to a String does not fail.
            let _infallible = write!(text, "[{name}]\n{lines}\n");
        }
        write_pipeline(&mut text, PIPELINE, &self.sections);
        for (name, sections) in &self.others {
            write_pipeline(&mut text, name, sections);
        }
        text
    }
}

fn write_pipeline(text: &mut String, name: &str, sections: &BTreeMap<String, String>) {
    let _infallible = write!(text, "[[pipeline]]\nname = \"{name}\"\n\n");
    for (name, lines) in sections.iter().filter(|(name, _)| name.starts_with("pipeline")) {
        let _infallible = write!(text, "[{name}]\n{lines}\n");
    }
}

/// A running appliance; it is killed when dropped.
#[derive(Debug)]
pub struct Appliance {
    process: Process,
    address: Option<SocketAddr>,
    port_file: PathBuf,
    /// Its configuration.
    file: PathBuf,
    _scratch: Scratch,
}

impl Appliance {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// It ended or did not get ready; the text has its log.
    pub fn start(plan: &Plan) -> Result<Appliance> {
        let mut appliance = Appliance::launch(plan)?;
        appliance.wait_ready()?;
        Ok(appliance)
    }

    /// Starts it and waits for nothing: it may be meant to fail.
    ///
    /// # Errors
    /// The binary is missing.
    pub fn launch(plan: &Plan) -> Result<Appliance> {
        let scratch = Scratch::new("appliance")?;
        let file = scratch.join("millrace.toml");
        fs::write(&file, plan.text())?;
        let port_file = scratch.join("port");
        let mut command = command(scratch.path())?;
        command.arg("run").arg("--config").arg(&file).arg("--port-file").arg(&port_file);
        command.args(&plan.arguments);
        // Users and history of one appliance are not those of another.
        command.env("STATE_DIRECTORY", scratch.join("state"));
        if !plan.has_keys {
            command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        }
        command.envs(plan.environment.iter().map(|(name, value)| (name, value)));
        let process = Process::start_caged("millrace", scratch.path(), command, &plan.cage)?;
        Ok(Appliance { process, address: None, port_file, file, _scratch: scratch })
    }

    /// Waits until `/readyz` says 200.
    ///
    /// # Errors
    /// It ended or the time is up; the text has its log and its last reasons.
    pub fn wait_ready(&mut self) -> Result<()> {
        let mut last = String::new();
        let waited = wait_until("the appliance is ready", READY_S_MAX, || {
            if !self.process.is_running().unwrap_or(false) {
                return true;
            }
            match self.get("/readyz?verbose") {
                Ok((200, _)) => true,
                Ok((_, reasons)) => {
                    last = reasons;
                    false
                }
                Err(error) => {
                    last = format!("{error:#}");
                    false
                }
            }
        });
        waited.with_context(|| format!("{last}\n{}", self.tail()))?;
        ensure!(self.process.is_running()?, "the appliance ended before it was ready:\n{}", self.tail());
        Ok(())
    }

    /// Waits until its HTTP door is open, ready or not.
    ///
    /// # Errors
    /// It ended or the time is up.
    pub fn wait_alive(&mut self) -> Result<()> {
        wait_until("the appliance listens", READY_S_MAX, || self.get("/livez").is_ok())
            .with_context(|| self.tail())
    }

    /// Status and body of a path.
    ///
    /// # Errors
    /// It does not answer.
    pub fn get(&mut self, path: &str) -> Result<(u16, String)> {
        http::get(self.address()?, path)
    }

    /// The token of the first start: an admin's.
    ///
    /// # Errors
    /// The log has none.
    pub fn token(&self) -> Result<String> {
        let log = self.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut tokens = lines.filter_map(|line| line["first_token"].as_str().map(str::to_owned));
        tokens.next().with_context(|| format!("no token of the first start in the log:\n{}", self.tail()))
    }

    /// Asks the API as an admin: status and JSON.
    ///
    /// # Errors
    /// It does not answer.
    pub fn api(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let (status, _, json) = self.api_with(method, path, body, &[])?;
        Ok((status, json))
    }

    /// The same with more headers; the head of the answer is the second.
    ///
    /// # Errors
    /// It does not answer.
    pub fn api_with(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[String],
    ) -> Result<(u16, String, Value)> {
        let token = self.token()?;
        let request = http::Request {
            method,
            path,
            token: &token,
            body: body.map(Value::to_string).unwrap_or_default(),
            headers: headers.to_vec(),
        };
        let (status, head, body) = http::ask(self.address()?, &request)?;
        Ok((status, head, serde_json::from_str(&body).unwrap_or(Value::String(body))))
    }

    fn address(&mut self) -> Result<SocketAddr> {
        if self.address.is_none() {
            let text = fs::read_to_string(&self.port_file).context("it does not listen yet")?;
            self.address = Some(SocketAddr::from(([127, 0, 0, 1], text.trim().parse()?)));
        }
        self.address.context("it does not listen yet")
    }

    /// The snapshot.
    ///
    /// # Errors
    /// It does not answer with JSON.
    pub fn snapshot(&mut self) -> Result<Value> {
        let (status, body) = self.get("/snapshot")?;
        ensure!(status == 200, "/snapshot: {status} {body}");
        Ok(serde_json::from_str(&body)?)
    }

    /// One counter of the pipeline's totals.
    ///
    /// # Errors
    /// It does not answer, or has no such counter.
    pub fn total(&mut self, name: &str) -> Result<u64> {
        let snapshot = self.snapshot()?;
        let found = snapshot.pointer(&format!("/pipelines/0/totals/{name}")).and_then(Value::as_u64);
        found.with_context(|| format!("/snapshot has no counter {name}"))
    }

    /// Reasons of `/readyz`; empty when it is ready, or does not answer.
    pub fn reasons(&mut self) -> String {
        match self.get("/readyz?verbose") {
            Ok((503, reasons)) => reasons,
            _ => String::new(),
        }
    }

    /// Waits until `/readyz` says 503 with all of these parts.
    ///
    /// # Errors
    /// The time is up; the text has its last reasons and its log.
    pub fn wait_reasons(&mut self, parts: &[&str], seconds: u64) -> Result<()> {
        let mut last = String::new();
        let waited = wait_until(&format!("/readyz tells {parts:?}"), seconds, || {
            last = self.reasons();
            !last.is_empty() && parts.iter().all(|part| last.contains(part))
        });
        waited.with_context(|| format!("{last}\n{}", self.tail()))
    }

    /// The pipeline's state and reason.
    ///
    /// # Errors
    /// It does not answer.
    pub fn state(&mut self) -> Result<(String, String)> {
        let snapshot = self.snapshot()?;
        let text = |name: &str| {
            let found = snapshot.pointer(&format!("/pipelines/0/{name}")).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        Ok((text("state"), text("reason")))
    }

    /// Waits until a counter reaches a number.
    ///
    /// # Errors
    /// It ended or the time is up; the text has its last snapshot and its log.
    pub fn wait_total(&mut self, name: &str, wanted: u64, seconds: u64) -> Result<()> {
        let mut last = String::new();
        let waited = wait_until(&format!("{name} reaches {wanted}"), seconds, || {
            let Ok(snapshot) = self.snapshot() else { return !self.is_running() };
            let totals = &snapshot["pipelines"][0]["totals"];
            last = format!("{} {} {totals}", snapshot["pipelines"][0]["state"], snapshot["reasons"]);
            totals[name].as_u64().is_some_and(|found| found >= wanted)
        });
        waited.with_context(|| format!("{last}\n{}", self.tail()))?;
        ensure!(self.is_running(), "the appliance ended:\n{}", self.tail());
        Ok(())
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running().unwrap_or(false)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Writes another configuration and lets it be read with SIGHUP.
    ///
    /// # Errors
    /// The file cannot be written, or the appliance has ended.
    pub fn reload(&mut self, plan: &Plan) -> Result<()> {
        // Whole or not at all: the signal before may still be read.
        let part = self.file.with_extension("part");
        fs::write(&part, plan.text())?;
        fs::rename(&part, &self.file)?;
        self.signal(Signal::HangUp)
    }

    /// Waits until its log has all of these parts.
    ///
    /// # Errors
    /// The time is up; the text has the end of its log.
    pub fn wait_log(&self, parts: &[&str], seconds: u64) -> Result<()> {
        let found = || {
            let log = self.log();
            parts.iter().all(|part| log.contains(part))
        };
        wait_until(&format!("the log has {parts:?}"), seconds, found).with_context(|| self.tail())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It did not end in time.
    pub fn wait(&mut self, within: Duration) -> Result<Exit> {
        self.process.wait(within)
    }

    /// SIGTERM, and its exit.
    ///
    /// # Errors
    /// It has ended before, does not end in time, or has logged its secret.
    pub fn stop(&mut self) -> Result<Exit> {
        self.signal(Signal::Terminate)?;
        let exit = self.wait(END_MAX)?;
        ensure!(!self.log().contains(SECRET_KEY), "a secret is in the log");
        Ok(exit)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Everything that it logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The end of its log.
    pub fn tail(&self) -> String {
        self.process.tail()
    }
}

/// The binary with an environment of its own: test credentials, no instance metadata, a home without files.
fn command(home: &Path) -> Result<Command> {
    let binary =
        std::env::var_os("MILLRACE_BIN").map_or_else(|| root().join("target/debug/millrace"), PathBuf::from);
    ensure!(binary.exists(), "{} is missing: run `make test`, which builds it", binary.display());
    let mut command = Command::new(binary);
    command.env_clear().env("HOME", home).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs([
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("RUST_BACKTRACE", "1"),
    ]);
    Ok(command)
}

/// Runs the binary to its end: exit code and all that it wrote.
///
/// # Errors
/// It is missing or does not end in time.
pub fn run_to_end(arguments: &[&str]) -> Result<(Exit, String)> {
    let scratch = Scratch::new("millrace")?;
    let mut command = command(scratch.path())?;
    command.args(arguments);
    let mut process = Process::start("millrace", scratch.path(), command)?;
    let exit = process.wait(END_MAX)?;
    Ok((exit, process.log()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_written_with_the_pipeline_before_its_parts() {
        let plan = Plan::new("http://h/q", &["b:1".to_owned()], "t")
            .add("pipeline.queue", "visibility_timeout = \"3s\"")
            .dead_letter("d");
        let text = plan.text();
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} in {text}"));
        assert!(at("[shards]") < at("[[pipeline]]"));
        assert!(at("[[pipeline]]") < at("[pipeline.dead_letter]\ntopic = \"d\""));
        assert!(at("wait_time = \"1s\"\nvisibility_timeout = \"3s\"") < at("[pipeline.route]"));
        assert!(text.contains("brokers = [\"b:1\"]"));
    }

    #[test]
    fn a_pipeline_beside_another_has_its_own_sections() {
        let other = Plan::new("http://h/r", &["b:1".to_owned()], "u");
        let text = Plan::new("http://h/q", &["b:1".to_owned()], "t").beside("second", &other).text();
        let (first, second) = text.split_once("name = \"second\"").unwrap();
        assert!(first.contains("http://h/q") && !first.contains("http://h/r"), "{text}");
        assert!(second.contains("http://h/r") && second.contains("topic = \"u\""), "{text}");
        assert_eq!(text.matches("[shards]").count(), 1);
    }
}
