//! Deadlines of all connections of a shard, without a timer for each request.
//!
//! Level 2. A connection notes when its request must be done; the shard's clock sweeps ten times a second
//! and wakes those whose time is up. A slow drip of bytes does not move a deadline.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::error::Fault;
use crate::clock::Tick;

#[derive(Debug)]
struct Entry {
    deadline: Tick,
    expired: bool,
    waker: Option<Waker>,
}

/// The deadlines of one shard's connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watchdog {
    entries: Rc<RefCell<Vec<Option<Entry>>>>,
}

/// One connection's place with the watchdog; given back when dropped.
#[derive(Debug)]
pub(super) struct Watch {
    entries: Rc<RefCell<Vec<Option<Entry>>>>,
    place: usize,
}

const NEVER: Tick = Tick(u64::MAX);

impl Watchdog {
    /// Watches nothing yet.
    pub(crate) fn new() -> Watchdog {
        Watchdog::default()
    }

    /// A place for one connection.
    pub(super) fn watch(&self) -> Watch {
        let mut entries = self.entries.borrow_mut();
        let entry = Some(Entry { deadline: NEVER, expired: false, waker: None });
        let place = match entries.iter().position(Option::is_none) {
            Some(place) => {
                entries[place] = entry;
                place
            }
            None => {
                entries.push(entry);
                entries.len() - 1
            }
        };
        Watch { entries: Rc::clone(&self.entries), place }
    }

    /// Fails every request whose deadline has passed, and wakes its task. `Tick(u64::MAX)` fails all that
    /// are in flight, which is how a shard gives up waiting.
    pub(crate) fn sweep(&self, now: Tick) {
        let mut wakers = Vec::new();
        for entry in self.entries.borrow_mut().iter_mut().flatten() {
            if now >= entry.deadline {
                entry.expired = true;
                wakers.extend(entry.waker.take());
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Watch {
    /// Begins a request that must be done by `deadline`.
    pub(super) fn begin(&self, deadline: Tick) {
        self.change(|entry| *entry = Entry { deadline, expired: false, waker: None });
    }

    /// Ends the request: nothing expires any more.
    pub(super) fn end(&self) {
        self.begin(NEVER);
    }

    /// Passes on what a poll brought, or the deadline when it brought nothing and the time is up. `phase`
    /// completes "the deadline passed while".
    pub(super) fn or_expired<R>(
        &self,
        context: &Context<'_>,
        phase: &'static str,
        polled: Poll<Result<R, Fault>>,
    ) -> Poll<Result<R, Fault>> {
        match polled {
            Poll::Pending if self.is_expired(context) => Poll::Ready(Err(Fault::Deadline(phase))),
            polled => polled,
        }
    }

    /// Whether the time is up; if not, the task is woken when it is.
    fn is_expired(&self, context: &Context<'_>) -> bool {
        self.change(|entry| {
            if !entry.expired && !entry.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                entry.waker = Some(context.waker().clone());
            }
            entry.expired
        })
    }

    fn change<R>(&self, change: impl FnOnce(&mut Entry) -> R) -> R {
        let mut entries = self.entries.borrow_mut();
        let entry =
            entries[self.place].get_or_insert_with(|| Entry { deadline: NEVER, expired: false, waker: None });
        change(entry)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.entries.borrow_mut()[self.place] = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn poll(watch: &Watch, wakes: &Arc<Count>) -> Poll<Result<(), Fault>> {
        let waker = Waker::from(Arc::clone(wakes));
        watch.or_expired(&Context::from_waker(&waker), "testing", Poll::Pending)
    }

    const EXPIRED: Poll<Result<(), Fault>> = Poll::Ready(Err(Fault::Deadline("testing")));

    #[test]
    fn a_sweep_wakes_those_whose_time_is_up_once() {
        let watchdog = Watchdog::new();
        let (early, late) = (watchdog.watch(), watchdog.watch());
        let wakes = Arc::new(Count::default());
        early.begin(Tick(10));
        late.begin(Tick(20));
        assert!(poll(&early, &wakes).is_pending() && poll(&late, &wakes).is_pending());
        watchdog.sweep(Tick(9));
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
        watchdog.sweep(Tick(10));
        watchdog.sweep(Tick(11));
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert_eq!(poll(&early, &wakes), EXPIRED);
        assert!(poll(&late, &wakes).is_pending());
    }

    #[test]
    fn the_end_of_time_fails_what_is_in_flight_and_nothing_later() {
        let watchdog = Watchdog::new();
        let watch = watchdog.watch();
        let wakes = Arc::new(Count::default());
        watch.begin(Tick(10));
        assert!(poll(&watch, &wakes).is_pending());
        watchdog.sweep(Tick(u64::MAX));
        assert_eq!((poll(&watch, &wakes), wakes.0.load(Ordering::Relaxed)), (EXPIRED, 1));
        watch.begin(Tick(20));
        assert!(poll(&watch, &wakes).is_pending());
    }

    #[test]
    fn places_are_used_again_and_hold_one_waker() {
        let watchdog = Watchdog::new();
        let wakes = Arc::new(Count::default());
        for _ in 0..100 {
            let watch = watchdog.watch();
            watch.begin(Tick(10));
            (0..1000).for_each(|_| assert!(poll(&watch, &wakes).is_pending()));
            assert!(Arc::strong_count(&wakes) <= 2);
        }
        assert_eq!((watchdog.entries.borrow().len(), Arc::strong_count(&wakes)), (1, 1));
    }
}
