//! A secured Kafka: SCRAM and PLAIN over TLS, mutual TLS, access lists; and each way to be refused, which
//! is told in words, deletes nothing, and ends by itself when the right is given.

use std::sync::OnceLock;

use anyhow::{Result, anyhow};
use tests::appliance::{Appliance, Plan};
use tests::kafka::{Certificate, Kafka, PLAIN_USER, SCRAM_USER};
use tests::process::Exit;
use tests::wait_until;
use tests::world::{Setup, World};

fn secured() -> Result<&'static Kafka> {
    static SHARED: OnceLock<Result<Kafka, String>> = OnceLock::new();
    let plan = tests::kafka::Plan { brokers: 1, secured: true, ..tests::kafka::Plan::default() };
    let shared = SHARED.get_or_init(|| Kafka::start_as(&plan).map_err(|error| format!("{error:#}")));
    shared.as_ref().map_err(|text| anyhow!("{text}"))
}

fn world(name: &'static str) -> Result<World> {
    let mut world = World::new(secured()?, &Setup::new(name))?;
    world.send(200)?;
    Ok(world)
}

fn sasl(world: &World, mechanism: &str, user: (&str, &str)) -> Result<Plan> {
    let kafka = secured()?;
    let security = format!(
        "protocol = \"sasl_ssl\"\nmechanism = \"{mechanism}\"\nusername = \"{}\"\npassword = {{ env = \"KAFKA_PASSWORD\" }}\nca_file = {:?}",
        user.0,
        kafka.certificates()?.ca,
    );
    let plan = world.plan_through(&[kafka.sasl_ssl()]).set("pipeline.kafka.security", &security);
    Ok(plan.environment("KAFKA_PASSWORD", user.1))
}

fn mutual(world: &World, client: &Certificate, ca: &std::path::Path) -> Result<Plan> {
    let security = format!(
        "protocol = \"ssl\"\nca_file = {ca:?}\ncertificate_file = {:?}\nkey_file = {:?}",
        client.certificate, client.key
    );
    Ok(world.plan_through(&[secured()?.ssl()]).set("pipeline.kafka.security", &security))
}

fn allow(principal: &str, topic: &str) -> Result<()> {
    secured()?.set_write_right(principal, topic, true)?;
    secured()?.set_write_right(principal, &format!("{topic}-dead"), true)
}

/// Everything arrives.
fn flows(mut world: World, plan: &Plan) -> Result<()> {
    let mut appliance = Appliance::start(plan)?;
    world.wait_empty(60, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    assert_eq!(world.judge()?.delivered, 200);
    Ok(())
}

/// Nothing arrives, nothing is deleted, and the reason has one of these words.
fn refused(world: &World, plan: &Plan, words: &[&str]) -> Result<Appliance> {
    let mut appliance = Appliance::launch(plan)?;
    appliance.wait_alive()?;
    let mut last = String::new();
    let told = wait_until("the reason is told", 40, || {
        last = appliance.get("/readyz?verbose").map(|(_, text)| text).unwrap_or_default();
        let text = last.to_lowercase();
        words.iter().any(|word| text.contains(word))
    });
    assert!(told.is_ok(), "none of {words:?} in: {last}\n{}", appliance.tail());
    assert_eq!(appliance.total("delivered")?, 0);
    assert_eq!(world.count(bench::sqs::Kind::Deleted), 0);
    Ok(appliance)
}

#[test]
fn scram_over_tls() -> Result<()> {
    let world = world("scram")?;
    allow(SCRAM_USER.0, "scram")?;
    let plan = sasl(&world, "SCRAM-SHA-512", SCRAM_USER)?;
    flows(world, &plan)
}

#[test]
fn plain_over_tls() -> Result<()> {
    let world = world("plain")?;
    allow(PLAIN_USER.0, "plain")?;
    let plan = sasl(&world, "PLAIN", PLAIN_USER)?;
    flows(world, &plan)
}

#[test]
fn mutual_tls() -> Result<()> {
    let world = world("mutual")?;
    allow("CN=millrace", "mutual")?;
    let certificates = secured()?.certificates()?;
    let plan = mutual(&world, &certificates.client, &certificates.ca)?;
    flows(world, &plan)
}

#[test]
fn a_wrong_password_is_told() -> Result<()> {
    let world = world("wrong-password")?;
    let plan = sasl(&world, "SCRAM-SHA-512", (SCRAM_USER.0, "not-the-password"))?;
    let appliance = refused(&world, &plan, &["authentication"])?;
    assert!(!appliance.log().contains("not-the-password"), "a password is in the log");
    Ok(())
}

#[test]
fn a_wrong_aws_key_is_told_and_nothing_is_received() -> Result<()> {
    let world = World::new(Kafka::shared()?, &Setup::new("wrong-key"))?;
    let plan = world.plan().environment("AWS_SECRET_ACCESS_KEY", "not-the-key");
    let appliance = refused(&world, &plan, &["signature", "security token"])?;
    assert_eq!(world.count(bench::sqs::Kind::Received), 0);
    assert!(!appliance.log().contains("not-the-key"), "a key is in the log");
    Ok(())
}

#[test]
fn a_broker_of_an_unknown_authority_is_refused() -> Result<()> {
    let world = world("unknown-ca")?;
    let certificates = secured()?.certificates()?;
    let plan = mutual(&world, &certificates.client, &certificates.strange_ca)?;
    refused(&world, &plan, &["certificate", "ssl", "tls"])?;
    Ok(())
}

#[test]
fn a_client_of_an_unknown_authority_is_refused() -> Result<()> {
    let world = world("unknown-client")?;
    let certificates = secured()?.certificates()?;
    let plan = mutual(&world, &certificates.strange_client, &certificates.ca)?;
    refused(&world, &plan, &["certificate", "ssl", "tls", "handshake"])?;
    Ok(())
}

#[test]
fn a_missing_acl_pauses_the_route_until_it_is_given() -> Result<()> {
    let mut world = world("no-acl")?;
    let plan = sasl(&world, "SCRAM-SHA-512", SCRAM_USER)?;
    let mut appliance = refused(&world, &plan, &["authoriz"])?;
    allow(SCRAM_USER.0, "no-acl")?;
    world.wait_empty(60, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    assert_eq!(world.judge()?.delivered, 200);
    Ok(())
}
