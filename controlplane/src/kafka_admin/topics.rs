//! Topics: what there is, how it is, and changes with a preview and a typed word.
//!
//! What librdkafka does not tell is said to be unknown: sizes on disk (there is no DescribeLogDirs), and whether a topic is
//! internal otherwise than by the underscores of its name.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dataplane::config::{Config, Pipeline};
use rdkafka::admin::{
    ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication, TopicResult,
};
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use serde::Serialize;
use utoipa::ToSchema;

use super::calls;
use super::client::{ANSWER_MAX, Session, admin_options};
use super::trouble::{Fault, Trouble};

/// Partitions of a topic whose offsets are asked for; each is a round trip.
const OFFSETS_MAX: usize = 1_000;
/// Time for the offsets of one topic.
const OFFSETS_TIME: Duration = Duration::from_secs(15);
/// Partitions that a topic may be given here. Kafka's own advice is at most 4,000 on a broker.
const PARTITIONS_MAX: u32 = 10_000;
/// Configs of one change.
const CONFIGS_MAX: usize = 64;
/// Longest value of a config.
const CONFIG_BYTES_MAX: usize = 4 << 10;

/// What a pipeline uses a topic for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct TopicUse {
    /// Name of the pipeline.
    #[schema(example = "orders")]
    pub(crate) pipeline: String,
    /// `route` or `dead_letter`.
    #[schema(example = "route")]
    pub(crate) role: &'static str,
}

/// A topic in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct TopicSummary {
    /// Its name.
    #[schema(example = "orders")]
    pub(crate) name: String,
    /// Number of partitions.
    #[schema(example = 12)]
    pub(crate) partitions: usize,
    /// Replicas of its least replicated partition.
    #[schema(example = 3)]
    pub(crate) replication: usize,
    /// Partitions with fewer replicas in sync than there are.
    pub(crate) under_replicated: usize,
    /// Partitions without a leader.
    pub(crate) offline: usize,
    /// Whether its name says that it is Kafka's own: two underscores first.
    pub(crate) internal: bool,
    /// Pipelines of this appliance that use it.
    pub(crate) used_by: Vec<TopicUse>,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct PartitionView {
    /// Its number.
    pub(crate) id: i32,
    /// Broker that leads it; null when it is offline.
    pub(crate) leader: Option<i32>,
    /// Brokers that have it.
    pub(crate) replicas: Vec<i32>,
    /// Brokers that are in sync.
    pub(crate) in_sync: Vec<i32>,
    /// First offset; null when unknown.
    pub(crate) low: Option<i64>,
    /// Offset of the next record; null when unknown.
    pub(crate) high: Option<i64>,
    /// Records, estimated by the offsets; compaction and transactions make it too high.
    pub(crate) messages_estimated: Option<i64>,
}

/// One config of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ConfigView {
    /// Its name.
    #[schema(example = "retention.ms")]
    pub(crate) name: String,
    /// Its value; null when it is sensitive.
    #[schema(example = "604800000")]
    pub(crate) value: Option<String>,
    /// `topic`, `broker`, `cluster`, `static`, `default` or `unknown`: where the value comes from.
    #[schema(example = "topic")]
    pub(crate) source: &'static str,
    /// Whether it is what it would be without a setting.
    pub(crate) is_default: bool,
    /// Whether it cannot be changed.
    pub(crate) read_only: bool,
}

/// A topic with all that is known about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct TopicDetail {
    /// As in the list.
    #[serde(flatten)]
    pub(crate) summary: TopicSummary,
    /// Its partitions, by number.
    pub(crate) by_partition: Vec<PartitionView>,
    /// Records of all partitions whose offsets are known, estimated.
    pub(crate) messages_estimated: i64,
    /// Its configs, by name; empty when the cluster does not tell them.
    pub(crate) configs: Vec<ConfigView>,
    /// What is not known, and why.
    pub(crate) not_available: Vec<String>,
}

/// A topic to be made.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewTopicPlan {
    pub(crate) name: String,
    pub(crate) partitions: u32,
    /// `None`: the brokers' default.
    pub(crate) replication: Option<u32>,
    pub(crate) configs: BTreeMap<String, String>,
}

/// Configs to be changed: a value, or `None` for the default.
pub(crate) type ConfigChanges = BTreeMap<String, Option<String>>;

