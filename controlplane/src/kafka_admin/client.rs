//! Connections to a cluster, off the data path: options from the pipeline's settings, and the causes of a failure.
//!
//! The options are those of the pump where they say how a cluster is reached and who asks. librdkafka tells the cause of a
//! failed connection on its error callback only, while the caller of a function sees a time-out; so causes are kept.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dataplane::config::{Kafka, Mechanism, Protocol};
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use super::trouble::{Fault, Trouble};

/// Time for one answer of the cluster, connection included.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Causes that are kept.
const CAUSES_MAX: usize = 16;
/// How often callbacks are served while a call waits.
const SERVE_EVERY: Duration = Duration::from_millis(20);
/// Client group of a reader that joins none: librdkafka wants a name.
const GROUP: &str = "millrace-look";

/// librdkafka's options for a look at this cluster.
///
/// # Errors
/// A secret that cannot be read; the text names where it lies.
pub(crate) fn options(kafka: &Kafka) -> Result<ClientConfig, String> {
    let mut options = ClientConfig::new();
    let security = &kafka.security;
    options
        .set("bootstrap.servers", kafka.brokers.join(","))
        .set("client.id", &kafka.client_id)
        .set("group.id", GROUP)
        .set("enable.auto.commit", "false")
        .set("allow.auto.create.topics", "false")
        .set("socket.connection.setup.timeout.ms", "5000")
        .set("security.protocol", protocol(security.protocol))
        .set_log_level(RDKafkaLogLevel::Emerg);
    if let Some(mechanism) = security.mechanism {
        options.set("sasl.mechanism", sasl(mechanism));
    }
    if let Some(username) = &security.username {
        options.set("sasl.username", username);
    }
    for (name, secret) in
        [("sasl.password", &security.password), ("ssl.key.password", &security.key_password)]
    {
        if let Some(secret) = secret {
            options.set(name, secret.read().map_err(|error| error.to_string())?.as_str());
        }
    }
    for (name, file) in [
        ("ssl.ca.location", &security.ca_file),
        ("ssl.certificate.location", &security.certificate_file),
        ("ssl.key.location", &security.key_file),
    ] {
        if let Some(file) = file {
            options.set(name, file.display().to_string());
        }
    }
    // Connection options count here; those of a producer are unknown to a consumer and would be refused.
    for (name, value) in &kafka.options {
        if ["socket.", "ssl.", "sasl.", "broker.", "api.", "reconnect.", "client.dns."]
            .iter()
            .any(|known| name.starts_with(known))
        {
            options.set(name, value);
        }
    }
    Ok(options)
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Plaintext => "plaintext",
        Protocol::Ssl => "ssl",
        Protocol::SaslPlaintext => "sasl_plaintext",
        Protocol::SaslSsl => "sasl_ssl",
    }
}

fn sasl(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Plain => "PLAIN",
        Mechanism::ScramSha256 => "SCRAM-SHA-256",
        Mechanism::ScramSha512 => "SCRAM-SHA-512",
    }
}

/// Options for a client that only administers: without what a consumer alone knows.
pub(crate) fn without_group(options: &ClientConfig) -> ClientConfig {
    let mut options = options.clone();
    for name in ["group.id", "enable.auto.commit"] {
        options.remove(name);
    }
    options
}

/// Keeps what the error callback says.
#[derive(Default)]
pub(crate) struct Causes(Mutex<Vec<(RDKafkaErrorCode, String)>>);

impl ClientContext for Causes {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let mut causes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if causes.len() < CAUSES_MAX {
            causes.push((error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail), reason.to_owned()));
        }
    }
}

impl ConsumerContext for Causes {}

impl Causes {
    /// What a failed call that reached nobody was about.
    pub(crate) fn explain(&self, error: &KafkaError) -> Trouble {
        let causes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        explain(&causes, &error.to_string())
    }
}

fn explain(causes: &[(RDKafkaErrorCode, String)], error: &str) -> Trouble {
    let find = |wanted: &[RDKafkaErrorCode]| {
        causes.iter().find(|(code, _)| wanted.contains(code)).map(|(_, reason)| reason)
    };
    if let Some(reason) =
        find(&[RDKafkaErrorCode::Authentication, RDKafkaErrorCode::SaslAuthenticationFailed])
    {
        return Trouble::new(
            Fault::Refused,
            format!("the brokers refuse the login: {reason}"),
            "check kafka.security: mechanism, username and the secret that password names",
        );
    }
    if let Some(reason) = find(&[RDKafkaErrorCode::SSL]) {
        return Trouble::new(
            Fault::Refused,
            format!("TLS fails: {reason}"),
            "check kafka.security: protocol, ca_file, certificate_file, and that brokers are named as in their certificate",
        );
    }
    if let Some(reason) = find(&[RDKafkaErrorCode::Resolve]) {
        return Trouble::new(
            Fault::Unreachable,
            format!("a broker's name is not found: {reason}"),
            "check kafka.brokers and DNS",
        );
    }
    let reason = find(&[RDKafkaErrorCode::BrokerTransportFailure])
        .or_else(|| causes.first().map(|(_, reason)| reason));
    Trouble::new(
        Fault::Unreachable,
        reason.map_or_else(
            || format!("no broker answers: {error}"),
            |reason| format!("no broker answers: {reason}"),
        ),
        "check kafka.brokers, kafka.security.protocol and the way out (security group, listener)",
    )
}

