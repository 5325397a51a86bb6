//! Logs: text on a terminal, JSON lines otherwise, on stderr; UTC with microseconds; an `event` code in each line.
//!
//! Never bodies, receipt handles or secrets: those never reach this crate or have no `Debug` form. A reader that
//! stops reading costs lines, not time: lines wait in a bounded queue and are dropped, and counted, beyond it. A line that
//! comes again and again is written once, with a count. The level can be changed while the process runs.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::cli::{Global, LogFormat};

/// Lines that may wait for a slow reader.
const WAITING_LINES_MAX: usize = 1_024;

/// Time that the last lines get at the end of the process.
const FLUSH_MAX: Duration = Duration::from_millis(300);

/// How long repeats of a line are gathered before their count is told.
const REPEATS_MAX: Duration = Duration::from_secs(10);

type Change = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

/// Level in force, and what changes it.
static LEVEL: OnceLock<(Mutex<&'static str>, Change)> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);
static QUEUE: OnceLock<Mutex<Option<SyncSender<Vec<u8>>>>> = OnceLock::new();

/// Lines dropped so far because nobody read them.
pub(crate) fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Writes the lines that still wait when it is dropped.
pub(crate) struct Guard {
    writer: Option<JoinHandle<()>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(queue) = QUEUE.get() {
            queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        let until = Instant::now() + FLUSH_MAX;
        if let Some(writer) = self.writer.take() {
            while !writer.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// Starts logging for this process. Lines of the AWS SDK and of other crates are shown from `warn` on, because
/// their finer ones may hold what must not be logged.
pub(crate) fn start(global: &Global) -> Guard {
    let (sender, receiver) = sync_channel(WAITING_LINES_MAX);
    let _first = QUEUE.set(Mutex::new(Some(sender)));
    let writer =
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write_lines(&receiver)).ok();
    // The only librdkafka that logs through Rust is the demo's own reader; the pump reports its errors as codes.
    let filter = filter(global.log_level());
    let text = match global.log_format() {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => io::stderr().is_terminal(),
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(Queue);
    // A second start in one process (tests) keeps the first.
    let change: Change = if text {
        let subscriber = subscriber.with_ansi(io::stderr().is_terminal()).with_filter_reloading();
        let handle = subscriber.reload_handle();
        let _started = subscriber.try_init();
        Box::new(move |filter| handle.reload(filter).is_ok())
    } else {
        let subscriber = subscriber.json().flatten_event(true).with_current_span(false).with_span_list(false);
        let subscriber = subscriber.with_filter_reloading();
        let handle = subscriber.reload_handle();
        let _started = subscriber.try_init();
        Box::new(move |filter| handle.reload(filter).is_ok())
    };
    let _first = LEVEL.set((Mutex::new(global.log_level()), change));
    Guard { writer }
}

fn filter(level: &str) -> EnvFilter {
    EnvFilter::new(format!("warn,librdkafka=off,rdkafka=off,controlplane={level},millrace={level}"))
}

/// Level of Millrace's own lines; `None` where nothing is logged.
pub(crate) fn level() -> Option<&'static str> {
    LEVEL.get().map(|(level, _)| *level.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Sets it until the process ends. Whether it could be.
pub(crate) fn set_level(new: &'static str) -> bool {
    let Some((level, change)) = LEVEL.get() else { return false };
    let is_changed = change(filter(new));
    if is_changed {
        *level.lock().unwrap_or_else(PoisonError::into_inner) = new;
    }
    is_changed
}

fn write_lines(receiver: &Receiver<Vec<u8>>) {
    let mut repeats = Repeats::default();
    loop {
        let line = match receiver.recv_timeout(REPEATS_MAX) {
            Ok(line) => repeats.take(line),
            Err(RecvTimeoutError::Timeout) => repeats.told(),
            Err(RecvTimeoutError::Disconnected) => {
                put(&repeats.told());
                return;
            }
        };
        put(&line);
    }
}

fn put(line: &[u8]) {
    // A closed pipe: the line is lost, the appliance goes on.
    if !line.is_empty() && io::stderr().write_all(line).is_err() {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

/// The last line and how often it has come again since it was written.
#[derive(Debug, Default)]
struct Repeats {
    line: Vec<u8>,
    count: u64,
    since: Option<Instant>,
}

impl Repeats {
    /// What is to be written now that this line came.
    fn take(&mut self, line: Vec<u8>) -> Vec<u8> {
        if !self.line.is_empty() && without_time(&line) == without_time(&self.line) {
            self.count += 1;
            self.line = line;
            let is_due = self.since.get_or_insert_with(Instant::now).elapsed() > REPEATS_MAX;
            return if is_due { self.told() } else { Vec::new() };
        }
        let mut text = self.told();
        text.extend_from_slice(&line);
        self.line = line;
        text
    }

    /// The line that tells the count, if there is one.
    fn told(&mut self) -> Vec<u8> {
        self.since = None;
        let count = std::mem::take(&mut self.count);
        if count == 0 {
            return Vec::new();
        }
        let time = &self.line[..self.line.len() - without_time(&self.line).len()];
        let text = if self.line.starts_with(b"{") {
            format!(
                "\",\"level\":\"INFO\",\"event\":\"repeated\",\"message\":\"the line before came {count} times more\",\"count\":{count}}}\n"
            )
        } else {
            format!("  INFO repeated count={count} the line before came {count} times more\n")
        };
        [time, text.as_bytes()].concat()
    }
}

/// A line from the end of its time on, which both forms have at their beginning and in UTC.
fn without_time(line: &[u8]) -> &[u8] {
    let end = line.iter().take(64).position(|byte| *byte == b'Z').map_or(0, |at| at + 1);
    &line[end..]
}

/// Gives each line to the writer's thread, or drops it.
#[derive(Clone, Copy, Debug)]
struct Queue;

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let queue = QUEUE.get().map(|queue| queue.lock().unwrap_or_else(PoisonError::into_inner));
        let sent =
            queue.and_then(|queue| queue.as_ref().map(|sender| sender.try_send(line.to_vec()).is_ok()));
        if sent != Some(true) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Queue {
    type Writer = Queue;

    fn make_writer(&self) -> Queue {
        *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_comes_again_is_counted_and_told_before_the_next() {
        let line = |second: u32, text: &str| {
            format!("{{\"timestamp\":\"2026-01-01T00:00:{second:02}.000000Z\",\"level\":\"WARN\",\"event\":\"{text}\"}}\n").into_bytes()
        };
        let mut repeats = Repeats::default();
        assert_eq!(repeats.take(line(1, "a")), line(1, "a"));
        for second in 2..10 {
            assert!(repeats.take(line(second, "a")).is_empty());
        }
        let written = String::from_utf8(repeats.take(line(10, "b"))).unwrap();
        let events: Vec<serde_json::Value> =
            written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&events[0]["event"], &events[0]["count"]), (&"repeated".into(), &8.into()));
        assert_eq!(events[0]["timestamp"], "2026-01-01T00:00:09.000000Z");
        assert_eq!(events[1]["event"], "b");
        assert!(repeats.told().is_empty(), "nothing is told twice");
        let text = |second: u32| format!("2026-01-01T00:00:{second:02}.000000Z  WARN a\n").into_bytes();
        repeats.take(text(1));
        repeats.take(text(2));
        assert!(String::from_utf8(repeats.told()).unwrap().contains("Z  INFO repeated count=1"));
    }

    #[test]
    fn a_line_without_a_reader_is_counted_and_blocks_nobody() {
        let before = dropped();
        let began = Instant::now();
        for _ in 0..10 {
            Queue.write_all(b"x\n").unwrap();
        }
        assert!(dropped() >= before + 10);
        assert!(began.elapsed() < Duration::from_secs(1));
    }
}