/// The pipelines of a config that use a topic of their cluster.
pub(crate) fn uses(config: &Config, cluster: &[String], topic: &str) -> Vec<TopicUse> {
    let of = |pipeline: &Pipeline| {
        let role = |role| TopicUse { pipeline: pipeline.name.clone(), role };
        let mut found = Vec::new();
        if pipeline.route.all_topics().iter().any(|name| name == topic) {
            found.push(role("route"));
        }
        if pipeline.dead_letter.as_ref().is_some_and(|dead_letter| dead_letter.topic == topic) {
            found.push(role("dead_letter"));
        }
        found
    };
    config.pipeline.iter().filter(|pipeline| pipeline.kafka.brokers == cluster).flat_map(of).collect()
}

/// All topics by name; Kafka's own only when they are asked for.
pub(crate) fn list(
    session: &Session,
    config: &Config,
    cluster: &[String],
    internal: bool,
) -> Result<Vec<TopicSummary>, Trouble> {
    let metadata = session.metadata(None)?;
    let mut topics: Vec<TopicSummary> =
        metadata.topics().iter().map(|topic| summary(topic, uses(config, cluster, topic.name()))).collect();
    topics.retain(|topic| internal || !topic.internal);
    topics.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(topics)
}

fn is_internal(name: &str) -> bool {
    name.starts_with("__")
}

fn summary(topic: &MetadataTopic, used_by: Vec<TopicUse>) -> TopicSummary {
    let partitions = topic.partitions();
    let is_weak = |partition: &&MetadataPartition| partition.isr().len() < partition.replicas().len();
    TopicSummary {
        name: topic.name().to_owned(),
        partitions: partitions.len(),
        replication: partitions.iter().map(|partition| partition.replicas().len()).min().unwrap_or(0),
        under_replicated: partitions.iter().filter(is_weak).count(),
        offline: partitions.iter().filter(|partition| partition.leader() < 0).count(),
        internal: is_internal(topic.name()),
        used_by,
    }
}

/// One topic.
pub(crate) fn describe(
    session: &Session,
    config: &Config,
    cluster: &[String],
    name: &str,
) -> Result<TopicDetail, Trouble> {
    check_name(name)?;
    let metadata = session.metadata(Some(name))?;
    let topic = found(metadata.topics(), name)?;
    let mut not_available =
        vec!["sizes on disk: librdkafka has no DescribeLogDirs; see kafka-log-dirs.sh".to_owned()];
    let mut by_partition: Vec<PartitionView> = topic.partitions().iter().map(partition).collect();
    by_partition.sort_by_key(|partition| partition.id);
    fill_offsets(session, name, &mut by_partition, &mut not_available);
    let configs = configs(session, name).unwrap_or_else(|trouble| {
        not_available.push(format!("configs: {trouble}"));
        Vec::new()
    });
    Ok(TopicDetail {
        summary: summary(topic, uses(config, cluster, name)),
        messages_estimated: by_partition.iter().filter_map(|partition| partition.messages_estimated).sum(),
        by_partition,
        configs,
        not_available,
    })
}

/// The topic of a name in an answer.
fn found<'a>(topics: &'a [MetadataTopic], name: &str) -> Result<&'a MetadataTopic, Trouble> {
    let what = format!("topic {name}");
    let topic = topics.iter().find(|topic| topic.name() == name);
    let topic =
        topic.ok_or_else(|| Trouble::of_code(RDKafkaErrorCode::UnknownTopicOrPartition, &what, None))?;
    match topic.error().map(RDKafkaErrorCode::from) {
        Some(code) => Err(Trouble::of_code(code, &what, None)),
        None => Ok(topic),
    }
}

fn partition(partition: &MetadataPartition) -> PartitionView {
    PartitionView {
        id: partition.id(),
        leader: Some(partition.leader()).filter(|leader| *leader >= 0),
        replicas: partition.replicas().to_vec(),
        in_sync: partition.isr().to_vec(),
        low: None,
        high: None,
        messages_estimated: None,
    }
}

