//! Where AWS credentials come from: container, role, web identity, profile; renewed before they end, fetched
//! anew when they are refused, and every refusal told in words.

use std::time::Duration;

use anyhow::Result;
use tests::appliance::{ACCESS_KEY, Appliance, Plan, SECRET_KEY};
use tests::issuer::{Fetch, Issuer};
use tests::kafka::Kafka;
use tests::moto::Moto;
use tests::process::Exit;
use tests::scratch::Scratch;
use tests::wait_until;
use tests::world::{Setup, World};

const ROLE: &str = "arn:aws:iam::000000000000:role/pump";
const EXTERNAL_ID: &str = "a/b c";
const CONTAINER_TOKEN: &str = "token of the container";
const WEB_TOKEN: &str = "header.claims.signature";
const HOUR: Duration = Duration::from_secs(3_600);

fn world(name: &'static str) -> Result<World> {
    World::new(Kafka::shared()?, &Setup::new(name))
}

fn in_a_container(world: &World, issuer: &Issuer) -> Plan {
    let plan = world.plan().without_keys();
    plan.environment("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{}/credentials", issuer.url()))
        .environment("AWS_CONTAINER_AUTHORIZATION_TOKEN", CONTAINER_TOKEN)
}

fn is_the_container(fetch: &Fetch) -> bool {
    fetch.what == "/credentials" && fetch.authorization == CONTAINER_TOKEN
}

