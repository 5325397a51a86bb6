//! Kafka off the data path: topics, groups, rejected messages and samples, for the API.
//!
//! librdkafka's calls block, so each visit runs on a thread for blocking work; few run at a time, and each has its time.
//! Nothing here is on a message's way, and the pump's own producers are not touched.

mod calls;
pub(crate) mod client;
pub(crate) mod groups;
pub(crate) mod mask;
pub(crate) mod records;
pub(crate) mod rejected;
pub(crate) mod topics;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use dataplane::config::Kafka;
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub(crate) use client::Session;
pub(crate) use trouble::{Fault, Trouble};

/// Time that a visit waits for its turn.
const TURN_TIME: Duration = Duration::from_secs(5);

/// Visits to clusters, bounded.
#[derive(Clone, Debug)]
pub(crate) struct Visits {
    places: Arc<Semaphore>,
    turn: Duration,
    max: usize,
}

impl Visits {
    /// At most so many at a time.
    pub(crate) fn new(max: usize) -> Visits {
        Visits { places: Arc::new(Semaphore::new(max)), turn: TURN_TIME, max }
    }

    /// Visits a cluster. A caller that goes away does not end it: its own times do.
    ///
    /// # Errors
    /// Too many visit already, the options cannot work, or what the visit says.
    pub(crate) async fn visit<T: Send + 'static>(
        &self,
        kafka: Kafka,
        more: &'static [(&'static str, &'static str)],
        act: impl FnOnce(&Session) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        let busy = || {
            let text = format!("{} calls to Kafka are under way already", self.max);
            Trouble::new(Fault::Busy, text, "try again in a moment")
        };
        let turn = timeout(self.turn, Arc::clone(&self.places).acquire_owned()).await;
        let place = turn.map_err(|_| busy())?.map_err(|_| busy())?;
        let visit = tokio::task::spawn_blocking(move || {
            let _place = place;
            act(&Session::open(&kafka, more)?)
        });
        visit
            .await
            .unwrap_or_else(|_| Err(Trouble::new(Fault::Bug, "the visit to Kafka panicked", "report it")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn visits_beyond_the_bound_are_refused_in_words_and_panics_cost_one_answer() {
        block_on(async {
            let visits = Visits { turn: Duration::from_millis(20), ..Visits::new(3) };
            let taken = Arc::clone(&visits.places).acquire_many_owned(3).await.unwrap();
            let refused = visits.visit(Kafka::new(&["127.0.0.1:1"]), &[], |_| Ok(())).await.unwrap_err();
            assert_eq!(refused.fault, Fault::Busy, "{refused}");
            drop(taken);
            let panicked = visits.visit::<()>(Kafka::new(&["127.0.0.1:1"]), &[], |_| panic!("a bug")).await;
            assert_eq!(panicked.unwrap_err().fault, Fault::Bug);
            assert_eq!(visits.places.available_permits(), 3);
        });
    }
}