/// Asks for the offsets of as many partitions as fit the time.
fn fill_offsets(
    session: &Session,
    topic: &str,
    partitions: &mut [PartitionView],
    not_available: &mut Vec<String>,
) {
    let end = Instant::now() + OFFSETS_TIME;
    let mut trouble = None;
    let mut unknown = partitions.len().saturating_sub(OFFSETS_MAX);
    for partition in partitions.iter_mut().take(OFFSETS_MAX) {
        let left = end.saturating_duration_since(Instant::now());
        if partition.leader.is_none() || left.is_zero() {
            unknown += 1;
            continue;
        }
        match session.consumer().fetch_watermarks(topic, partition.id, left.min(ANSWER_MAX)) {
            Ok((low, high)) => {
                partition.low = Some(low);
                partition.high = Some(high);
                partition.messages_estimated = Some(high - low);
            }
            Err(error) => {
                unknown += 1;
                trouble = Some(Trouble::of_error(&error, "offsets").text);
            }
        }
    }
    if unknown > 0 {
        let why = trouble.unwrap_or_else(|| "no leader, or more than fit the time".to_owned());
        not_available.push(format!("offsets of {unknown} partitions: {why}"));
    }
}

/// The configs of a topic, by name.
pub(super) fn configs(session: &Session, name: &str) -> Result<Vec<ConfigView>, Trouble> {
    let what = format!("configs of topic {name}");
    let admin = session.admin()?;
    let asked = [ResourceSpecifier::Topic(name)];
    let answers = block_on(admin.describe_configs(&asked, &admin_options(false)))?;
    let answer = answers.map_err(|error| Trouble::of_error(&error, &what))?.into_iter().next();
    let resource = answer
        .ok_or_else(|| Trouble::new(Fault::Unreachable, format!("{what}: the answer is empty"), "try again"))?
        .map_err(|code| Trouble::of_code(code, &what, None))?;
    let mut configs: Vec<ConfigView> = resource
        .entries
        .into_iter()
        .map(|entry| ConfigView {
            value: entry.value.filter(|_| !entry.is_sensitive),
            source: source(&entry.source),
            is_default: entry.is_default,
            read_only: entry.is_read_only,
            name: entry.name,
        })
        .collect();
    configs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(configs)
}

/// What these configs of a topic are set to; `None` for what has its default.
pub(crate) fn values<'a>(
    session: &Session,
    name: &str,
    wanted: impl Iterator<Item = &'a String>,
) -> Result<ConfigChanges, Trouble> {
    check_name(name)?;
    session.metadata(Some(name))?;
    let found = configs(session, name)?;
    let set = |wanted: &str| found.iter().find(|config| config.name == wanted && config.source == "topic");
    Ok(wanted.map(|name| (name.clone(), set(name).and_then(|config| config.value.clone()))).collect())
}

fn source(source: &ConfigSource) -> &'static str {
    match source {
        ConfigSource::DynamicTopic => "topic",
        ConfigSource::DynamicBroker => "broker",
        ConfigSource::DynamicDefaultBroker => "cluster",
        ConfigSource::StaticBroker => "static",
        ConfigSource::Default => "default",
        ConfigSource::Unknown => "unknown",
    }
}

/// Makes a topic, or asks the cluster whether it would.
pub(crate) fn create(session: &Session, plan: &NewTopicPlan, preview: bool) -> Result<(), Trouble> {
    check_name(&plan.name)?;
    check_not_internal(&plan.name, "made")?;
    check_partitions(plan.partitions)?;
    check_configs(plan.configs.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))))?;
    session.metadata(Some(&plan.name))?;
    let replication = match plan.replication {
        // Kafka's own way to say "the brokers' default".
        None => -1,
        Some(replicas @ 1..=1_000) => replicas as i32,
        Some(replicas) => {
            let text = format!("replication: {replicas} is outside 1 to 1000");
            return Err(Trouble::new(
                Fault::Invalid,
                text,
                "give at most as many replicas as there are brokers",
            ));
        }
    };
    let mut topic = NewTopic::new(&plan.name, plan.partitions as i32, TopicReplication::Fixed(replication));
    for (name, value) in &plan.configs {
        topic = topic.set(name, value);
    }
    let admin = session.admin()?;
    one(block_on(admin.create_topics([&topic], &admin_options(preview)))?, &plan.name)
}

/// Changes configs of a topic; what is not named stays as it is.
pub(crate) fn alter(
    session: &Session,
    name: &str,
    changes: &ConfigChanges,
    preview: bool,
) -> Result<(), Trouble> {
    check_name(name)?;
    check_not_internal(name, "changed")?;
    check_configs(changes.iter().map(|(name, value)| (name.as_str(), value.as_deref())))?;
    if changes.is_empty() {
        return Err(Trouble::new(Fault::Invalid, "nothing is to change", "name at least one config"));
    }
    let metadata = session.metadata(Some(name))?;
    found(metadata.topics(), name)?;
    let changes: Vec<(String, Option<String>)> =
        changes.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    calls::alter_topic(session.consumer().client().native_ptr(), name, &changes, preview)
}

