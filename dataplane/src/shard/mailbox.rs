//! The mailbox of a shard: bounded, looked at when its bell rings.
//!
//! Level 4. Control is O(1): nothing of it is on a message's way.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::Shard;
use super::pump::Mode;
use crate::clock;
use crate::control::Command;
use crate::limits;
use crate::net::WakeHandle;

/// Commands that wait for a shard.
pub(crate) struct Mailbox {
    commands: Mutex<VecDeque<Command>>,
    bell: WakeHandle,
}

impl Mailbox {
    /// An empty mailbox with the handle that wakes its shard.
    pub(crate) fn new(bell: WakeHandle) -> Mailbox {
        Mailbox { commands: Mutex::default(), bell }
    }

    /// Puts a command in and rings. `false`: the mailbox is full, nothing was put in.
    pub(crate) fn put(&self, command: Command) -> bool {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        if commands.len() >= limits::MAILBOX_MAX {
            return false;
        }
        commands.push_back(command);
        drop(commands);
        self.bell.wake();
        true
    }

    fn take(&self) -> Option<Command> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl Shard {
    /// Does what the mailbox says.
    pub(crate) fn take_commands(&self) {
        let mailbox = std::sync::Arc::clone(&self.mailbox);
        while let Some(command) = mailbox.take() {
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
                    self.each(&pipeline, |cell| cell.pump.borrow_mut().set_mode(Mode::Pause));
                }
                Command::Resume { pipeline } => {
                    self.each(&pipeline, |cell| cell.pump.borrow_mut().resume());
                }
                Command::Stop { pipeline } => {
                    let release_at = self.release_at(clock::now());
                    self.each(&pipeline, |cell| cell.pump.borrow_mut().set_mode(Mode::Stop(release_at)));
                }
                Command::Start { pipeline } => {
                    self.each(&pipeline, |cell| cell.pump.borrow_mut().set_mode(Mode::Run));
                }
                Command::Rate { pipeline, rate } => {
                    self.each(&pipeline, |cell| cell.pump.borrow_mut().set_rate(rate, clock::now()));
                }
                Command::Apply { epoch, config } => self.apply(epoch, &config, clock::now()),
                Command::Drain => self.begin_drain(clock::now()),
                Command::Abort => self.abort(clock::now()),
            }
        }
        self.became_busy();
    }

    fn each(&self, pipeline: &str, mut change: impl FnMut(&super::PumpCell)) {
        for cell in &self.cells {
            let named = cell.pump.borrow().name() == pipeline;
            if named {
                change(cell);
            }
        }
    }
}
