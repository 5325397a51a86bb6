//! Before the first receive: are the brokers there, may we in, do the topics exist.
//!
//! Level 3. Blocks, on the thread that makes the producer. A bare time-out hides the cause, so the events
//! that come meanwhile are read, and the most telling one is the answer.

use std::time::{Duration, Instant};

use super::errors::{KafkaError, code};
use super::producer::{Producer, ProducerEvent};
use crate::error::Class;

/// First wait for an answer about a topic; doubled, so that a slow cluster is answered in the end.
const SLICE_MIN: Duration = Duration::from_millis(250);
/// Longest such wait.
const SLICE_MAX: Duration = Duration::from_secs(10);

/// Wait between looks at the producer id.
const LOOK_MS: i32 = 10;

/// Pause before asking again, for example about a topic whose leader is being elected.
const PAUSE_MS: i32 = 100;

/// What warm-up learnt about a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicFacts {
    /// Name.
    pub(crate) name: String,
    /// Partitions.
    pub(crate) partitions: u32,
}

impl Producer {
    /// Connects, looks the topics up and waits for a broker's answer about the idempotent producer's id,
    /// without which the first record would wait. (A cluster that has just started may answer "not yet";
    /// librdkafka asks again, and the first record waits after all.) Blocks up to `timeout`. No record may
    /// be in flight.
    ///
    /// # Errors
    /// The cause as precisely as it is known: an unknown or forbidden topic, refused credentials, a failed
    /// TLS handshake, a name that does not resolve, brokers that do not answer.
    pub(crate) fn warm_up(
        &mut self,
        topics: &[&str],
        timeout: Duration,
    ) -> Result<Vec<TopicFacts>, KafkaError> {
        let mut watch = Watch { deadline: Instant::now() + timeout, answered: false, cause: None };
        let mut facts = Vec::new();
        for &name in topics {
            let partitions = self.look_up(name, &mut watch)?;
            facts.push(TopicFacts { name: name.to_owned(), partitions });
        }
        while !self.link().client().producer_id_seen() {
            watch.read(self, LOOK_MS);
            watch.check(self, "no broker gave a producer id")?;
        }
        Ok(facts)
    }

    fn look_up(&mut self, name: &str, watch: &mut Watch) -> Result<u32, KafkaError> {
        let topic = self.topic(name)?;
        let mut slice = SLICE_MIN;
        loop {
            let answer = self.link().topic_state(topic, slice.min(watch.left()));
            watch.read(self, 0);
            watch.answered |= answer.is_ok();
            match answer {
                Ok(state) if state.code == code::NO_ERROR && state.partitions > 0 => {
                    return Ok(state.partitions);
                }
                Ok(state) if state.code != code::NO_ERROR && state.code != code::LEADER_NOT_AVAILABLE => {
                    return Err(KafkaError::new(state.code, format!("topic \"{name}\" cannot be used")));
                }
                Ok(_) => {}
                Err(_) => slice = (slice * 2).min(SLICE_MAX),
            }
            // librdkafka may fail at once when no broker is connected; events wake this sooner.
            watch.read(self, PAUSE_MS);
            watch.check(self, "no broker answered")?;
        }
    }
}

/// The most telling error so far.
struct Watch {
    deadline: Instant,
    /// One broker at least lets us in: trouble with another is no reason to give up.
    answered: bool,
    cause: Option<KafkaError>,
}

impl Watch {
    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Reads the events that wait, waiting up to `timeout_ms` for the first.
    fn read(&mut self, producer: &mut Producer, timeout_ms: i32) {
        producer.poll_for(timeout_ms, &mut |_| {}, &mut |event| {
            let error = match event {
                ProducerEvent::Fault(error) => error,
                // A connection that the broker closes is told in the log only, with a guess at the cause.
                ProducerEvent::Log { text, .. } if text.starts_with("FAIL") => {
                    KafkaError::new(code::TRANSPORT, text)
                }
                ProducerEvent::Log { .. } => return,
            };
            if self.cause.as_ref().is_none_or(|cause| telling(&error) >= telling(cause)) {
                self.cause = Some(error);
            }
        });
    }

    /// Gives up when the time is over, or at once when waiting cannot help.
    fn check(&mut self, producer: &Producer, otherwise: &str) -> Result<(), KafkaError> {
        if let Some(fatal) = producer.fatal() {
            return Err(fatal);
        }
        let hopeless = !self.answered && self.cause.as_ref().is_some_and(|cause| cause.class == Class::Pause);
        if !hopeless && !self.left().is_zero() {
            return Ok(());
        }
        Err(self.cause.take().unwrap_or_else(|| KafkaError::new(code::TIMED_OUT, otherwise)))
    }
}

/// How much an error says about the cause.
fn telling(error: &KafkaError) -> u8 {
    match error.code {
        code::AUTHENTICATION => 5,
        code::SSL => 4,
        code::RESOLVE => 3,
        code::TRANSPORT => 2,
        code::ALL_BROKERS_DOWN | code::TIMED_OUT => 0,
        _ => 1,
    }
}
