//! The world of one run: a fresh SQS server with one queue, and a fresh topic.
//!
//! Everything runs on the servers' cores: the threads are started by a thread that is confined to them.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use bench::sqs::{Identity, Server, ServerConfig};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::broker::Broker;
use crate::workload::{KafkaKind, Workload};

/// Visibility timeout of the queue, seconds: long enough that no target has to extend a lease at full rate.
const VISIBILITY_S: &str = "60";
/// Brokers of the mock cluster.
const MOCK_BROKERS: i32 = 1;

/// Servers of a run.
pub(crate) struct World<'a> {
    /// The SQS server.
    pub(crate) sqs: Arc<Server>,
    /// Name of the queue.
    pub(crate) queue: &'static str,
    /// Brokers to ask first.
    pub(crate) bootstrap: String,
    /// The topic.
    pub(crate) topic: String,
    /// File with the authority of the SQS server's certificate, when it speaks TLS.
    pub(crate) ca: Option<PathBuf>,
    /// The SQS server's clock began so many nanoseconds after 1970.
    pub(crate) epoch_ns: u128,
    broker: Option<&'a Broker>,
    _mock: Option<MockCluster<'static, DefaultProducerContext>>,
}

impl<'a> World<'a> {
    /// Starts the servers; `broker` is the one that outlives runs, when Kafka is to be real.
    ///
    /// # Errors
    /// No port, thread or descriptor is left, or the broker refuses the topic.
    pub(crate) fn start(
        workload: &Workload,
        broker: Option<&'a Broker>,
        scratch: &Path,
        serial: u64,
    ) -> Result<World<'a>> {
        let topic = format!("bench-{}-{serial}", std::process::id());
        let (mock, bootstrap) = match broker {
            Some(broker) => {
                broker.create_topic(&topic, workload.partitions)?;
                (None, broker.bootstrap())
            }
            None => {
                let cluster = MockCluster::new(MOCK_BROKERS)?;
                cluster.create_topic(&topic, workload.partitions, MOCK_BROKERS)?;
                let bootstrap = cluster.bootstrap_servers();
                (Some(cluster), bootstrap)
            }
        };
        let tls = workload.tls.then(|| Identity::new(IpAddr::V4(Ipv4Addr::LOCALHOST))).transpose()?;
        let ca = tls.as_ref().map(|identity| write_ca(identity, scratch)).transpose()?;
        let sqs = Server::start(ServerConfig {
            tls,
            latency: Duration::from_millis(workload.rtt_ms),
            seed: workload.seed,
            ..ServerConfig::default()
        })?;
        let wall = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let epoch_ns = wall - u128::from(sqs.now_ns());
        let queue = if workload.fifo.is_some() { "bench.fifo" } else { "bench" };
        let mut attributes = vec![("VisibilityTimeout", VISIBILITY_S)];
        if workload.fifo.is_some() {
            attributes.push(("FifoQueue", "true"));
        }
        sqs.create_queue(queue, &attributes).map_err(|error| anyhow!("{}: {}", error.code, error.message))?;
        Ok(World { sqs: Arc::new(sqs), queue, bootstrap, topic, ca, epoch_ns, broker, _mock: mock })
    }

    /// What kind of cluster it is.
    pub(crate) fn kafka(&self) -> KafkaKind {
        if self.broker.is_some() { KafkaKind::Real } else { KafkaKind::Mock }
    }

    /// Messages that are not deleted yet.
    pub(crate) fn queued(&self) -> u64 {
        let depth = self.sqs.depth(self.queue).unwrap_or_default();
        (depth.visible + depth.in_flight + depth.delayed) as u64
    }
}

fn write_ca(identity: &Identity, scratch: &Path) -> Result<PathBuf> {
    let path = scratch.join("ca.pem");
    std::fs::write(&path, identity.ca_pem()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        if let Some(broker) = self.broker {
            // What cannot be deleted now goes with the broker's folder.
            let _left = broker.delete_topic(&self.topic);
        }
    }
}
