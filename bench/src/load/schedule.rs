//! Open-loop schedules: when the next messages are due, whatever became of those before.

use std::time::Duration;

/// How fast messages are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// So many a second.
    PerSecond(f64),
    /// As fast as a bounded backlog allows.
    Max,
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        if text == "max" {
            return Ok(Rate::Max);
        }
        let rate: f64 =
            text.parse().map_err(|_| format!("`{text}` is no rate; write messages per second, or max"))?;
        if rate > 0.0 && rate <= 10_000_000.0 {
            Ok(Rate::PerSecond(rate))
        } else {
            Err(format!("`{text}` is outside 0 to 10000000 messages per second"))
        }
    }
}

/// A schedule that has begun.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    rate: Rate,
    sent: u64,
}

impl Schedule {
    /// Begins a schedule.
    pub fn new(rate: Rate) -> Schedule {
        Schedule { rate, sent: 0 }
    }

    /// How many messages are due at `elapsed`, at most `most`.
    pub fn due(&self, elapsed: Duration, most: u64) -> u64 {
        match self.rate {
            Rate::Max => most,
            Rate::PerSecond(rate) => {
                ((elapsed.as_secs_f64() * rate) as u64).saturating_sub(self.sent).min(most)
            }
        }
    }

    /// So many were sent.
    pub fn sent(&mut self, count: u64) {
        self.sent += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_sender_catches_up_and_none_is_skipped() {
        let mut schedule = Schedule::new(Rate::PerSecond(1000.0));
        assert_eq!(schedule.due(Duration::from_millis(10), 100), 10);
        schedule.sent(10);
        assert_eq!(schedule.due(Duration::from_millis(10), 100), 0);
        assert_eq!(schedule.due(Duration::from_secs(5), 100), 100);
        assert_eq!(Schedule::new(Rate::Max).due(Duration::ZERO, 7), 7);
    }

    #[test]
    fn rates_are_read_as_operators_write_them() {
        assert_eq!("max".parse(), Ok(Rate::Max));
        assert_eq!("2500".parse(), Ok(Rate::PerSecond(2500.0)));
        assert!("0".parse::<Rate>().is_err() && "fast".parse::<Rate>().is_err());
    }
}
