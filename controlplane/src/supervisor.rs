//! What systemd hears of a unit of `Type=notify`: started, how it does, that it lives, that it drains.
//!
//! Says nothing where no `NOTIFY_SOCKET` is set. The watchdog is fed only while every shard turns: a stuck shard gets
//! the process restarted, an unreachable SQS or Kafka does not.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::board::{Board, Phase, View};
use crate::health;

/// How often systemd hears.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How much longer systemd waits for the end of a drain, from each message on.
const EXTENSION: Duration = Duration::from_secs(10);

/// Tells systemd until the process ends.
pub(crate) async fn tell(board: Arc<Board>) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    // A watchdog of less than two of our seconds would bite a healthy process.
    let every = sd_notify::watchdog_enabled().map_or(TELL_EVERY, |limit| (limit / 3).min(TELL_EVERY));
    let mut ticks = tokio::time::interval(every);
    send(&[NotifyState::Ready]);
    loop {
        ticks.tick().await;
        let view = board.view();
        send(&states(&view, &status(&view)));
    }
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(event = "supervisor", %error, "systemd was not told");
    }
}

/// What the view amounts to.
fn states<'a>(view: &View, status: &'a str) -> Vec<NotifyState<'a>> {
    let mut states = vec![NotifyState::Status(status)];
    if health::live(view).iter().all(|check| check.trouble.is_none()) {
        states.push(NotifyState::Watchdog);
    }
    if view.phase == Phase::Draining {
        let us = u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX);
        states.extend([NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(us)]);
    }
    states
}

/// One line for `systemctl status`.
fn status(view: &View) -> String {
    let held: u64 =
        view.reports.iter().flat_map(|report| &report.pumps).map(|pump| pump.counters.in_flight).sum();
    let word = match view.phase {
        Phase::Running => "running",
        Phase::Draining => "draining",
        Phase::Ended => "ended",
    };
    let trouble = health::ready(view).into_iter().find_map(|check| check.trouble);
    let why = match trouble {
        Some(trouble) if view.phase == Phase::Running => {
            format!("; not ready: {}", trouble.replace('\n', " "))
        }
        _ => String::new(),
    };
    format!("{word}: {} shards, {held} messages in flight{why}", view.shards)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::fixture::{config, running};

    fn told(view: &View) -> String {
        states(view, &status(view)).iter().map(|state| format!("{state}\n")).collect()
    }

    #[test]
    fn a_healthy_appliance_feeds_the_watchdog_and_says_what_it_holds() {
        let view = running().view();
        let text = status(&view);
        assert!(text.starts_with("running: 2 shards, "), "{text}");
        assert!(!text.contains("not ready"), "{text}");
        assert!(told(&view).contains("WATCHDOG=1\n"), "{}", told(&view));
    }

    #[test]
    fn before_the_first_report_the_reason_is_told() {
        let view = Board::new(&config(), 2).view();
        assert!(status(&view).contains("not ready: starting"), "{}", status(&view));
    }

    #[test]
    fn a_drain_asks_for_time() {
        let board = running();
        board.enter(Phase::Draining);
        let told = told(&board.view());
        assert!(told.contains("STATUS=draining: 2 shards") && told.contains("STOPPING=1\n"), "{told}");
        assert!(told.contains("EXTEND_TIMEOUT_USEC=10000000\n"), "{told}");
    }
}