/// What adding partitions means, for whoever is to agree.
pub(crate) const KEYS_MOVE: &str = "a key's partition is its hash modulo the number of partitions: with another number, keys \
     move, and records of a key that follow are no longer behind those before. Partitions cannot be taken away again";

/// Gives a topic more partitions; `consent` is its name, typed again.
pub(crate) fn add_partitions(
    session: &Session,
    name: &str,
    total: u32,
    consent: Option<&str>,
    preview: bool,
) -> Result<(), Trouble> {
    check_name(name)?;
    check_not_internal(name, "changed")?;
    check_partitions(total)?;
    let metadata = session.metadata(Some(name))?;
    let now = found(metadata.topics(), name)?.partitions().len();
    if total as usize <= now {
        let text = format!("partitions: topic {name} has {now} and cannot have {total}");
        return Err(Trouble::new(Fault::Invalid, text, format!("give more than {now}")));
    }
    if !preview {
        typed(name, consent, KEYS_MOVE)?;
    }
    let admin = session.admin()?;
    let more = NewPartitions::new(name, total as usize);
    one(block_on(admin.create_partitions([&more], &admin_options(preview)))?, name)
}

/// Deletes a topic that no pipeline uses; `consent` is its name, typed again.
pub(crate) fn delete(
    session: &Session,
    name: &str,
    used_by: &[TopicUse],
    consent: Option<&str>,
) -> Result<(), Trouble> {
    check_name(name)?;
    check_not_internal(name, "deleted")?;
    if let Some(user) = used_by.first() {
        let text = format!("topic {name}: pipeline {} uses it as its {}", user.pipeline, user.role);
        return Err(Trouble::new(Fault::Conflict, text, "change the pipeline first"));
    }
    let metadata = session.metadata(Some(name))?;
    found(metadata.topics(), name)?;
    typed(name, consent, "all of its records are lost for good")?;
    let admin = session.admin()?;
    one(block_on(admin.delete_topics(&[name], &admin_options(false)))?, name)
}

/// Whether whoever asks has typed the name, having been told what it means.
fn typed(name: &str, consent: Option<&str>, meaning: &str) -> Result<(), Trouble> {
    if consent == Some(name) {
        return Ok(());
    }
    let text = match consent {
        None => format!("topic {name}: {meaning}"),
        Some(_) => format!("topic {name}: the confirmation is not its name; {meaning}"),
    };
    Err(Trouble::new(
        Fault::Conflict,
        text,
        format!("to go on, send `confirm` with the topic's name, `{name}`"),
    ))
}

/// The one result of a call about one topic.
fn one(answer: Result<Vec<TopicResult>, rdkafka::error::KafkaError>, name: &str) -> Result<(), Trouble> {
    let what = format!("topic {name}");
    let results = answer.map_err(|error| Trouble::of_error(&error, &what))?;
    match results.into_iter().next() {
        Some(Ok(_)) => Ok(()),
        Some(Err((_, code))) => Err(Trouble::of_code(code, &what, None)),
        None => Err(Trouble::new(Fault::Unreachable, format!("{what}: the answer is empty"), "try again")),
    }
}

/// Waits for an admin call on the blocking thread that all of this runs on.
fn block_on<T>(call: impl Future<Output = T>) -> Result<T, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Trouble::new(Fault::Busy, format!("no runtime: {error}"), "raise the limit of descriptors")
    })?;
    Ok(runtime.block_on(call))
}

/// Kafka's own rule. Source: `org.apache.kafka.common.internals.Topic`.
pub(crate) fn check_name(name: &str) -> Result<(), Trouble> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let fits = (1..=249).contains(&name.len()) && name != "." && name != ".." && name.chars().all(legal);
    let shown: String = name.chars().take(249).collect();
    let refuse = || {
        let remedy = "use 1 to 249 of letters, digits, '.', '_' and '-'";
        Trouble::new(Fault::Invalid, format!("name: `{shown}` is no topic name"), remedy)
    };
    if fits { Ok(()) } else { Err(refuse()) }
}

fn check_not_internal(name: &str, done: &str) -> Result<(), Trouble> {
    if is_internal(name) {
        let text = format!("topic {name}: Kafka's own topics are not {done} here");
        return Err(Trouble::new(Fault::Invalid, text, "use Kafka's own tools if you must"));
    }
    Ok(())
}

