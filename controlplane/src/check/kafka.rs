//! The Kafka side of a check: brokers, topics, limits, the right to produce. Writes no record.
//!
//! Clusters are reached as [`crate::kafka_admin`] reaches them, and the causes of a failure are told as there.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dataplane::config::{Kafka, Pipeline};
use dataplane::control::QueueFacts;
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

use super::list::List;
use crate::exit;
use crate::kafka_admin::client::{ANSWER_MAX, Causes, options, without_group};

/// Time for an admin call; a cluster that knows none lets it time out.
const ADMIN_MAX: Duration = Duration::from_secs(5);
/// Largest record that is made for the probe of the right to produce.
const PROBE_BYTES_MAX: u64 = 16 << 20;
/// Headers, key and framing of a record beyond its body, generously.
const RECORD_OVERHEAD: u64 = 16 << 10;

/// Looks at the cluster of one pipeline.
pub(super) fn look(pipeline: &Pipeline, facts: Option<&QueueFacts>, topics_named: bool) -> List {
    let mut list = List::default();
    list.enter(format!("kafka {}", pipeline.name));
    let options = match options(&pipeline.kafka) {
        Ok(options) => options,
        Err(text) => {
            list.fail("options", exit::CONFIG, text, "mend the file");
            return list;
        }
    };
    let consumer: BaseConsumer<Causes> = match options.create_with_context(Causes::default()) {
        Ok(consumer) => consumer,
        Err(error) => {
            list.fail(
                "options",
                exit::CONFIG,
                format!("librdkafka refuses the options: {error}"),
                "mend kafka.options and kafka.security",
            );
            return list;
        }
    };
    if !brokers(&mut list, &consumer, &pipeline.kafka) {
        return list;
    }
    if !topics_named {
        list.skip("topics", "none is named; add --topic");
        return list;
    }
    for (topic, is_dead_letter) in topics(pipeline) {
        if let Some(found) = topic_found(&mut list, &consumer, topic) {
            let settings = settings(&mut list, &options, topic, found);
            sizes(&mut list, topic, is_dead_letter, facts, settings.message_bytes_max);
            produce_right(&mut list, &options, topic, settings.message_bytes_max);
        }
    }
    list
}

/// Smallest `max.message.bytes` of the pipeline's topics, as far as the cluster tells within `timeout` each.
pub(crate) fn message_bytes_max(pipeline: &Pipeline, timeout: Duration) -> Option<u64> {
    let options = options(&pipeline.kafka).ok()?;
    // The first that does not answer ends it: the others would not either.
    let limits = topics(pipeline).into_iter().map_while(|(topic, _)| {
        let entries = describe(&options, topic, timeout).ok()?;
        entries.get("max.message.bytes")?.value.as_deref()?.parse::<u64>().ok()
    });
    limits.min()
}

/// Topics that the pipeline may produce to, and whether each is the dead letter's.
fn topics(pipeline: &Pipeline) -> Vec<(&str, bool)> {
    let route = &pipeline.route;
    let main: Vec<&str> = if route.topics.is_empty() {
        vec![route.topic.as_str()]
    } else {
        route.topics.iter().map(String::as_str).collect()
    };
    let dead_letter = pipeline.dead_letter.iter().map(|dead_letter| (dead_letter.topic.as_str(), true));
    main.into_iter().map(|topic| (topic, false)).chain(dead_letter).collect()
}

/// Whether the cluster answers; if not, why.
fn brokers(list: &mut List, consumer: &BaseConsumer<Causes>, kafka: &Kafka) -> bool {
    let asked = std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            consumer.fetch_metadata(Some("millrace-check"), ANSWER_MAX).map(|found| found.brokers().len())
        });
        // The error callback is served by polling.
        while !asked.is_finished() {
            let _event = consumer.poll(Duration::from_millis(20));
        }
        asked.join()
    });
    match asked {
        Ok(Ok(count)) => {
            list.ok("brokers", format!("{count} brokers answer at {}", kafka.brokers.join(", ")));
            true
        }
        Ok(Err(error)) => {
            let trouble = consumer.context().explain(&error);
            list.fail("brokers", trouble.exit_code(), trouble.text, trouble.remedy);
            false
        }
        Err(_) => {
            list.fail("brokers", exit::BUG, "the probe panicked; its message is above", "report it");
            false
        }
    }
}

/// What is known about a topic.
#[derive(Clone, Copy, Debug)]
struct Found {
    replicas: usize,
}

