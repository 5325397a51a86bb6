//! Topics of a cluster: made, taken away and made again.

use std::time::Duration;

use anyhow::{Result, anyhow};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

use super::Kafka;

/// A topic to be made.
#[derive(Clone, Debug)]
pub struct Topic<'a> {
    /// Its name.
    pub name: &'a str,
    /// Partitions.
    pub partitions: i32,
    /// Configs, as Kafka names them.
    pub configs: Vec<(&'a str, &'a str)>,
}

impl<'a> Topic<'a> {
    /// A topic of four partitions whose records keep the producer's timestamp.
    pub fn new(name: &'a str) -> Topic<'a> {
        Topic { name, partitions: 4, configs: Vec::new() }
    }

    /// A topic whose records carry the time at which the leader appended them: what tells a delete before
    /// the append from one after it, to the millisecond.
    pub fn with_append_time(name: &'a str) -> Topic<'a> {
        Topic::new(name).config("message.timestamp.type", "LogAppendTime")
    }

    /// Sets a config.
    pub fn config(mut self, name: &'a str, value: &'a str) -> Topic<'a> {
        self.configs.push((name, value));
        self
    }
}

impl Kafka {
    /// Creates a topic that has all brokers as replicas.
    ///
    /// # Errors
    /// The cluster refuses.
    pub fn create_topic(&self, topic: &Topic<'_>) -> Result<()> {
        let replication = TopicReplication::Fixed(self.brokers.len() as i32);
        let mut new = NewTopic::new(topic.name, topic.partitions, replication);
        for (key, value) in &topic.configs {
            new = new.set(key, value);
        }
        let (admin, options, runtime) = self.admin()?;
        for result in runtime.block_on(admin.create_topics([&new], &options))? {
            result.map_err(|(name, code)| anyhow!("topic {name}: {code}"))?;
        }
        Ok(())
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// The cluster refuses.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        let (admin, options, runtime) = self.admin()?;
        for result in runtime.block_on(admin.delete_topics(&[name], &options))? {
            result.map_err(|(name, code)| anyhow!("topic {name}: {code}"))?;
        }
        Ok(())
    }

    /// Index of the broker that leads a partition.
    ///
    /// # Errors
    /// The cluster does not answer, or the partition has no leader.
    pub fn leader(&self, topic: &str, partition: i32) -> Result<usize> {
        let (admin, ..) = self.admin()?;
        let metadata = admin.inner().fetch_metadata(Some(topic), Duration::from_secs(20))?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        let found = partitions.filter(|found| found.id() == partition).map(|found| found.leader()).next();
        let id = found.filter(|&id| id > 0).ok_or_else(|| anyhow!("{topic}/{partition} has no leader"))?;
        Ok(usize::try_from(id)? - 1)
    }

    /// Replicas in sync of the topic's weakest partition.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub fn in_sync(&self, topic: &str) -> Result<usize> {
        let (admin, ..) = self.admin()?;
        let metadata = admin.inner().fetch_metadata(Some(topic), Duration::from_secs(20))?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        Ok(partitions.map(|partition| partition.isr().len()).min().unwrap_or(0))
    }

    fn admin(&self) -> Result<(AdminClient<DefaultClientContext>, AdminOptions, tokio::runtime::Runtime)> {
        let admin = ClientConfig::new().set("bootstrap.servers", self.bootstrap()).create()?;
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok((admin, options, runtime))
    }
}
