//! Child processes: logs captured, signals to the whole group, deadlines on every wait, nobody left behind.
//!
//! All children are started by one thread that lives as long as this process: the kernel kills a child
//! when the thread that started it ends (PR_SET_PDEATHSIG), and a test's own thread ends too early for a
//! server that several tests share.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::kernel::{Cage, Signal, signal_group};

/// Lines of a log that an error text quotes.
const TAIL_LINES: usize = 40;

/// A running child; its process group is killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    name: String,
    ended: Option<ExitStatus>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Process {
    /// Starts a command; its output goes to `NAME.log` in `folder`, from the beginning.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(name: &str, folder: &Path, command: Command) -> Result<Process> {
        Process::start_caged(name, folder, command, &Cage::default())
    }

    /// The same, with limits.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start_caged(name: &str, folder: &Path, mut command: Command, cage: &Cage) -> Result<Process> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        cage.close(&mut command);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = spawn(command).with_context(|| format!("{name} cannot be started: {program}"))?;
        Ok(Process { child, log, name: name.to_owned(), ended: None })
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything written so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The end of the log, for error texts.
    pub fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Sends a signal to the process group.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        ensure!(self.is_running()?, "{} has ended and takes no {signal:?}:\n{}", self.name, self.tail());
        signal_group(self.id(), signal).with_context(|| format!("{} took no {signal:?}", self.name))
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn is_running(&mut self) -> Result<bool> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended.is_none())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It did not end in time; the text has the end of its log.
    pub fn wait(&mut self, within: Duration) -> Result<Exit> {
        let end = Instant::now() + within;
        while self.is_running()? {
            ensure!(Instant::now() < end, "{} did not end within {within:?}:\n{}", self.name, self.tail());
            std::thread::sleep(Duration::from_millis(2));
        }
        let status = self.ended.context("an ended process has a status")?;
        match (status.code(), status.signal()) {
            (Some(code), _) => Ok(Exit::Code(code)),
            (None, Some(signal)) => Ok(Exit::Signal(signal)),
            (None, None) => bail!("{} ended in no way that is known: {status}", self.name),
        }
    }

    /// Waits for a text in its log.
    ///
    /// # Errors
    /// It ended or the time is up; the text has the end of its log.
    pub fn wait_for_log(&mut self, text: &str, within: Duration) -> Result<()> {
        let end = Instant::now() + within;
        while !self.log().contains(text) {
            ensure!(self.is_running()?, "{} ended:\n{}", self.name, self.tail());
            ensure!(
                Instant::now() < end,
                "{} did not say `{text}` within {within:?}:\n{}",
                self.name,
                self.tail()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// SIGKILL to the group, and waits for the end.
    pub fn kill(&mut self) {
        if self.ended.is_none() {
            // Fails only for a group that is gone already.
            let _gone = signal_group(self.id(), Signal::Kill);
            self.ended = self.child.wait().ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- end of the log of {}:\n{}\n---", self.name, self.tail());
        }
    }
}

struct Order {
    command: Command,
    answer: Sender<io::Result<Child>>,
}

/// Has the thread that outlives all tests start a child.
fn spawn(command: Command) -> io::Result<Child> {
    static PARENT: OnceLock<Sender<Order>> = OnceLock::new();
    let parent = PARENT.get_or_init(|| {
        let (orders, todo) = channel::<Order>();
        std::thread::spawn(move || {
            for mut order in todo {
                // Who asked has given up: dropping a child does not kill it, its own parent's death does.
                let _nobody_waits = order.answer.send(order.command.spawn());
            }
        });
        orders
    });
    let (answer, child) = channel();
    parent.send(Order { command, answer }).map_err(io::Error::other)?;
    child.recv().map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn shell(script: &str) -> (Scratch, Process) {
        let scratch = Scratch::new("process").unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let process = Process::start("sh", scratch.path(), command).unwrap();
        (scratch, process)
    }

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn an_exit_code_and_a_signal_are_told_apart() {
        assert_eq!(shell("exit 7").1.wait(SOON).unwrap(), Exit::Code(7));
        let (_scratch, mut process) = shell("sleep 60");
        process.signal(Signal::Terminate).unwrap();
        assert_eq!(process.wait(SOON).unwrap(), Exit::Signal(15));
    }

    #[test]
    fn a_wait_that_fails_quotes_the_log() {
        let (_scratch, mut process) = shell("echo the cause >&2; sleep 60");
        process.wait_for_log("the cause", SOON).unwrap();
        let error = process.wait(Duration::from_millis(20)).unwrap_err().to_string();
        assert!(error.contains("the cause"), "{error}");
        let (_scratch, mut process) = shell("echo gone; exit 1");
        let error = process.wait_for_log("never", SOON).unwrap_err().to_string();
        assert!(error.contains("gone"), "{error}");
    }

    #[test]
    fn dropping_a_process_kills_its_children_too() {
        let (scratch, mut process) = shell("sleep 61 & echo $!; wait");
        process.wait_for_log("\n", SOON).unwrap();
        let grandchild = process.log().trim().to_owned();
        drop(process);
        let stat = Path::new("/proc").join(&grandchild).join("stat");
        crate::wait_until("the grandchild is gone", 20, || {
            fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))
        })
        .unwrap();
        drop(scratch);
    }

    #[test]
    fn a_child_outlives_the_thread_that_asked_for_it() {
        let (_scratch, mut process) = std::thread::spawn(|| shell("sleep 60")).join().unwrap();
        assert!(process.wait(Duration::from_millis(200)).is_err());
        assert!(process.is_running().unwrap());
    }
}
