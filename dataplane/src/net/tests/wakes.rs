//! Wake-ups between threads and between the tasks of a shard.

use std::rc::Rc;
use std::sync::Arc;

use super::*;

#[test]
fn wakes_from_other_threads_are_never_lost() {
    const WAKES: usize = 20_000;
    let seen = on_executor(|_| async {
        let pair = WakePair::new().unwrap();
        let handle = pair.handle();
        let mut reader = pair.into_reader();
        let queue = Arc::new(crossbeam_queue::ArrayQueue::new(WAKES));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (sender, handle) = (Arc::clone(&queue), handle.clone());
                thread::spawn(move || {
                    for number in 0..WAKES / 2 {
                        sender.push(number).unwrap();
                        handle.wake();
                    }
                })
            })
            .collect();
        let mut seen = 0;
        while seen < WAKES {
            reader.wait().await.unwrap();
            while queue.pop().is_some() {
                seen += 1;
            }
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        seen
    });
    assert_eq!(seen, WAKES);
}

#[test]
fn wakes_in_turn_arrive_one_by_one() {
    on_executor(|_| async {
        let pair = WakePair::new().unwrap();
        let handle = pair.handle();
        let mut reader = pair.into_reader();
        let (go, turn) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            while turn.recv().is_ok() {
                handle.wake();
            }
        });
        for _ in 0..2000 {
            go.send(()).unwrap();
            reader.wait().await.unwrap();
        }
        drop(go);
        thread.join().unwrap();
        assert!(reader.wait().await.is_err(), "nobody is left to wake");
    });
}

#[test]
fn a_foreign_library_can_wake_through_the_descriptor_and_nobody_ever_blocks() {
    on_executor(|_| async {
        let pair = WakePair::new().unwrap();
        let handle = pair.handle();
        let mut reader = pair.into_reader();
        let writer = SockRef::from(&BareFd(handle.descriptor())).try_clone().unwrap();
        // Far more than the socket holds; the writer gets EAGAIN, as librdkafka does.
        let mut full = false;
        for _ in 0..100_000 {
            full |= writer.send(&[1]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
            handle.wake();
        }
        assert!(full, "the socket has been full");
        reader.wait().await.unwrap();
        handle.wake();
        reader.wait().await.unwrap();
    });
}

struct BareFd(std::os::fd::RawFd);

impl std::os::fd::AsRawFd for BareFd {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0
    }
}

#[test]
fn a_gate_loses_no_work_between_tasks() {
    const WORK: usize = 10_000;
    on_executor(|_| async {
        let (gate, open) = (Rc::new(Notify::new()), Rc::new(std::cell::Cell::new(0)));
        let workers: Vec<_> = (0..5)
            .map(|_| {
                let (gate, open) = (Rc::clone(&gate), Rc::clone(&open));
                glommio::spawn_local(async move {
                    let mut done = 0;
                    loop {
                        match open.get() {
                            usize::MAX => return done,
                            0 => gate.wait().await,
                            left => {
                                open.set(left - 1);
                                done += 1;
                                // Others look, and may wait, in between.
                                futures_lite::future::yield_now().await;
                            }
                        }
                    }
                })
            })
            .collect();
        for number in 0..WORK {
            open.set(open.get() + 1);
            gate.notify(1);
            if number % 7 == 0 {
                futures_lite::future::yield_now().await;
            }
        }
        while open.get() > 0 {
            futures_lite::future::yield_now().await;
        }
        open.set(usize::MAX);
        let mut done = 0;
        for worker in workers {
            gate.notify_all();
            done += worker.await;
        }
        assert_eq!(done, WORK);
    });
}

#[test]
fn one_task_may_wait_more_often_than_glommio_counts_wakers() {
    const WAITS: usize = 40_000;
    on_executor(|_| async {
        let gate = Rc::new(Notify::new());
        for _ in 0..WAITS {
            assert!(futures_lite::future::poll_once(gate.wait()).await.is_none());
        }
        let waiter = Rc::clone(&gate);
        let task = glommio::spawn_local(async move {
            for _ in 0..WAITS {
                waiter.wait().await;
            }
        });
        let mut told = 0;
        while told < WAITS {
            glommio::executor().yield_task_queue_now().await;
            gate.notify(1);
            told += 1;
        }
        task.await;
    });
}
