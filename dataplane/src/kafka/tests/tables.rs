//! Our tables against librdkafka itself: its error codes and its options.

use std::collections::HashSet;

use zeroize::Zeroizing;

use super::*;
use crate::config::{Compression, Mechanism, Protocol, Security};
use crate::kafka::errors::{KafkaError, UNKNOWN, entry, listed};
use crate::kafka::ffi;

const IN_FLIGHT: InFlight = InFlight { messages_max: 20_000, bytes_max: 64 << 20 };

fn check(kafka: &Kafka) -> Result<(), KafkaError> {
    ffi::check_options(&Options::new(kafka, &Secrets::default(), IN_FLIGHT))
}

#[test]
fn every_code_of_librdkafka_is_listed_once_under_its_own_name() {
    let listed = listed();
    let unique: HashSet<i32> = listed.iter().map(|&(code, _)| code).collect();
    assert_eq!(unique.len(), listed.len(), "a code stands in two groups");
    let known = ffi::error_names();
    assert!(known.len() > 150, "librdkafka names {} codes only", known.len());
    for (code, name) in &known {
        assert_eq!(entry(*code).name, name, "code {code}");
    }
    assert_eq!(listed.len(), known.len(), "the table has a code that librdkafka does not have");
}

#[test]
fn unlisted_codes_are_retried() {
    let known: HashSet<i32> = ffi::error_names().into_iter().map(|(code, _)| code).collect();
    let mut unlisted = 0;
    for code in -300..1000 {
        if !known.contains(&code) {
            assert_eq!(entry(code), UNKNOWN, "code {code}");
            unlisted += 1;
        }
    }
    assert!(unlisted > 1000);
    assert_eq!(entry(i32::MAX).class, Class::Retry);
}

#[test]
fn every_choice_of_the_config_is_known_to_librdkafka() {
    for compression in
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
    {
        check(&Kafka { compression, ..Kafka::new(&["a:1"]) }).unwrap();
    }
    for protocol in [Protocol::Plaintext, Protocol::Ssl, Protocol::SaslPlaintext, Protocol::SaslSsl] {
        for mechanism in [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512] {
            let security = Security {
                protocol,
                mechanism: Some(mechanism),
                username: Some("user".to_owned()),
                ..Security::default()
            };
            let kafka = Kafka { security, ..Kafka::new(&["a:1"]) };
            let secret = |text: &str| Some(Zeroizing::new(text.to_owned()));
            let secrets = Secrets { password: secret("secret"), key_password: secret("passphrase") };
            let options = Options::new(&kafka, &secrets, IN_FLIGHT);
            ffi::check_options(&options).unwrap();
            assert!(options.pairs().any(|pair| pair == ("sasl.password", "secret")));
        }
    }
}

#[test]
fn extremes_of_the_config_are_within_librdkafkas_ranges() {
    let mut kafka = Kafka::new(&["a:1"]);
    kafka.linger = Time(Duration::from_micros(250));
    kafka.batch_bytes_max = config::Bytes(100 << 20);
    kafka.delivery_timeout = Time::from_secs(43_200);
    check(&kafka).unwrap();
    let budget =
        config::Budget { in_flight_messages_max: 100_000, in_flight_bytes_max: config::Bytes(u64::MAX) };
    let in_flight = InFlight::of(&budget, u16::MAX);
    ffi::check_options(&Options::new(&kafka, &Secrets::default(), in_flight)).unwrap();
}

#[test]
fn an_option_of_the_operator_comes_last_and_an_unknown_one_is_named() {
    let mut kafka = Kafka::new(&["a:1"]);
    kafka.options.insert("partitioner".to_owned(), "consistent".to_owned());
    let options = Options::new(&kafka, &Secrets::default(), IN_FLIGHT);
    assert_eq!(options.pairs().last(), Some(("partitioner", "consistent")));
    check(&kafka).unwrap();

    for (name, value) in
        [("lingerms", "5"), ("batch.num.messages", "many"), ("partitioner", "none"), ("debug", "a\0b")]
    {
        let mut kafka = kafka.clone();
        kafka.options.insert(name.to_owned(), value.to_owned());
        let error = check(&kafka).unwrap_err();
        assert!(error.text.contains(&format!("\"{name}\"")), "{error}");
        assert_eq!(error.class, Class::Pause);
    }
}

#[test]
fn options_that_contradict_each_other_are_refused_when_the_producer_is_made() {
    let mut kafka = Kafka::new(&["127.0.0.1:1"]);
    kafka.options.insert("max.in.flight.requests.per.connection".to_owned(), "20".to_owned());
    let options = Options::new(&kafka, &Secrets::default(), IN_FLIGHT);
    let made = Producer::create(&options, HeaderRules::none(), &ThreadRegistry::default(), None);
    let error = made.unwrap_err();
    assert!(error.text.contains("max.in.flight"), "{error}");
}
