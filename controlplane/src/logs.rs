//! Logs: text on a terminal, JSON lines otherwise, on stderr; UTC with microseconds; an `event` code in each line.
//!
//! Never bodies, receipt handles or secrets: those never reach this crate or have no `Debug` form. A reader that
//! stops reading costs lines, not time: lines wait in a bounded queue and are dropped, and counted, beyond it.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
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
    let filter = EnvFilter::new(format!(
        "warn,librdkafka=off,rdkafka=off,controlplane={0},millrace={0}",
        global.log_level()
    ));
    let text = match global.log_format() {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => io::stderr().is_terminal(),
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(Queue);
    // A second start in one process (tests) keeps the first.
    let _started = if text {
        subscriber.with_ansi(io::stderr().is_terminal()).try_init()
    } else {
        subscriber.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
    Guard { writer }
}

fn write_lines(receiver: &Receiver<Vec<u8>>) {
    while let Ok(line) = receiver.recv() {
        // A closed pipe: the line is lost, the appliance goes on.
        if io::stderr().write_all(&line).is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
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
