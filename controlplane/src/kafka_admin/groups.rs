//! Consumer groups and how far they are behind.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::groups::GroupInfo;
use serde::Serialize;
use utoipa::ToSchema;

use super::calls::{self, Committed};
use super::client::{ANSWER_MAX, Session};
use super::trouble::Trouble;

/// Partitions of a group whose end is asked for; each is a round trip.
const ENDS_MAX: usize = 1_000;
/// Time for the ends of one group's partitions.
const ENDS_TIME: Duration = Duration::from_secs(15);
/// Longest name of a group that is asked for.
const NAME_BYTES_MAX: usize = 255;

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct GroupSummary {
    /// Its name.
    #[schema(example = "billing")]
    pub(crate) name: String,
    /// Kafka's word for its state, for example `Stable` or `Empty`.
    #[schema(example = "Stable")]
    pub(crate) state: String,
    /// How many members it has.
    pub(crate) members: usize,
}

/// One partition of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct GroupPartition {
    /// Topic.
    #[schema(example = "orders")]
    pub(crate) topic: String,
    /// Partition.
    pub(crate) partition: i32,
    /// Offset of the next record that the group reads.
    pub(crate) committed: i64,
    /// Offset of the next record that will be written; null when unknown.
    pub(crate) end: Option<i64>,
    /// Records between the two; null when unknown.
    pub(crate) lag: Option<i64>,
}

/// A group with its positions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct GroupDetail {
    /// As in the list.
    #[serde(flatten)]
    pub(crate) summary: GroupSummary,
    /// Records that it is behind, over all partitions whose end is known.
    pub(crate) lag: i64,
    /// Its positions, by topic and partition.
    pub(crate) by_partition: Vec<GroupPartition>,
    /// What is not known, and why.
    pub(crate) not_available: Vec<String>,
}

/// All groups, by name.
pub(crate) fn list(session: &Session) -> Result<Vec<GroupSummary>, Trouble> {
    session.metadata(Some("millrace-look"))?;
    let groups = fetch(session, None)?;
    let mut groups: Vec<GroupSummary> = groups.groups().iter().map(summary).collect();
    groups.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(groups)
}

/// One group and its lag; of one topic only, if one is named.
pub(crate) fn describe(session: &Session, name: &str, topic: Option<&str>) -> Result<GroupDetail, Trouble> {
    let what = format!("group {name}");
    let missing = || Trouble::of_code(RDKafkaErrorCode::GroupIdNotFound, &what, None);
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(missing());
    }
    session.metadata(Some("millrace-look"))?;
    let groups = fetch(session, Some(name))?;
    let summary = groups.groups().iter().map(summary).find(|group| group.name == name);
    let mut committed = calls::group_offsets(session.consumer().client().native_ptr(), name)?;
    // A name that nobody uses is a dead group without positions to Kafka.
    let is_known = |group: &GroupSummary| group.state != "Dead" || !committed.is_empty();
    let summary = summary.filter(is_known).ok_or_else(missing)?;
    committed.retain(|position| topic.is_none_or(|topic| position.topic == topic));
    committed.sort_by(|one, other| (&one.topic, one.partition).cmp(&(&other.topic, other.partition)));
    let mut not_available = Vec::new();
    let by_partition = with_ends(session, committed, &mut not_available);
    let lag = by_partition.iter().filter_map(|partition| partition.lag).sum();
    Ok(GroupDetail { summary, lag, by_partition, not_available })
}

fn fetch(session: &Session, name: Option<&str>) -> Result<rdkafka::groups::GroupList, Trouble> {
    let answer = session.consumer().fetch_group_list(name, ANSWER_MAX);
    answer.map_err(|error: KafkaError| Trouble::of_error(&error, "consumer groups"))
}

fn summary(group: &GroupInfo) -> GroupSummary {
    GroupSummary {
        name: group.name().to_owned(),
        state: group.state().to_owned(),
        members: group.members().len(),
    }
}

fn with_ends(
    session: &Session,
    committed: Vec<Committed>,
    not_available: &mut Vec<String>,
) -> Vec<GroupPartition> {
    let end_at = Instant::now() + ENDS_TIME;
    let mut unknown: BTreeMap<String, usize> = BTreeMap::new();
    let mut asked = 0;
    let mut partitions = Vec::with_capacity(committed.len());
    for Committed { topic, partition, offset } in committed {
        let left = end_at.saturating_duration_since(Instant::now());
        asked += 1;
        let end = if asked > ENDS_MAX || left.is_zero() {
            Err("more than fit the time".to_owned())
        } else {
            let marks = session.consumer().fetch_watermarks(&topic, partition, left.min(ANSWER_MAX));
            marks.map(|(_, high)| high).map_err(|error| Trouble::of_error(&error, "end").text)
        };
        let end = end.map_err(|why| *unknown.entry(why).or_default() += 1).ok();
        partitions.push(GroupPartition {
            lag: end.map(|end| lag(offset, end)),
            topic,
            partition,
            committed: offset,
            end,
        });
    }
    not_available
        .extend(unknown.into_iter().map(|(why, count)| format!("ends of {count} partitions: {why}")));
    partitions
}

/// A topic that was made anew ends before what was committed to the old one.
fn lag(committed: i64, end: i64) -> i64 {
    (end - committed).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_behind_by_less_than_nothing() {
        assert_eq!((lag(3, 10), lag(10, 10), lag(500, 10)), (7, 0, 0));
    }
}
