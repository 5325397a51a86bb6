//! One scenario's world: a queue of the embedded SQS server, topics of a real Kafka, everything that was
//! sent, and the oracle at the end.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, ensure};
use bench::load::Bodies;
use bench::sqs::{
    Attribute, Depth, Event, FaultPlan, Identity, Keys, Kind, OutMessage, Rule, Server, ServerConfig,
};

use crate::appliance::{ACCESS_KEY, Appliance, Plan, SECRET_KEY};
use crate::kafka::{Kafka, Topic};
use crate::oracle::{Evidence, KeyRule, Sent, Totals, Verdict, Watch, check_totals, judge};
use crate::reader::{Record, read_all};
use crate::wait_until;

/// What kind of world is wanted.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Name of the topic, and of the queue with `.fifo` where it is one.
    pub name: &'static str,
    /// Whether the queue is FIFO.
    pub fifo: bool,
    /// Visibility timeout of the queue, seconds.
    pub visibility_s: u32,
    /// More attributes of the queue.
    pub queue_attributes: Vec<(&'static str, &'static str)>,
    /// Time added to every answer of SQS: the distance of the queue.
    pub latency: Duration,
    /// Whether the queue is reached over HTTPS, with a certificate of an authority of its own.
    pub tls: bool,
    /// Size of bodies.
    pub body_bytes: usize,
    /// Configs of the main topic.
    pub topic_configs: Vec<(&'static str, &'static str)>,
}

impl Setup {
    /// A standard queue with a visibility of 30 s and bodies of 600 bytes.
    pub fn new(name: &'static str) -> Setup {
        Setup {
            name,
            fifo: false,
            visibility_s: 30,
            queue_attributes: Vec::new(),
            latency: Duration::ZERO,
            tls: false,
            body_bytes: 600,
            topic_configs: Vec::new(),
        }
    }
}

/// A world.
pub struct World {
    /// The SQS server.
    pub server: Arc<Server>,
    /// What the oracle will see; scenarios note kills and expected faults here.
    pub evidence: Evidence,
    queue: String,
    authority: String,
    topic: String,
    /// Topics beside its own.
    topics: Vec<String>,
    dead_letter: String,
    brokers: Vec<String>,
    body_bytes: usize,
    fifo: bool,
    watch: Option<Watch>,
}

impl World {
    /// Makes queue and topics; records carry the time of their append, and a watch looks at both ledgers.
    ///
    /// # Errors
    /// A server refuses.
    pub fn new(kafka: &Kafka, setup: &Setup) -> Result<World> {
        let keys =
            Keys { access_key: ACCESS_KEY.to_owned(), secret_key: SECRET_KEY.to_owned(), ..Keys::default() };
        // Every call of every scenario must be signed.
        let identity = setup.tls.then(|| Identity::new(Ipv4Addr::LOCALHOST.into())).transpose()?;
        let authority = identity.as_ref().map(|identity| identity.ca_pem().to_owned()).unwrap_or_default();
        let config = ServerConfig {
            keys: Some(keys),
            latency: setup.latency,
            tls: identity,
            ..ServerConfig::default()
        };
        let server = Arc::new(Server::start(config)?);
        let queue = if setup.fifo { format!("{}.fifo", setup.name) } else { setup.name.to_owned() };
        let visibility = setup.visibility_s.to_string();
        let mut attributes = vec![("VisibilityTimeout", visibility.as_str())];
        if setup.fifo {
            attributes.push(("FifoQueue", "true"));
        }
        attributes.extend(&setup.queue_attributes);
        server.create_queue(&queue, &attributes).map_err(|error| anyhow!("{}", error.message))?;
        let dead_letter = format!("{}-dead", setup.name);
        let mut topic = Topic::with_append_time(setup.name);
        topic.configs.extend(&setup.topic_configs);
        kafka.create_topic(&topic)?;
        let dead = Topic::with_append_time(&dead_letter).config("max.message.bytes", "2097152");
        kafka.create_topic(&dead)?;
        let watch = Watch::begin(Arc::clone(&server), &kafka.bootstrap(), &[setup.name, &dead_letter])?;
        let evidence = Evidence {
            ledger_began_ms: wall_ms() - server.now_ns() as f64 / 1e6,
            dead_letter: Some(dead_letter.clone()),
            append_time: true,
            ..Evidence::default()
        };
        Ok(World {
            server,
            evidence,
            queue,
            authority,
            topic: setup.name.to_owned(),
            topics: Vec::new(),
            dead_letter,
            brokers: kafka.brokers(),
            body_bytes: setup.body_bytes,
            fifo: setup.fifo,
            watch: Some(watch),
        })
    }