fn check_partitions(count: u32) -> Result<(), Trouble> {
    if (1..=PARTITIONS_MAX).contains(&count) {
        return Ok(());
    }
    let text = format!("partitions: {count} is outside 1 to {PARTITIONS_MAX}");
    Err(Trouble::new(
        Fault::Invalid,
        text,
        "a dozen is a good begin; partitions can be added, not taken away",
    ))
}

fn check_configs<'a>(configs: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Result<(), Trouble> {
    let mut count = 0;
    for (name, value) in configs {
        count += 1;
        let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
        if name.is_empty() || name.len() > 249 || !name.chars().all(legal) {
            let shown: String = name.chars().take(64).collect();
            return Err(Trouble::new(
                Fault::Invalid,
                format!("configs: `{shown}` is no config"),
                "see kafka-configs.sh",
            ));
        }
        if value.is_some_and(|value| value.len() > CONFIG_BYTES_MAX || value.contains('\0')) {
            let text = format!(
                "configs.{name}: the value is longer than {CONFIG_BYTES_MAX} bytes, or has a zero byte"
            );
            return Err(Trouble::new(Fault::Invalid, text, "shorten it"));
        }
    }
    if count > CONFIGS_MAX {
        let text = format!("configs: {count} are more than {CONFIGS_MAX} in one change");
        return Err(Trouble::new(Fault::Invalid, text, "change them in several"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use dataplane::config::DeadLetter;

    use super::*;

    #[test]
    fn the_pipelines_of_a_topic_are_those_of_its_cluster() {
        let mut config = crate::board::fixture::config();
        config.pipeline[0].dead_letter = Some(DeadLetter { topic: "dead".into() });
        let cluster = config.pipeline[0].kafka.brokers.clone();
        let role =
            |topic: &str| uses(&config, &cluster, topic).iter().map(|found| found.role).collect::<Vec<_>>();
        assert_eq!(role("orders"), ["route"]);
        assert_eq!(role("dead"), ["dead_letter"]);
        assert_eq!(role("other"), Vec::<&str>::new());
        assert_eq!(uses(&config, &["elsewhere:9092".to_owned()], "orders"), []);
    }

    #[test]
    fn a_typed_name_is_asked_for_with_what_it_means() {
        assert!(typed("orders", Some("orders"), "x").is_ok());
        for wrong in [None, Some("order"), Some("ORDERS"), Some("")] {
            let trouble = typed("orders", wrong, "all is lost").unwrap_err();
            assert_eq!(trouble.fault, Fault::Conflict);
            assert!(trouble.text.contains("all is lost") && trouble.remedy.contains("`orders`"), "{trouble}");
        }
    }

    #[test]
    fn names_numbers_and_configs_are_checked_before_anybody_is_asked() {
        for name in ["", ".", "..", "a b", "a/b", "ä", &"x".repeat(250)] {
            assert_eq!(check_name(name).unwrap_err().fault, Fault::Invalid, "{name}");
        }
        assert!(check_name(&"x".repeat(249)).is_ok());
        // Our own rule and no refusal of the cluster: a fault of whoever asks.
        let refused = check_not_internal("__consumer_offsets", "deleted").unwrap_err();
        assert_eq!(refused.fault, Fault::Invalid);
        assert!(
            check_partitions(0).is_err() && check_partitions(10_001).is_err() && check_partitions(1).is_ok()
        );
        assert!(check_configs([("retention.ms", Some("1"))].into_iter()).is_ok());
        assert!(check_configs([("retention ms", Some("1"))].into_iter()).is_err());
        assert!(check_configs([("a", Some("\0"))].into_iter()).is_err());
        let many: Vec<String> = (0..65).map(|n| format!("c{n}")).collect();
        assert!(check_configs(many.iter().map(|name| (name.as_str(), None))).is_err());
    }

    #[test]
    fn a_topic_in_use_is_not_deleted_whatever_is_typed() {
        let session = Session::open(&dataplane::config::Kafka::new(&["127.0.0.1:1"]), &[]).unwrap();
        let used = [TopicUse { pipeline: "orders".into(), role: "route" }];
        let trouble = delete(&session, "t", &used, Some("t")).unwrap_err();
        assert_eq!(trouble.fault, Fault::Conflict);
        assert!(trouble.text.contains("pipeline orders uses it as its route"), "{trouble}");
    }
}
