//! A target or broker as a process: pinned, its output in a file, ended with the harness.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::cores;

/// Lines of a log that an error quotes.
const TAIL_LINES: usize = 20;

/// What is to be started.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// Path of the program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
    /// Its whole environment, but for PATH.
    pub(crate) environment: Vec<(String, OsString)>,
}

impl Launch {
    /// A program with arguments.
    pub(crate) fn new<Argument: Into<OsString>>(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> Launch {
        Launch {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
        }
    }

    /// Sets a variable.
    pub(crate) fn environment(mut self, name: &str, value: impl Into<OsString>) -> Launch {
        self.environment.push((name.to_owned(), value.into()));
        self
    }
}

/// A running program; killed when dropped.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    log: PathBuf,
    name: String,
}

impl Program {
    /// Starts it on these cores; afterwards the calling thread is confined to `own_cores`.
    ///
    /// `setpriv` lets the kernel end it with the calling thread, so that a harness that is killed leaves nothing
    /// behind: call this on a thread that lives as long as the harness.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(
        name: &str,
        folder: &Path,
        launch: &Launch,
        on_cores: &[u16],
        own_cores: &[u16],
    ) -> Result<Program> {
        ensure!(
            launch.program.components().count() == 1 || launch.program.exists(),
            "{} is missing",
            launch.program.display()
        );
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&launch.program).args(&launch.arguments);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(launch.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        cores::confine(on_cores)?;
        let child = command.spawn();
        cores::confine(own_cores)?;
        let child = child.context("setpriv (Debian package util-linux) cannot be started")?;
        Ok(Program { child, log, name: name.to_owned() })
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Says so if it has ended.
    ///
    /// # Errors
    /// It has ended; the text has the end of its log.
    pub(crate) fn ensure_running(&mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "{} ended ({}):\n{}", self.name, ended.unwrap_or_default(), self.tail());
        Ok(())
    }

    /// Waits until its log has a text.
    ///
    /// # Errors
    /// It ended, or the time is up.
    pub(crate) fn wait_for_log(&mut self, text: &str, within: Duration) -> Result<()> {
        let end = Instant::now() + within;
        while !self.log().contains(text) {
            self.ensure_running()?;
            ensure!(
                Instant::now() < end,
                "{} did not log `{text}` within {within:?}:\n{}",
                self.name,
                self.tail()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// The time is up.
    pub(crate) fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let ended = self.poll(within)?;
        ended.with_context(|| format!("{} did not end within {within:?}:\n{}", self.name, self.tail()))
    }

    /// SIGTERM, then SIGKILL when the time is up; `None`: it had to be killed.
    ///
    /// # Errors
    /// The kernel does not tell how it ended.
    pub(crate) fn end(&mut self, within: Duration) -> Result<Option<ExitStatus>> {
        self.signal(Signal::TERM);
        let ended = self.poll(within)?;
        if ended.is_none() {
            self.child.kill()?;
            self.child.wait()?;
        }
        Ok(ended)
    }

    fn poll(&mut self, within: Duration) -> Result<Option<ExitStatus>> {
        let end = Instant::now() + within;
        loop {
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() >= end {
                return Ok(ended);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = Pid::from_raw(self.child.id().cast_signed()) {
            // It may have ended by itself.
            let _gone = kill_process(id, signal);
        }
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The end of its log.
    pub(crate) fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (tempfile::TempDir, Program) {
        let folder = tempfile::tempdir().unwrap();
        let cores = cores::allowed().unwrap();
        let launch = Launch::new("sh", ["-c", script]).environment("WORD", "heard");
        let program = Program::start("shell", folder.path(), &launch, &cores[..1], &cores).unwrap();
        (folder, program)
    }

    #[test]
    fn a_program_runs_on_its_cores_in_its_environment() {
        let (_folder, mut program) = shell("echo $WORD; grep Cpus_allowed_list /proc/self/status; sleep 60");
        program.wait_for_log("heard", Duration::from_secs(20)).unwrap();
        program
            .wait_for_log(
                &format!("Cpus_allowed_list:\t{}\n", cores::allowed().unwrap()[0]),
                Duration::from_secs(20),
            )
            .unwrap();
        assert!(program.end(Duration::from_secs(20)).unwrap().is_some());
    }

    #[test]
    fn one_that_ignores_sigterm_is_killed() {
        let (_folder, mut program) = shell("trap '' TERM; echo ready; while true; do sleep 0.1; done");
        program.wait_for_log("ready", Duration::from_secs(20)).unwrap();
        assert!(program.end(Duration::from_millis(300)).unwrap().is_none());
    }

    #[test]
    fn an_early_end_quotes_the_log() {
        let (_folder, mut program) = shell("echo the cause; exit 3");
        let error = program.wait_for_log("never", Duration::from_secs(20)).unwrap_err().to_string();
        assert!(error.contains("the cause") && error.contains('3'), "{error}");
    }
}
