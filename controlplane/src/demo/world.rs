//! The world around the pump: the embedded SQS server, the mock cluster, and a thread that plays faults.
//!
//! The cluster's handle stays on its thread, because it cannot leave it. Everything here runs on the cores that the
//! shards leave.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bench::sqs::{Server, ServerConfig};
use rdkafka::mocking::MockCluster;

use super::chaos::{self, KafkaFaults};
use crate::cli::DemoArgs;
use crate::exit::Failure;

/// Brokers of the mock cluster.
pub(super) const BROKERS: i32 = 3;
/// Partitions of the topic.
pub(super) const PARTITIONS: i32 = 8;
/// The topic.
pub(super) const TOPIC: &str = "demo";
/// The dead-letter topic.
pub(super) const DEAD_LETTERS: &str = "demo-rejected";
/// Turn of the thread that plays faults.
const TURN: Duration = Duration::from_millis(100);
/// Visibility timeout of the queue, seconds.
pub(super) const VISIBILITY_S: u32 = 30;

/// The embedded servers.
pub(super) struct World {
    /// The SQS server.
    pub(super) server: Arc<Server>,
    /// Name of the queue.
    pub(super) queue: &'static str,
    /// Brokers of the mock cluster, separated by commas.
    pub(super) brokers: String,
    orders: Sender<Calm>,
    thread: JoinHandle<()>,
}

/// End all faults.
#[derive(Debug, PartialEq, Eq)]
struct Calm;

impl World {
    /// Starts the servers on these cores.
    ///
    /// # Errors
    /// No port, thread or descriptor is left.
    pub(super) fn start(args: &DemoArgs, cores: &[u16]) -> Result<World, Failure> {
        let (told, tells) = channel();
        let (orders, ordered) = channel();
        let (args, cores) = (args.clone(), cores.to_vec());
        let queue = if args.fifo.is_some() { "demo.fifo" } else { "demo" };
        let thread = std::thread::Builder::new().name("world".to_owned()).spawn(move || {
            crate::cores::confine_to(&cores);
            let cluster = match cluster() {
                Ok(cluster) => cluster,
                Err(text) => {
                    let _gone = told.send(Err(text));
                    return;
                }
            };
            let server = server(queue, &args);
            let _gone = told.send(server.map(|server| (server, cluster.bootstrap_servers())));
            let mut faults = KafkaFaults::begin(&args.chaos, &cluster, BROKERS);
            play(&ordered, &mut || faults.turn(&cluster));
            faults.end(&cluster);
            // The cluster lives until nobody can ask for anything any more.
            while ordered.recv().is_ok() {}
        });
        let thread = thread.map_err(|error| refuse(&error.to_string()))?;
        let (server, brokers) =
            tells.recv().map_err(|_| refuse("its thread ended"))?.map_err(|text| refuse(&text))?;
        Ok(World { server: Arc::new(server), queue, brokers, orders, thread })
    }

    /// Ends all faults, so that what is held can be finished.
    pub(super) fn calm(&self) {
        self.server.set_faults(chaos::sqs_plan(&[], 0));
        let _ended = self.orders.send(Calm);
    }

    /// Stops the servers.
    pub(super) fn end(self) {
        drop(self.orders);
        let _panicked = self.thread.join();
    }
}

/// Plays until told to be calm, or until nobody is left to tell.
fn play(orders: &Receiver<Calm>, turn: &mut dyn FnMut()) {
    while orders.recv_timeout(TURN) == Err(RecvTimeoutError::Timeout) {
        turn();
    }
}

type Cluster = MockCluster<'static, rdkafka::producer::DefaultProducerContext>;

fn cluster() -> Result<Cluster, String> {
    let cluster = MockCluster::new(BROKERS).map_err(|error| error.to_string())?;
    cluster.create_topic(TOPIC, PARTITIONS, BROKERS).map_err(|error| error.to_string())?;
    cluster.create_topic(DEAD_LETTERS, 1, BROKERS).map_err(|error| error.to_string())?;
    Ok(cluster)
}

fn server(queue: &str, args: &DemoArgs) -> Result<Server, String> {
    let latency = args.round_trip.unwrap_or_default();
    let config = ServerConfig { seed: args.seed, latency, ..ServerConfig::default() };
    let server = Server::start(config).map_err(|error| error.to_string())?;
    let visibility = VISIBILITY_S.to_string();
    let mut attributes = vec![("VisibilityTimeout", visibility.as_str())];
    if queue.ends_with(".fifo") {
        attributes.push(("FifoQueue", "true"));
    }
    server.create_queue(queue, &attributes).map_err(|error| format!("{error:?}"))?;
    server.set_faults(chaos::sqs_plan(&args.chaos, args.seed));
    Ok(server)
}

fn refuse(text: &str) -> Failure {
    Failure::config(
        format!("the demo's servers cannot start: {text}"),
        "raise the limits of threads and descriptors",
    )
}
