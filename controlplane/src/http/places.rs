//! Places for connections: a bound on how many there are, and who leaves when all are taken.
//!
//! A crowd of connections that send nothing must not keep those out that do: when no place is free, the oldest
//! connection without a request under way is ended.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Connections at a time. Each takes under 40 KiB.
pub(super) const CONNECTIONS_MAX: usize = 512;

/// All places.
#[derive(Debug, Default)]
pub(super) struct Places {
    open: Mutex<Open>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    taken: BTreeMap<u64, Arc<Place>>,
}

/// The place of one connection.
#[derive(Debug, Default)]
pub(crate) struct Place {
    requests: AtomicU32,
    streams: AtomicBool,
    told_to_leave: Notify,
}

/// Holds a place until it is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    places: Arc<Places>,
    number: u64,
    place: Arc<Place>,
}

impl Places {
    /// Takes a place; sends another connection away, or waits, when there is none.
    pub(super) async fn take(self: &Arc<Self>) -> Taken {
        loop {
            let freed = self.freed.notified();
            if let Some(taken) = self.try_take() {
                return taken;
            }
            freed.await;
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<Taken> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.taken.len() >= CONNECTIONS_MAX {
            let idle = open.taken.iter().find(|(_, place)| place.is_idle()).map(|(number, _)| *number);
            let place = open.taken.remove(&idle?)?;
            place.told_to_leave.notify_one();
        }
        let (number, place) = (open.next, Arc::<Place>::default());
        open.next += 1;
        open.taken.insert(number, Arc::clone(&place));
        Some(Taken { places: Arc::clone(self), number, place })
    }

    /// Waits until nobody is there.
    pub(super) async fn empty(&self) {
        loop {
            let freed = self.freed.notified();
            if self.open.lock().unwrap_or_else(PoisonError::into_inner).taken.is_empty() {
                return;
            }
            freed.await;
        }
    }
}

impl Taken {
    pub(super) fn place(&self) -> &Arc<Place> {
        &self.place
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.places.open.lock().unwrap_or_else(PoisonError::into_inner).taken.remove(&self.number);
        self.places.freed.notify_waiters();
    }
}

impl Place {
    /// A request has arrived whole.
    pub(super) fn begin(&self) {
        self.requests.fetch_add(1, Ordering::AcqRel);
    }

    /// Its answer is on the way.
    pub(super) fn end(&self) {
        self.requests.fetch_sub(1, Ordering::AcqRel);
    }

    /// An answer of this connection goes on for long on purpose.
    pub(crate) fn streams(&self) {
        self.streams.store(true, Ordering::Release);
    }

    pub(super) fn is_streaming(&self) -> bool {
        self.streams.load(Ordering::Acquire)
    }

    /// Ends when the connection is sent away.
    pub(super) async fn told_to_leave(&self) {
        self.told_to_leave.notified().await;
    }

    fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Acquire) == 0 && !self.is_streaming()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_idle_connection_makes_room() {
        let places = Arc::new(Places::default());
        let taken: Vec<Taken> = (0..CONNECTIONS_MAX).map(|_| places.try_take().unwrap()).collect();
        taken[0].place().begin();
        taken[1].place().streams();
        let new = places.try_take().expect("the third is idle");
        let left = |taken: &Taken| !places.open.lock().unwrap().taken.contains_key(&taken.number);
        assert!(!left(&taken[0]) && !left(&taken[1]) && left(&taken[2]) && !left(&new));
    }

    #[test]
    fn when_all_work_the_next_waits() {
        let places = Arc::new(Places::default());
        let mut taken: Vec<Taken> = (0..CONNECTIONS_MAX).map(|_| places.try_take().unwrap()).collect();
        taken.iter().for_each(|taken| taken.place().begin());
        assert!(places.try_take().is_none());
        taken.pop();
        assert!(places.try_take().is_some());
    }
}