fn topic_found(list: &mut List, consumer: &BaseConsumer<Causes>, topic: &str) -> Option<Found> {
    let metadata = match consumer.fetch_metadata(Some(topic), ANSWER_MAX) {
        Ok(metadata) => metadata,
        Err(error) => {
            let trouble = consumer.context().explain(&error);
            list.fail("topic", trouble.exit_code(), format!("{topic}: {}", trouble.text), trouble.remedy);
            return None;
        }
    };
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let error = found.and_then(MetadataTopic::error).map(RDKafkaErrorCode::from);
    match (found, error) {
        (Some(found), None) if !found.partitions().is_empty() => {
            let partitions = found.partitions();
            let orphans = partitions.iter().filter(|partition| partition.leader() < 0).count();
            let replicas = partitions.iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
            if orphans > 0 {
                list.fail(
                    "topic",
                    exit::UNREACHABLE,
                    format!("{topic}: {orphans} of {} partitions have no leader", partitions.len()),
                    "bring their brokers back",
                );
            } else {
                list.ok("topic", format!("{topic}: {} partitions, {replicas} replicas", partitions.len()));
            }
            Some(Found { replicas })
        }
        (_, Some(RDKafkaErrorCode::TopicAuthorizationFailed)) => {
            list.fail("topic", exit::REFUSED, format!("{topic}: it may not be described"), format!("allow Describe and Write on it: kafka-acls.sh --add --allow-principal User:NAME --operation Write --operation Describe --topic {topic}"));
            None
        }
        _ => {
            list.fail("topic", exit::CONFIG, format!("{topic}: there is no such topic"), format!("create it: kafka-topics.sh --create --topic {topic} --partitions 12 --replication-factor 3"));
            None
        }
    }
}

/// What a topic's settings say.
#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    message_bytes_max: Option<u64>,
}

fn settings(list: &mut List, options: &ClientConfig, topic: &str, found: Found) -> Settings {
    let described = describe(options, topic, ADMIN_MAX);
    let resource = match described {
        Ok(resource) => resource,
        Err(text) => {
            list.skip("topic settings", format!("{topic}: the cluster does not tell them: {text}"));
            return Settings::default();
        }
    };
    let number =
        |name: &str| resource.get(name).and_then(|entry| entry.value.as_deref()?.parse::<u64>().ok());
    if let Some(in_sync) = number("min.insync.replicas") {
        let replicas = found.replicas as u64;
        if in_sync > replicas {
            list.fail(
                "min.insync.replicas",
                exit::CONFIG,
                format!("{topic}: {in_sync} of {replicas} replicas: nothing can ever be acked"),
                "lower it, or raise the replication factor",
            );
        } else if in_sync == 1 && replicas > 1 {
            list.warn(
                "min.insync.replicas",
                format!(
                    "{topic}: 1 of {replicas}: a record can be acked by one broker alone, and lost with it"
                ),
                "set it to 2",
            );
        } else {
            list.ok("min.insync.replicas", format!("{topic}: {in_sync} of {replicas}"));
        }
    }
    Settings { message_bytes_max: number("max.message.bytes") }
}

type Entries = std::collections::HashMap<String, rdkafka::admin::ConfigEntry>;

fn describe(options: &ClientConfig, topic: &str, timeout: Duration) -> Result<Entries, String> {
    let admin: AdminClient<_> = options.create().map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let resources = [ResourceSpecifier::Topic(topic)];
    let ask = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
    let answers =
        runtime.block_on(admin.describe_configs(&resources, &ask)).map_err(|error| error.to_string())?;
    let first: Option<Result<ConfigResource, RDKafkaErrorCode>> = answers.into_iter().next();
    let resource = first.ok_or("no answer")?.map_err(|code| code.to_string())?;
    Ok(resource.entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect())
}

/// Whether the queue's largest message fits the topic.
fn sizes(list: &mut List, topic: &str, is_dead_letter: bool, facts: Option<&QueueFacts>, limit: Option<u64>) {
    let (Some(limit), Some(facts)) = (limit, facts) else { return };
    let need = u64::from(facts.message_bytes_max) + RECORD_OVERHEAD;
    let text = format!(
        "{topic}: max.message.bytes is {limit}, the queue's largest message needs up to {need} with headers"
    );
    if limit >= need {
        list.ok("max.message.bytes", text);
    } else {
        let fate = if is_dead_letter {
            "such a rejected message goes back to the queue"
        } else {
            "a larger one goes to the dead letter"
        };
        list.warn("max.message.bytes", format!("{text}; {fate}"), format!("kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config max.message.bytes={need}"));
    }
}