/// One visit to a cluster. Every call blocks, for [`ANSWER_MAX`] at most.
pub(crate) struct Session {
    options: ClientConfig,
    consumer: BaseConsumer<Causes>,
}

impl Session {
    /// Makes the clients; connects nowhere yet. `more` are options beside those of the cluster.
    ///
    /// # Errors
    /// A secret that cannot be read, or an option that librdkafka refuses.
    pub(crate) fn open(kafka: &Kafka, more: &[(&str, &str)]) -> Result<Session, Trouble> {
        let unusable =
            |text: String| Trouble::new(Fault::Setting, text, "mend kafka.options and kafka.security");
        let options = options(kafka).map_err(unusable)?;
        let mut reading = options.clone();
        for (name, value) in more {
            reading.set(*name, *value);
        }
        let consumer = reading
            .create_with_context(Causes::default())
            .map_err(|error| unusable(format!("librdkafka refuses the options: {error}")))?;
        Ok(Session { options, consumer })
    }

    /// The consumer, which belongs to no group.
    pub(crate) fn consumer(&self) -> &BaseConsumer<Causes> {
        &self.consumer
    }

    /// A client for calls that change the cluster.
    pub(super) fn admin(&self) -> Result<AdminClient<Causes>, Trouble> {
        without_group(&self.options).create_with_context(Causes::default()).map_err(|error| {
            Trouble::new(
                Fault::Setting,
                format!("librdkafka refuses the options: {error}"),
                "mend kafka.options",
            )
        })
    }

    /// Brokers and topics, or one topic: the call that finds out whether anybody answers.
    pub(crate) fn metadata(&self, topic: Option<&str>) -> Result<Metadata, Trouble> {
        let asked = std::thread::scope(|scope| {
            let asked = scope.spawn(|| self.consumer.fetch_metadata(topic, ANSWER_MAX));
            // The error callback is served by polling.
            while !asked.is_finished() {
                let _event = self.consumer.poll(SERVE_EVERY);
            }
            asked.join()
        });
        match asked {
            Ok(answer) => answer.map_err(|error| self.consumer.context().explain(&error)),
            Err(_) => Err(Trouble::new(Fault::Bug, "the look at the cluster panicked", "report it")),
        }
    }
}

/// Options of one admin call.
pub(super) fn admin_options(preview: bool) -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(ANSWER_MAX))
        .operation_timeout(Some(ANSWER_MAX))
        .validate_only(preview)
}

#[cfg(test)]
mod tests {
    use dataplane::config::SecretRef;

    use super::*;

    #[test]
    fn the_cause_of_a_time_out_is_told() {
        let timed_out = "Metadata fetch error: OperationTimedOut";
        let told = |code, reason: &str| {
            explain(
                &[(RDKafkaErrorCode::AllBrokersDown, "1/1 down".into()), (code, reason.into())],
                timed_out,
            )
        };
        let login = told(RDKafkaErrorCode::Authentication, "invalid credentials");
        assert_eq!(login.fault, Fault::Refused);
        assert!(login.text.contains("invalid credentials") && login.remedy.contains("username"), "{login}");
        assert_eq!(told(RDKafkaErrorCode::SSL, "certificate verify failed").fault, Fault::Refused);
        assert_eq!(told(RDKafkaErrorCode::Resolve, "b:9092").fault, Fault::Unreachable);
        let silent = explain(&[], timed_out);
        assert_eq!(silent.fault, Fault::Unreachable);
        assert!(silent.text.contains("OperationTimedOut"), "{silent}");
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_named_and_not_shown() {
        let mut kafka = Kafka::new(&["b:9092"]);
        kafka.security.password = Some(SecretRef::Env("MILLRACE_TEST_NO_SUCH_VARIABLE".into()));
        assert!(options(&kafka).unwrap_err().contains("MILLRACE_TEST_NO_SUCH_VARIABLE"));
    }

    #[test]
    fn a_cluster_that_is_not_there_is_told_with_the_way_out() {
        let session = Session::open(&Kafka::new(&["127.0.0.1:1"]), &[("socket.timeout.ms", "1000")]).unwrap();
        let trouble = session.metadata(None).unwrap_err();
        assert_eq!(trouble.fault, Fault::Unreachable, "{trouble}");
        assert!(trouble.remedy.contains("kafka.brokers"), "{trouble}");
    }
}