    /// The appliance's plan: this queue, this topic, the dead letter, short lingers.
    pub fn plan(&self) -> Plan {
        Plan::new(&self.server.queue_url(&self.queue), &self.brokers, &self.topic)
            .add("pipeline.kafka", "linger = \"2ms\"")
            .dead_letter(&self.dead_letter)
    }

    /// PEM of the authority that signed the queue's certificate; empty without TLS.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The same through other addresses of the same cluster.
    pub fn plan_through(&self, brokers: &[String]) -> Plan {
        self.plan().set("pipeline.kafka", &format!("brokers = {brokers:?}\nlinger = \"2ms\""))
    }

    /// Sends so many more messages with attributes of every type; on a FIFO queue in 50 groups.
    ///
    /// # Errors
    /// The server refuses one.
    pub fn send(&mut self, count: u64) -> Result<()> {
        self.send_with(count, |_, _| {})
    }

    /// The same, each changed by its number before it is sent.
    ///
    /// # Errors
    /// The server refuses one.
    pub fn send_with(&mut self, count: u64, change: impl Fn(u64, &mut OutMessage)) -> Result<()> {
        let first = self.sent();
        let mut out = messages(first..first + count, self.body_bytes, self.fifo.then_some(50));
        for (number, message) in (first..).zip(&mut out) {
            change(number, message);
        }
        self.send_these(out)
    }

    /// Sends these messages.
    ///
    /// # Errors
    /// The server refuses one.
    pub fn send_these(&mut self, messages: Vec<OutMessage>) -> Result<()> {
        let ids = self.server.send(&self.queue, messages.clone());
        let ids = ids.map_err(|error| anyhow!("refused: {}", error.message))?;
        let sent = ids.into_iter().zip(messages).map(|(id, message)| Sent { id, message });
        self.evidence.sent.extend(sent);
        Ok(())
    }

    /// How many were sent.
    pub fn sent(&self) -> u64 {
        self.evidence.sent.len() as u64
    }

    /// Names another dead-letter topic than the world's own. It exists by now, and is watched from now on.
    ///
    /// # Errors
    /// Kafka does not know the topic.
    pub fn dead_letter_is(&mut self, topic: &str) -> Result<()> {
        topic.clone_into(&mut self.dead_letter);
        self.evidence.dead_letter = Some(topic.to_owned());
        self.watch.as_ref().map_or(Ok(()), |watch| watch.add(&self.brokers.join(","), topic))
    }

    /// Names a topic beside the world's own, where messages may go too. It exists by now, and is watched from
    /// now on.
    ///
    /// # Errors
    /// Kafka does not know the topic.
    pub fn also_goes_to(&mut self, topic: &str) -> Result<()> {
        self.topics.push(topic.to_owned());
        self.watch.as_ref().map_or(Ok(()), |watch| watch.add(&self.brokers.join(","), topic))
    }

    /// Records of the dead-letter topic, after [`World::judge`].
    pub fn dead_letters(&self) -> impl Iterator<Item = &Record> {
        self.evidence.records.iter().filter(|record| record.topic == self.dead_letter)
    }

    /// Sets where the oracle expects keys to come from.
    pub fn keys_from(&mut self, rule: KeyRule) {
        self.evidence.key = rule;
    }

    /// Replaces the fault plan of the SQS server.
    pub fn faults(&self, rules: Vec<Rule>) {
        self.server.set_faults(FaultPlan { seed: 7, rules });
    }

    /// Notes that the appliance was killed just now.
    pub fn note_kill(&mut self) {
        self.evidence.kills_ns.push(self.server.now_ns());
    }

    /// What the queue holds.
    ///
    /// # Errors
    /// The queue is gone.
    pub fn depth(&self) -> Result<Depth> {
        self.server.depth(&self.queue).context("the queue is gone")
    }

    /// Waits until the queue holds nothing.
    ///
    /// # Errors
    /// The time is up; the text has the depth and the appliance's log.
    pub fn wait_empty(&self, seconds: u64, appliance: &mut Appliance) -> Result<()> {
        let empty = || self.depth().is_ok_and(|depth| depth.visible + depth.in_flight + depth.delayed == 0);
        let waited = wait_until("the queue is empty", seconds, || empty() || !appliance.is_running());
        let state = appliance.snapshot().map(|snapshot| snapshot["pipelines"][0]["totals"].to_string());
        waited.with_context(|| format!("{:?} {state:?}\n{}", self.depth(), appliance.tail()))?;
        ensure!(empty(), "the appliance ended:\n{}", appliance.tail());
        Ok(())
    }

