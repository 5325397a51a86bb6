//! The mailbox of a shard: bounded, looked at when its bell rings.
//!
//! Level 4. Control is O(1): nothing of it is on a message's way.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use super::members::Newcomer;
use super::pump::Mode;
use super::{PumpCell, Shard};
use crate::clock;
use crate::config::Config;
use crate::control::Command;
use crate::limits;
use crate::net::WakeHandle;

/// What lies in a mailbox.
pub(crate) enum Letter {
    /// Of the control plane, as it came.
    Command(Command),
    /// A configuration, with what the pipelines need that it brings.
    Configuration {
        /// Its number.
        epoch: u64,
        /// All of it.
        config: Arc<Config>,
        /// Pipelines that may be new.
        newcomers: Vec<Newcomer>,
    },
}

/// Commands that wait for a shard.
pub(crate) struct Mailbox {
    letters: Mutex<VecDeque<Letter>>,
    bell: WakeHandle,
}

impl Mailbox {
    /// An empty mailbox with the handle that wakes its shard.
    pub(crate) fn new(bell: WakeHandle) -> Mailbox {
        Mailbox { letters: Mutex::default(), bell }
    }

    /// Puts a letter in and rings. `false`: the mailbox is full, nothing was put in.
    pub(crate) fn put(&self, letter: Letter) -> bool {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        if letters.len() >= limits::MAILBOX_MAX {
            return false;
        }
        letters.push_back(letter);
        drop(letters);
        self.bell.wake();
        true
    }

    fn take(&self) -> Option<Letter> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl Shard {
    /// Does what the mailbox says.
    pub(crate) fn take_commands(self: &Rc<Shard>) {
        let mailbox = Arc::clone(&self.mailbox);
        while let Some(letter) = mailbox.take() {
            match letter {
                Letter::Command(command) => self.obey(command),
                Letter::Configuration { epoch, config, newcomers } => {
                    self.apply(epoch, &config, newcomers, clock::now());
                }
            }
        }
        self.became_busy();
    }

    fn obey(&self, command: Command) {
        match command {
            Command::Credentials { pipeline, credentials } => self.each(&pipeline, |cell| {
                cell.calls.borrow_mut().set_credentials(&credentials);
                cell.pump.borrow_mut().credentials_arrived();
            }),
            Command::QueueFacts { pipeline, facts } => self.each(&pipeline, |cell| {
                // A contradiction is the pipeline's reason for not running; the others go on.
                let _shown_as_reason = cell.pump.borrow_mut().facts(&facts);
            }),
            Command::Pause { pipeline } => {
                self.each_that_stays(&pipeline, |cell| cell.pump.borrow_mut().set_mode(Mode::Pause));
            }
            Command::Resume { pipeline } => {
                self.each_that_stays(&pipeline, |cell| cell.pump.borrow_mut().resume());
            }
            Command::Stop { pipeline } => {
                let release_at = self.release_at(clock::now());
                self.each_that_stays(&pipeline, |cell| {
                    cell.pump.borrow_mut().set_mode(Mode::Stop(release_at));
                });
            }
            Command::Start { pipeline } => {
                self.each_that_stays(&pipeline, |cell| cell.pump.borrow_mut().set_mode(Mode::Run));
            }
            Command::Rate { pipeline, rate } => {
                self.each_that_stays(&pipeline, |cell| cell.pump.borrow_mut().set_rate(rate, clock::now()));
            }
            Command::Apply { .. } => unreachable!("it lies in mailboxes as a configuration"),
            Command::Drain => self.begin_drain(clock::now()),
            Command::Abort => self.abort(clock::now()),
        }
    }

    fn each(&self, pipeline: &str, mut change: impl FnMut(&PumpCell)) {
        for cell in self.cells().iter() {
            let named = cell.pump.borrow().name() == pipeline;
            if named {
                change(cell);
            }
        }
    }

    /// As [`Shard::each`], without what is to go: that is steered by nobody.
    fn each_that_stays(&self, pipeline: &str, mut change: impl FnMut(&PumpCell)) {
        self.each(pipeline, |cell| {
            if cell.leaving.get().is_none() {
                change(cell);
            }
        });
    }
}
