//! The store: users, keys, audit, history, in one SQLite file behind one thread.
//!
//! Callers are tokio tasks that must not wait for a disk, so calls travel through a bounded queue to a thread that
//! owns the only writing connection. Nothing of the data plane comes here: a full disk, a damaged file or a
//! missing folder is an error value of the call that met it. Each module keeps its SQL in its own file.

mod backup;
mod error;
mod migrations;
mod open;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

pub(crate) use backup::{Backup, Restore};
pub(crate) use error::StoreError;
pub(crate) use open::default_folder;

/// Calls that may wait for the thread. A call takes well under a millisecond; more than these is a flood.
const CALLS_MAX: usize = 256;
/// Time that a call waits for a place in the queue.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);

type Call = Box<dyn FnOnce(&mut Connection) + Send>;

/// The store, as its users hold it: cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    calls: Option<mpsc::Sender<Call>>,
    /// Why there is none, when there is none.
    reason: String,
    folder: Option<PathBuf>,
    restored: AtomicU64,
}

impl Store {
    /// Opens the store of a folder. One that cannot be opened is logged, and every call to it is refused: the
    /// appliance runs without users and history rather than not at all.
    pub(crate) fn open(folder: &Path) -> Store {
        let opened = open::open(folder).and_then(|(connection, _)| Store::start(connection, Some(folder)));
        opened.unwrap_or_else(|error| {
            tracing::error!(
                event = "store_unavailable",
                folder = %folder.display(),
                reason = %error,
                "the store cannot be opened: the data plane runs, but nobody can sign in and nothing is recorded; \
                 mend it and restart"
            );
            Store::without(format!("{}: {error}", folder.display()))
        })
    }

    /// A store that lives as long as the process: for the demo and for tests.
    pub(crate) fn in_memory() -> Store {
        let opened = open::in_memory().and_then(|connection| Store::start(connection, None));
        opened.unwrap_or_else(|error| Store::without(error.to_string()))
    }

    /// No store at all, for this reason.
    pub(crate) fn without(reason: String) -> Store {
        let inner = Inner { calls: None, reason, folder: None, restored: AtomicU64::new(0) };
        Store { inner: Arc::new(inner) }
    }

    fn start(mut connection: Connection, folder: Option<&Path>) -> Result<Store, StoreError> {
        let (calls, mut waiting) = mpsc::channel::<Call>(CALLS_MAX);
        // It ends when the last handle is dropped; the queue is emptied first.
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                while let Some(call) = waiting.blocking_recv() {
                    call(&mut connection);
                }
            })
            .map_err(|error| StoreError::Unavailable(format!("its thread cannot be started: {error}")))?;
        let inner = Inner {
            calls: Some(calls),
            reason: String::new(),
            folder: folder.map(Path::to_owned),
            restored: AtomicU64::new(0),
        };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// Runs a piece of work on the store's connection and returns what it gives.
    ///
    /// # Errors
    /// What the work returns, or: there is no store, its queue stays full, or the work panicked.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Some(calls) = &self.inner.calls else {
            return Err(StoreError::Unavailable(self.inner.reason.clone()));
        };
        let (answer, answered) = oneshot::channel();
        let call: Call = Box::new(move |connection| {
            let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(connection)));
            let result = worked.unwrap_or_else(|_| Err(StoreError::Sql("the work panicked".to_owned())));
            // Whoever asked may have gone; what was done stays done.
            let _gone = answer.send(result);
        });
        let place = timeout(QUEUE_TIMEOUT, calls.reserve()).await.map_err(|_| StoreError::Busy)?;
        let ended = || StoreError::Unavailable("its thread has ended".to_owned());
        place.map_err(|_| ended())?.send(call);
        answered.await.map_err(|_| ended())?
    }

    /// The folder, if it has one.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.inner.folder.as_deref()
    }

    /// How often its content was replaced by a backup: whoever keeps a copy of a part compares this.
    pub(crate) fn restored(&self) -> u64 {
        self.inner.restored.load(Ordering::Acquire)
    }
}

