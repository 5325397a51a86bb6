//! A gate where tasks of one shard wait for work.
//!
//! Level 2. A notification that finds nobody waiting is kept once, so that work which came between a
//! task's last look and its wait is never missed. The task that came last is woken first: its connection is
//! the warmest, and those that nobody needs grow old enough to be seen.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

#[derive(Debug, Default)]
struct Waiter {
    woken: Cell<bool>,
    /// The waiting task has seen that it was woken.
    done: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Waiter {
    fn wake(&self) {
        self.woken.set(true);
        let waker = self.waker.take();
        waker.into_iter().for_each(Waker::wake);
    }
}

/// The gate.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    waiters: RefCell<VecDeque<Rc<Waiter>>>,
    kept: Cell<bool>,
}

impl Notify {
    /// A gate with nobody waiting.
    pub(crate) fn new() -> Notify {
        Notify::default()
    }

    /// Wakes up to `count` waiting tasks; keeps one notification when fewer wait, for a task that has
    /// looked already and is about to wait.
    pub(crate) fn notify(&self, count: usize) {
        for _ in 0..count {
            let Some(waiter) = self.waiters.borrow_mut().pop_back() else {
                self.kept.set(true);
                return;
            };
            waiter.wake();
        }
    }

    /// Wakes up to `count` of the tasks that have waited longest; keeps nothing.
    pub(crate) fn notify_oldest(&self, count: usize) {
        for _ in 0..count {
            let Some(waiter) = self.waiters.borrow_mut().pop_front() else { return };
            waiter.wake();
        }
    }

    /// Tasks that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiters.borrow().len()
    }

    /// Wakes every waiting task.
    pub(crate) fn notify_all(&self) {
        let count = self.waiters.borrow().len().max(1);
        self.notify(count);
    }

    /// Waits for a notification.
    pub(crate) async fn wait(&self) {
        if self.kept.replace(false) {
            return;
        }
        let place = Place { gate: self, waiter: Rc::default() };
        self.waiters.borrow_mut().push_back(Rc::clone(&place.waiter));
        poll_fn(|context| {
            if place.waiter.woken.get() {
                return Poll::Ready(());
            }
            let mut waker = place.waiter.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                *waker = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
        place.waiter.done.set(true);
    }
}

/// A waiting task's place; left behind when its future is dropped.
struct Place<'a> {
    gate: &'a Notify,
    waiter: Rc<Waiter>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        match (self.waiter.woken.get(), self.waiter.done.get()) {
            (true, true) => {}
            // Woken but gone before it could look: the notification is for the next one.
            (true, false) => self.gate.notify(1),
            (false, _) => {
                self.gate.waiters.borrow_mut().retain(|waiter| !Rc::ptr_eq(waiter, &self.waiter));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn poll<F: Future>(future: &mut Pin<&mut F>, wakes: &Arc<Count>) -> bool {
        let waker = Waker::from(Arc::clone(wakes));
        future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
    }

    #[test]
    fn a_notification_that_comes_first_is_kept_once() {
        let (gate, wakes) = (Notify::new(), Arc::default());
        gate.notify(0);
        assert!(!poll(&mut pin!(gate.wait()), &wakes));
        gate.notify(3);
        gate.notify_all();
        assert!(poll(&mut pin!(gate.wait()), &wakes));
        assert!(!poll(&mut pin!(gate.wait()), &wakes));
    }

    #[test]
    fn the_task_that_came_last_is_woken_first_and_the_rest_is_kept() {
        let (gate, wakes) = (Notify::new(), Arc::default());
        let (mut one, mut two, mut three) = (pin!(gate.wait()), pin!(gate.wait()), pin!(gate.wait()));
        assert!(!poll(&mut one, &wakes) && !poll(&mut two, &wakes));
        gate.notify(1);
        assert!(!poll(&mut one, &wakes) && poll(&mut two, &wakes));
        gate.notify(2);
        assert!(poll(&mut one, &wakes) && poll(&mut three, &wakes));
        assert_eq!(wakes.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn those_that_waited_longest_can_be_called_without_keeping_the_call() {
        let (gate, wakes) = (Notify::new(), Arc::default());
        let (mut one, mut two) = (pin!(gate.wait()), pin!(gate.wait()));
        assert!(!poll(&mut one, &wakes) && !poll(&mut two, &wakes));
        gate.notify_oldest(1);
        assert!(poll(&mut one, &wakes) && !poll(&mut two, &wakes));
        gate.notify_oldest(9);
        assert!(poll(&mut two, &wakes) && !poll(&mut pin!(gate.wait()), &wakes));
    }

    #[test]
    fn a_task_that_goes_away_passes_its_notification_on() {
        let (gate, wakes) = (Notify::new(), Arc::default());
        let mut stays = pin!(gate.wait());
        {
            let mut goes = pin!(gate.wait());
            assert!(!poll(&mut goes, &wakes) && !poll(&mut stays, &wakes));
            gate.notify(1);
        }
        assert!(poll(&mut stays, &wakes));
        assert!(!gate.kept.get());
    }

    #[test]
    fn waits_that_are_given_up_leave_nothing_behind() {
        let (gate, wakes) = (Notify::new(), Arc::<Count>::default());
        for _ in 0..1000 {
            assert!(!poll(&mut pin!(gate.wait()), &wakes));
        }
        assert_eq!((gate.waiters.borrow().len(), Arc::strong_count(&wakes)), (0, 1));
    }
}