/// Whether records may be written. The broker asks for the right first and for the size then: a record that is too
/// large for the topic is refused either way, and which way tells. Nothing is ever stored.
fn produce_right(list: &mut List, options: &ClientConfig, topic: &str, limit: Option<u64>) {
    const NAME: &str = "right to produce";
    let Some(bytes) = limit.map(|limit| limit + 1024).filter(|bytes| *bytes <= PROBE_BYTES_MAX) else {
        return list.skip(
            NAME,
            format!(
                "{topic}: not probed: without the topic's max.message.bytes a record would have to be written"
            ),
        );
    };
    match probe(options, topic, bytes) {
        Ok(()) | Err(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
            list.ok(NAME, format!("{topic}: allowed; probed with a record that is too large to be stored"));
        }
        Err(RDKafkaErrorCode::TopicAuthorizationFailed) => list.fail(NAME, exit::REFUSED, format!("{topic}: writing is not allowed"), format!("kafka-acls.sh --add --allow-principal User:NAME --operation Write --operation Describe --topic {topic}")),
        Err(RDKafkaErrorCode::ClusterAuthorizationFailed) => list.fail(NAME, exit::REFUSED, "the idempotent producer is not allowed", "allow IdempotentWrite on the cluster, or use brokers from 2.8 on"),
        Err(code) => list.skip(NAME, format!("{topic}: the probe brought no answer: {code}")),
    }
}

fn probe(options: &ClientConfig, topic: &str, bytes: u64) -> Result<(), RDKafkaErrorCode> {
    let mut options = without_group(options);
    options.remove("allow.auto.create.topics");
    options
        .set("message.max.bytes", (bytes + RECORD_OVERHEAD).to_string())
        .set("compression.type", "none")
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", ADMIN_MAX.as_millis().to_string())
        .set("linger.ms", "0");
    let producer: ThreadedProducer<Verdict> = options
        .create_with_context(Verdict::default())
        .map_err(|error| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail))?;
    let noise = noise(bytes as usize);
    let record: BaseRecord<'_, (), [u8]> = BaseRecord::to(topic).payload(&noise);
    producer
        .send(record)
        .map_err(|(error, _)| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail))?;
    // The verdict is what counts; a time-out here leaves none.
    let _flushed = producer.flush(ADMIN_MAX * 2);
    let verdict = producer.context().0.lock().unwrap_or_else(PoisonError::into_inner).take();
    verdict.unwrap_or(Err(RDKafkaErrorCode::OperationTimedOut))
}

/// Bytes that no broker can compress below the topic's limit, should it compress again.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let step = |state: &mut u64| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 32) as u8
    };
    (0..count).map(|_| step(&mut state)).collect()
}

/// Keeps how the one record of a probe ended.
#[derive(Default)]
struct Verdict(Mutex<Option<Result<(), RDKafkaErrorCode>>>);

impl ClientContext for Verdict {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext for Verdict {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let verdict = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
    }
}

#[cfg(test)]
mod tests {
    use dataplane::config::DeadLetter;

    use super::*;

    #[test]
    fn every_topic_is_looked_at_the_dead_letters_last() {
        let mut pipeline = crate::board::fixture::config().pipeline.remove(0);
        pipeline.dead_letter = Some(DeadLetter { topic: "rejected".into() });
        assert_eq!(topics(&pipeline), [("orders", false), ("rejected", true)]);
        pipeline.route.topics = vec!["a".into(), "b".into()];
        assert_eq!(topics(&pipeline), [("a", false), ("b", false), ("rejected", true)]);
    }

    #[test]
    fn a_topic_too_small_for_the_queue_is_warned_about_with_the_command() {
        let facts = QueueFacts {
            fifo: false,
            visibility_timeout_s: 30,
            receive_count_max: None,
            message_bytes_max: 1 << 20,
        };
        let mut list = List::default();
        sizes(&mut list, "orders", false, Some(&facts), Some(1_048_588));
        let text = list.text(false);
        assert!(
            text.contains("goes to the dead letter")
                && text.contains("--add-config max.message.bytes=1064960"),
            "{text}"
        );
        let mut list = List::default();
        sizes(&mut list, "orders", false, Some(&facts), Some(2 << 20));
        assert!(list.text(false).contains("1 ok"));
    }
}