/// Nothing that was issued is in the log.
fn ends_well(mut world: World, mut appliance: Appliance) -> Result<()> {
    world.send(300)?;
    world.wait_empty(30, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    assert!(!appliance.log().contains("canary-of-issued-secret"), "a secret is in the log");
    assert_eq!(world.judge()?.duplicates.total(), 0);
    Ok(())
}

#[test]
fn keys_of_a_container_are_renewed_before_they_end() -> Result<()> {
    let mut world = world("container")?;
    let issuer = Issuer::start(&world.server, Duration::from_secs(24), is_the_container)?;
    let mut appliance = Appliance::start(&in_a_container(&world, &issuer))?;
    // Half of a short life: the third fetch comes when the first keys have ended.
    for fetches in 1..=3 {
        wait_until("the keys are renewed", 20, || issuer.fetches().len() >= fetches)?;
        world.send(200)?;
        world.wait_empty(10, &mut appliance)?;
    }
    let errors = appliance.snapshot()?["pipelines"][0]["sqs_errors"].clone();
    assert_eq!(errors, serde_json::json!({}), "no call was refused");
    assert!(issuer.fetches().len() <= 4, "{} fetches", issuer.fetches().len());
    ends_well(world, appliance)
}

#[test]
fn keys_that_are_revoked_are_fetched_anew_once() -> Result<()> {
    let mut world = world("revoked")?;
    let issuer = Issuer::start(&world.server, HOUR, is_the_container)?;
    let mut appliance = Appliance::start(&in_a_container(&world, &issuer))?;
    world.send(200)?;
    world.wait_empty(20, &mut appliance)?;
    issuer.revoke();
    world.send(200)?;
    world.wait_empty(40, &mut appliance)?;
    let errors = appliance.snapshot()?["pipelines"][0]["sqs_errors"].to_string();
    assert!(errors.contains("UnrecognizedClientException"), "{errors}");
    assert_eq!(issuer.fetches().len(), 2, "many refused calls want one fetch");
    ends_well(world, appliance)
}

/// A role is assumed by whoever has the appliance's own keys and knows the external id.
fn may_assume(fetch: &Fetch) -> bool {
    let field = |name: &str| fetch.form.get(name).map(String::as_str);
    fetch.what == "AssumeRole"
        && fetch.authorization.contains(&format!("Credential={ACCESS_KEY}/"))
        && (field("RoleArn"), field("ExternalId")) == (Some(ROLE), Some(EXTERNAL_ID))
        && field("RoleSessionName") == Some("millrace")
}

fn with_role(world: &World, issuer: &Issuer, external_id: &str) -> Plan {
    let role = format!("role_arn = {ROLE:?}\nexternal_id = {external_id:?}");
    world.plan().set("pipeline.queue.aws", &role).environment("AWS_ENDPOINT_URL_STS", &issuer.url())
}

#[test]
fn a_role_is_assumed_with_its_external_id() -> Result<()> {
    let world = world("role")?;
    let issuer = Issuer::start(&world.server, HOUR, may_assume)?;
    let appliance = Appliance::start(&with_role(&world, &issuer, EXTERNAL_ID))?;
    ends_well(world, appliance)
}

#[test]
fn a_wrong_external_id_is_told_and_nothing_is_received() -> Result<()> {
    let mut world = world("role-refused")?;
    world.send(10)?;
    let issuer = Issuer::start(&world.server, HOUR, may_assume)?;
    let mut appliance = Appliance::launch(&with_role(&world, &issuer, "another"))?;
    appliance.wait_alive()?;
    appliance.wait_reasons(&[ROLE, "external id"], 30)?;
    assert_eq!(world.count(bench::sqs::Kind::Received), 0);
    std::thread::sleep(Duration::from_secs(4));
    assert!(issuer.fetches().len() <= 12, "{} fetches", issuer.fetches().len());
    Ok(())
}

/// A web identity proves itself by its token; nothing signs the request.
fn has_web_token(fetch: &Fetch) -> bool {
    let field = |name: &str| fetch.form.get(name).map(String::as_str);
    fetch.what == "AssumeRoleWithWebIdentity"
        && fetch.authorization.is_empty()
        && (field("WebIdentityToken"), field("RoleArn")) == (Some(WEB_TOKEN), Some(ROLE))
}

#[test]
fn a_web_identity_token_brings_keys() -> Result<()> {
    let world = world("web-identity")?;
    let scratch = Scratch::new("web-identity")?;
    let file = scratch.join("token");
    std::fs::write(&file, WEB_TOKEN)?;
    let issuer = Issuer::start(&world.server, HOUR, has_web_token)?;
    let plan = world
        .plan()
        .without_keys()
        .environment("AWS_WEB_IDENTITY_TOKEN_FILE", &file.to_string_lossy())
        .environment("AWS_ROLE_ARN", ROLE)
        .environment("AWS_ROLE_SESSION_NAME", "pod")
        .environment("AWS_ENDPOINT_URL_STS", &issuer.url())
        .environment("AWS_REGION", "us-east-1");
    let appliance = Appliance::start(&plan)?;
    ends_well(world, appliance)
}

#[test]
fn a_profile_of_a_file_has_keys() -> Result<()> {
    let world = world("profile")?;
    let scratch = Scratch::new("profile")?;
    let file = scratch.join("credentials");
    let text = format!(
        "[default]\naws_access_key_id = WRONG\naws_secret_access_key = wrong\n\
         [pump]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    );
    std::fs::write(&file, text)?;
    let plan = world
        .plan()
        .without_keys()
        .set("pipeline.queue.aws", "profile = \"pump\"")
        .environment("AWS_SHARED_CREDENTIALS_FILE", &file.to_string_lossy());
    let appliance = Appliance::start(&plan)?;
    ends_well(world, appliance)
}

#[test]
fn no_credentials_at_all_are_told_with_where_they_were_looked_for() -> Result<()> {
    let world = world("no-keys")?;
    let mut appliance = Appliance::launch(&world.plan().without_keys())?;
    appliance.wait_alive()?;
    appliance.wait_reasons(&["AWS_ACCESS_KEY_ID", "IMDSv2"], 30)?;
    assert_eq!(world.count(bench::sqs::Kind::Received), 0);
    Ok(())
}

/// moto is an STS that this project did not write; the queue knows the keys of its sessions and no others.
#[test]
fn a_role_of_moto_is_assumed() -> Result<()> {
    let mut world = world("role-moto")?;
    let moto = Moto::start()?;
    let role = format!("role_arn = {ROLE:?}\nexternal_id = {EXTERNAL_ID:?}");
    let plan = world.plan().set("pipeline.queue.aws", &role);
    let mut appliance = Appliance::launch(&plan.environment("AWS_ENDPOINT_URL_STS", &moto.endpoint()))?;
    let mut sessions = Vec::new();
    wait_until("moto was asked for the role", 30, || {
        sessions = moto.sessions().unwrap_or_default();
        !sessions.is_empty()
    })?;
    assert!(sessions.iter().all(|session| session.external_id == EXTERNAL_ID), "{sessions:?}");
    world.server.set_keys(sessions.into_iter().map(|session| session.keys).collect());
    appliance.wait_ready()?;
    world.send(50)?;
    world.wait_empty(30, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    world.judge()?;
    Ok(())
}
