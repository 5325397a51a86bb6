//! Faults that the demo can play, each against the embedded servers, never against the pump.
//!
//! SQS's faults are a seeded plan of its server; Kafka's are played by the world's thread.

use std::time::{Duration, Instant};

use bench::sqs::{Action, FaultPlan, Rule};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

/// A fault by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Chaos {
    /// One receive in fifty hands its messages out again at once
    Redeliver,
    /// One SQS call in fifty is throttled
    Throttle,
    /// One SQS call in fifty fails with HTTP 500
    SqsErrors,
    /// One SQS call in twenty takes 200 ms longer
    SlowSqs,
    /// One answer in a hundred to a delete is lost after the delete was done
    LostAnswers,
    /// A Kafka broker is down for 3 s out of every 10 s
    BrokerDown,
    /// Kafka refuses produce requests for a moment every 5 s
    ProduceErrors,
    /// Kafka's brokers answer 100 ms later
    SlowKafka,
}

impl Chaos {
    /// Its name on the command line.
    pub(super) fn name(self) -> String {
        use clap::ValueEnum;
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// The plan of SQS's faults.
pub(super) fn sqs_plan(chaos: &[Chaos], seed: u64) -> FaultPlan {
    let some =
        |operation: &str, chance: f64, action: Action| Rule { chance, ..Rule::always(operation, action) };
    let rules = chaos.iter().filter_map(|chaos| match chaos {
        Chaos::Redeliver => Some(some("ReceiveMessage", 0.02, Action::Redeliver)),
        Chaos::Throttle => {
            Some(some("*", 0.02, Action::Error { status: 400, code: "ThrottlingException".to_owned() }))
        }
        Chaos::SqsErrors => {
            Some(some("*", 0.02, Action::Error { status: 500, code: "InternalFailure".to_owned() }))
        }
        Chaos::SlowSqs => Some(some("*", 0.05, Action::LatencyMs(200))),
        Chaos::LostAnswers => Some(some("DeleteMessageBatch", 0.01, Action::DropAfter)),
        Chaos::BrokerDown | Chaos::ProduceErrors | Chaos::SlowKafka => None,
    });
    FaultPlan { seed, rules: rules.collect() }
}

/// Plays Kafka's faults on a mock cluster.
pub(super) struct KafkaFaults {
    down: bool,
    errors: bool,
    began: Instant,
    is_down: bool,
    errors_at: Duration,
}

impl KafkaFaults {
    /// Prepares the faults; those that last for the whole demo begin now.
    pub(super) fn begin(
        chaos: &[Chaos],
        cluster: &MockCluster<'static, DefaultProducerContext>,
        brokers: i32,
    ) -> KafkaFaults {
        if chaos.contains(&Chaos::SlowKafka) {
            for broker in 1..=brokers {
                // A refusal leaves the cluster fast, which the figures show.
                let _fast = cluster.broker_round_trip_time(broker, Duration::from_millis(100));
            }
        }
        KafkaFaults {
            down: chaos.contains(&Chaos::BrokerDown),
            errors: chaos.contains(&Chaos::ProduceErrors),
            began: Instant::now(),
            is_down: false,
            errors_at: Duration::from_secs(5),
        }
    }

    /// Does what is due now.
    pub(super) fn turn(&mut self, cluster: &MockCluster<'static, DefaultProducerContext>) {
        let elapsed = self.began.elapsed();
        if self.down {
            self.set_down(cluster, (4..7).contains(&(elapsed.as_secs() % 10)));
        }
        if self.errors && elapsed >= self.errors_at {
            self.errors_at += Duration::from_secs(5);
            let errors = [
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            ];
            cluster.request_errors(RDKafkaApiKey::Produce, &errors);
        }
    }

    /// Ends all faults: the proof reads from a whole cluster.
    pub(super) fn end(&mut self, cluster: &MockCluster<'static, DefaultProducerContext>) {
        self.set_down(cluster, false);
        cluster.clear_request_errors(RDKafkaApiKey::Produce);
        (self.down, self.errors) = (false, false);
    }

    fn set_down(&mut self, cluster: &MockCluster<'static, DefaultProducerContext>, down: bool) {
        if down != self.is_down {
            self.is_down = down;
            let _refused = if down { cluster.broker_down(1) } else { cluster.broker_up(1) };
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_fault_of_sqs_is_in_its_plan() {
        let plan = sqs_plan(Chaos::value_variants(), 3);
        assert_eq!(plan.rules.len(), Chaos::value_variants().len() - 3);
        assert!(plan.rules.iter().all(|rule| rule.chance <= 0.05), "a demo must come to an end");
        assert!(sqs_plan(&[Chaos::BrokerDown], 1).rules.is_empty());
    }
}
