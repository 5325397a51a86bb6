//! The way into the store: minutes and alerts wait in a bounded queue for a task that writes them.
//!
//! A store that refuses (a full disk, a damaged file, none at all) costs the oldest minutes, never memory and never the
//! time of whoever produces them. How many were lost is counted, and a rule watches it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::alerts::{self, Event, Kept, Key};
use super::history::MinuteRow;
use super::latency::{self, MinuteColumns};
use super::rows;
use crate::store::{Store, StoreError, now_ms};

/// Pieces that may wait for the task.
const QUEUE_MAX: usize = 64;
/// Minutes that wait for a store that refuses.
const KEPT_MAX: usize = 10;
/// Minutes between two looks at what is too old.
const TRIM_EVERY: u64 = 60;

/// Something to write.
#[derive(Debug)]
pub(crate) enum Work {
    /// A minute that ended.
    Minute {
        /// Of the history.
        rows: Vec<MinuteRow>,
        /// Of the latencies.
        columns: Vec<MinuteColumns>,
    },
    /// Alerts that changed.
    Alerts {
        /// What fires.
        kept: Vec<(Key, Kept)>,
        /// What happened.
        events: Vec<Event>,
    },
}

/// The queue's end.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Work>,
    lost: Arc<AtomicU64>,
}

impl Writer {
    /// Starts the task; to be called within the runtime. It ends with the writer, after what waits is written.
    pub(crate) fn start(store: Store) -> Writer {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        tokio::spawn(work(store, waiting, Arc::clone(&lost)));
        Writer { queue, lost }
    }

    /// A writer whose pieces go nowhere.
    #[cfg(test)]
    pub(crate) fn detached() -> Writer {
        Writer { queue: mpsc::channel(1).0, lost: Arc::default() }
    }

    /// Hands a piece over, and never waits.
    pub(crate) fn write(&self, piece: Work) {
        if self.queue.try_send(piece).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Minutes in a row that are not stored; 0 after the next success.
    pub(crate) fn lost_minutes(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

async fn work(store: Store, mut waiting: mpsc::Receiver<Work>, lost: Arc<AtomicU64>) {
    let mut minutes: VecDeque<(Vec<MinuteRow>, Vec<MinuteColumns>)> = VecDeque::new();
    let mut count = 0_u64;
    while let Some(piece) = waiting.recv().await {
        match piece {
            Work::Alerts { kept, events } => {
                let written =
                    store.call(move |connection| alerts::rows::keep(connection, &kept, &events)).await;
                tell("alerts", &written);
            }
            Work::Minute { rows, columns } => {
                if minutes.len() == KEPT_MAX {
                    minutes.pop_front();
                }
                minutes.push_back((rows, columns));
                drain(&store, &mut minutes, &lost).await;
                count += 1;
                if count % TRIM_EVERY == 1 {
                    trim(&store).await;
                }
            }
        }
    }
}

/// Writes what waits, oldest first, until the store refuses.
async fn drain(
    store: &Store,
    minutes: &mut VecDeque<(Vec<MinuteRow>, Vec<MinuteColumns>)>,
    lost: &AtomicU64,
) {
    while let Some((history, columns)) = minutes.front().cloned() {
        let written = store
            .call(move |connection| {
                rows::write(connection, &history)?;
                latency::rows::write(connection, &columns)
            })
            .await;
        if written.is_err() {
            if lost.fetch_add(1, Ordering::Relaxed) == 0 {
                tell("history", &written);
            }
            return;
        }
        minutes.pop_front();
    }
    if lost.swap(0, Ordering::Relaxed) > 0 {
        tracing::info!(event = "history_stored", "history is stored again; minutes that were lost stay gaps");
    }
}

async fn trim(store: &Store) {
    for table in [rows::BOUNDED, latency::rows::BOUNDED] {
        // Between two parts others have their turn.
        loop {
            let more = store.call(move |connection| table.trim(connection, now_ms())).await;
            tell("history", &more);
            if !matches!(more, Ok(true)) {
                break;
            }
        }
    }
}

fn tell<T>(what: &'static str, outcome: &Result<T, StoreError>) {
    match outcome {
        Ok(_) | Err(StoreError::Unavailable(_)) => {}
        Err(error) => {
            tracing::warn!(event = "history_unstored", what, reason = %error, "figures could not be stored: the gap stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::flows::{FLOW_COUNT, Gauges};
    use crate::watch::sampler::Subject;

    fn minute(number: i64) -> Work {
        let row = MinuteRow {
            subject: Subject::Appliance,
            minute_ms: number * 60_000,
            covers_ms: 60_000,
            counts: [1; FLOW_COUNT],
            means: Gauges::default(),
            peaks: Gauges::default(),
            state: None,
        };
        Work::Minute { rows: vec![row], columns: Vec::new() }
    }

    /// Runs the task over these pieces and says how many minutes it counts as lost.
    async fn run(store: &Store, numbers: std::ops::Range<i64>) -> u64 {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        for number in numbers {
            queue.send(minute(number)).await.unwrap();
        }
        drop(queue);
        let lost = Arc::new(AtomicU64::new(0));
        work(store.clone(), waiting, Arc::clone(&lost)).await;
        lost.load(Ordering::Relaxed)
    }

    async fn stored(store: &Store) -> Vec<i64> {
        let rows = store.call(|connection| rows::read(connection, &Subject::Appliance, 0, i64::MAX)).await;
        rows.unwrap().iter().map(|row| row.minute_ms / 60_000).collect()
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    fn today() -> i64 {
        now_ms() / 60_000
    }

    #[test]
    fn minutes_are_written_in_order() {
        block_on(async {
            let store = Store::in_memory();
            let from = today() - 3;
            assert_eq!(run(&store, from..from + 3).await, 0);
            assert_eq!(stored(&store).await, [from, from + 1, from + 2]);
        });
    }

    #[test]
    fn without_a_store_minutes_are_counted_as_lost_and_nothing_waits() {
        block_on(async {
            let store = Store::without("no disk".to_owned());
            assert_eq!(run(&store, 0..30).await, 30);
        });
    }

    #[test]
    fn what_waited_is_written_when_the_store_takes_it_again() {
        block_on(async {
            let store = Store::in_memory();
            let breaking = "ALTER TABLE history_minutes RENAME TO history_minutes_away";
            store.call(move |connection| Ok(connection.execute_batch(breaking)?)).await.unwrap();
            let lost = AtomicU64::new(0);
            let mut minutes = VecDeque::new();
            let from = today() - 9;
            for number in from..from + 2 {
                let Work::Minute { rows, columns } = minute(number) else { unreachable!() };
                minutes.push_back((rows, columns));
                drain(&store, &mut minutes, &lost).await;
            }
            assert_eq!((lost.load(Ordering::Relaxed), minutes.len()), (2, 2));
            let mending = "ALTER TABLE history_minutes_away RENAME TO history_minutes";
            store.call(move |connection| Ok(connection.execute_batch(mending)?)).await.unwrap();
            drain(&store, &mut minutes, &lost).await;
            assert_eq!((lost.load(Ordering::Relaxed), minutes.len()), (0, 0));
            assert_eq!(stored(&store).await, [from, from + 1]);
        });
    }

    #[test]
    fn a_full_queue_counts_and_does_not_wait() {
        block_on(async {
            let (queue, _waiting) = mpsc::channel(1);
            let writer = Writer { queue, lost: Arc::default() };
            for number in 0..5 {
                writer.write(minute(number));
            }
            assert_eq!(writer.lost_minutes(), 4);
        });
    }
}