/// This moment as the store writes it: milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    fn insert(
        name: &'static str,
    ) -> impl FnOnce(&mut Connection) -> Result<usize, StoreError> + Send + 'static {
        move |connection| {
            Ok(connection.execute(
                "INSERT INTO users (name, password, role, created_ms, changed_ms) VALUES (?1, '', 'viewer', 0, 0)",
                [name],
            )?)
        }
    }

    #[test]
    fn what_was_stored_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        block_on(async {
            let store = Store::open(folder.path());
            assert_eq!(store.call(insert("ada")).await, Ok(1));
            assert_eq!(store.call(insert("ada")).await, Err(StoreError::Exists));
            drop(store);
            let again = Store::open(folder.path());
            let name: String = again
                .call(|connection| Ok(connection.query_row("SELECT name FROM users", [], |row| row.get(0))?))
                .await
                .unwrap();
            assert_eq!(name, "ada");
        });
    }

    #[test]
    fn a_full_store_refuses_and_works_again_when_there_is_room() {
        block_on(async {
            let store = Store::in_memory();
            let fill = |pages: u32| {
                move |connection: &mut Connection| {
                    connection.pragma_update(None, "max_page_count", pages)?;
                    connection.execute(
                        "INSERT INTO audit (at_ms, principal, address, operation, target, status, after) \
                         VALUES (0, 'a', 'b', 'c', 'd', 200, hex(zeroblob(1000000)))",
                        [],
                    )?;
                    Ok(())
                }
            };
            assert_eq!(store.call(fill(60)).await, Err(StoreError::Full));
            assert_eq!(store.call(fill(10_000)).await, Ok(()));
        });
    }

    #[test]
    fn without_a_store_every_call_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("taken");
        std::fs::write(&file, "").unwrap();
        let store = Store::open(&file);
        let error = block_on(store.call(insert("ada"))).unwrap_err();
        assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("taken")), "{error:?}");
    }

    #[test]
    fn work_that_panics_costs_its_own_answer_only() {
        block_on(async {
            let store = Store::in_memory();
            let panicked = store.call::<()>(|_| panic!("a bug")).await;
            assert!(matches!(panicked, Err(StoreError::Sql(_))), "{panicked:?}");
            assert_eq!(store.call(insert("ada")).await, Ok(1));
        });
    }

    #[test]
    fn a_queue_that_stays_full_is_an_error_and_not_a_wait() {
        block_on(async {
            let store = Store::in_memory();
            let (open, shut) = std::sync::mpsc::channel::<()>();
            let held = store.clone();
            tokio::spawn(async move { held.call(move |_| Ok(shut.recv().is_err())).await });
            tokio::task::yield_now().await;
            for _ in 0..CALLS_MAX + 1 {
                let waiting = store.clone();
                tokio::spawn(async move { waiting.call(|_| Ok(())).await });
            }
            // The runtime polls some 60 tasks between two looks at this one.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            assert_eq!(store.call(|_| Ok(())).await, Err(StoreError::Busy));
            drop(open);
            assert_eq!(store.call(|_| Ok(())).await, Ok(()));
        });
    }

    #[test]
    fn the_audit_log_is_append_only() {
        block_on(async {
            let store = Store::in_memory();
            let run = |sql: &'static str| store.call(move |connection| Ok(connection.execute(sql, [])?));
            let insert = "INSERT INTO audit (at_ms, principal, address, operation, target, status) \
                          VALUES (0, 'a', 'b', 'c', 'd', 200)";
            assert_eq!(run(insert).await, Ok(1));
            for change in ["UPDATE audit SET principal = 'b'", "DELETE FROM audit"] {
                let refused = run(change).await;
                assert!(
                    matches!(&refused, Err(StoreError::Sql(text)) if text.contains("append-only")),
                    "{refused:?}"
                );
            }
        });
    }
}
