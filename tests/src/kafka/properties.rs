//! `server.properties` of a broker, as text. Source of the names: Kafka documentation, "Broker configs".

use std::path::Path;

use super::{BrokerPorts, Certificates, PLAIN_USER, Plan};

struct Listener {
    name: &'static str,
    protocol: &'static str,
    port: u16,
    advertised: u16,
}

/// The file of broker `index`.
pub(super) fn text(
    plan: &Plan,
    index: usize,
    ports: &[BrokerPorts],
    logs: &Path,
    certificates: Option<&Certificates>,
) -> String {
    let own = ports[index];
    let listener = |name, protocol, port, advertised| Listener { name, protocol, port, advertised };
    let mut listeners = vec![listener("PLAINTEXT", "PLAINTEXT", own.plain, own.plain)];
    if let Some((port, advertised)) = plan.proxied {
        listeners.push(listener("PROXIED", "PLAINTEXT", port, advertised));
    }
    if plan.secured {
        listeners.push(listener("SASL_SSL", "SASL_SSL", own.sasl_ssl, own.sasl_ssl));
        listeners.push(listener("SSL", "SSL", own.ssl, own.ssl));
    }
    let join = |each: &dyn Fn(&Listener) -> String| listeners.iter().map(each).collect::<Vec<_>>().join(",");
    let listen = join(&|listener| format!("{}://127.0.0.1:{}", listener.name, listener.port));
    let advertised = join(&|listener| format!("{}://127.0.0.1:{}", listener.name, listener.advertised));
    let protocols = join(&|listener| format!("{}:{}", listener.name, listener.protocol));
    let voters: Vec<String> = ports
        .iter()
        .enumerate()
        .map(|(index, ports)| format!("{}@127.0.0.1:{}", index + 1, ports.controller))
        .collect();
    let factor = ports.len();
    let mut text = format!(
        "process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners={listen},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={advertised}
listener.security.protocol.map={protocols},CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={logs}
offsets.topic.replication.factor={factor}
transaction.state.log.replication.factor={factor}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={factor}
share.coordinator.state.topic.min.isr={in_sync}
default.replication.factor={factor}
min.insync.replicas={in_sync}
group.initial.rebalance.delay.ms=0
message.max.bytes=2097152
auto.create.topics.enable=false
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
",
        id = index + 1,
        voters = voters.join(","),
        controller = own.controller,
        logs = logs.display(),
        in_sync = if factor > 1 { 2 } else { 1 },
    );
    if let Some(certificates) = certificates {
        text.push_str(&security(certificates));
    }
    text
}

fn security(certificates: &Certificates) -> String {
    let (user, password) = PLAIN_USER;
    format!(
        "sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}=\"{password}\";
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
listener.name.ssl.ssl.client.auth=required
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
",
        keystore = certificates.broker_keystore.display(),
        ca = certificates.ca.display(),
    )
}