    /// The SQS ledger.
    pub fn events(&self) -> Vec<Event> {
        self.server.ledger(0)
    }

    /// Times of a kind in the SQS ledger.
    pub fn count(&self, kind: Kind) -> usize {
        self.events().iter().filter(|event| event.kind == kind).count()
    }

    /// How often the message was handed out that was handed out most often.
    pub fn receives_max(&self) -> u32 {
        let received = self.events().into_iter().filter(|event| event.kind == Kind::Received);
        received.map(|event| event.count).max().unwrap_or(0)
    }

    /// Waits until the appliance holds nothing, and compares its counters with both ledgers. Only for a
    /// process that lived through the whole run and read every answer.
    ///
    /// # Errors
    /// A counter is wrong.
    pub fn check_counters(&self, appliance: &mut Appliance) -> Result<Totals> {
        let mut totals = Totals::default();
        let quiet = wait_until("nothing is in flight", 20, || {
            let found = appliance.snapshot().and_then(|snapshot| Totals::from(&snapshot));
            totals = found.unwrap_or_default();
            totals.received > 0 && totals.in_flight == 0
        });
        quiet.with_context(|| format!("{totals:?}\n{}", appliance.tail()))?;
        let dead: HashSet<u128> = read_all(&self.brokers.join(","), &self.dead_letter)?
            .iter()
            .filter_map(Record::message_id)
            .collect();
        // The counters are published once a second: the first quiet ones may be older than the ledger.
        let last = wait_until("the counters equal the ledgers", 5, || {
            totals = appliance.snapshot().and_then(|snapshot| Totals::from(&snapshot)).unwrap_or_default();
            check_totals(&totals, &self.events(), &dead).is_ok()
        });
        check_totals(&totals, &self.events(), &dead).with_context(|| appliance.tail())?;
        last.map(|()| totals)
    }

    /// Ends the watch, reads all topics, judges, and fails unless every promise was kept and both rules
    /// had something to judge.
    ///
    /// # Errors
    /// A broken promise.
    pub fn judge(&mut self) -> Result<Verdict> {
        if let Some(watch) = self.watch.take() {
            self.evidence.looks = watch.end();
        }
        let bootstrap = self.brokers.join(",");
        self.evidence.records = read_all(&bootstrap, &self.topic)?;
        for topic in self.topics.iter().chain([&self.dead_letter]) {
            self.evidence.records.extend(read_all(&bootstrap, topic)?);
        }
        self.evidence.events = Some(self.events());
        let verdict = judge(&self.evidence);
        eprintln!("{}: {verdict}", self.topic);
        verdict.clean()?;
        ensure!(self.sent() > 0 && verdict.deletes_judged > 0, "nothing was judged: {verdict}");
        Ok(verdict)
    }
}

fn wall_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1e3)
}

/// Messages of these numbers with attributes of every type, in so many FIFO groups.
pub fn messages(numbers: Range<u64>, body_bytes: usize, groups: Option<u64>) -> Vec<OutMessage> {
    let bodies = Bodies::new(11, body_bytes, 0);
    let make = |number| OutMessage {
        body: bodies.body(number).text,
        attributes: attributes(number),
        group: groups.map(|groups| format!("group-{}", number % groups)),
        dedup: groups.map(|_| format!("dedup-{number}")),
        ..OutMessage::default()
    };
    numbers.map(make).collect()
}

/// Attributes of every type that SQS knows, with what escapes badly.
fn attributes(number: u64) -> Vec<Attribute> {
    let make = |name: &str, data_type: &str, value: &[u8]| Attribute {
        name: name.to_owned(),
        data_type: data_type.to_owned(),
        value: value.to_vec(),
    };
    vec![
        make("type", "String", bench::load::TYPES[number as usize % 4].as_bytes()),
        make("note", "String.note", "grün \"quoted\" \\ tab\t line\n".as_bytes()),
        make("price", "Number", format!("{number}.50").as_bytes()),
        make("count", "Number.int", number.to_string().as_bytes()),
        make("raw", "Binary", &[0, 255, 10, 13, 34, 92, number as u8]),
        make("picture", "Binary.png", &number.to_be_bytes()),
    ]
}
