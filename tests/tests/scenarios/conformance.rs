//! One script of boto3 asks three SQS servers what AWS documents. Ours must do all of it; what the other two do
//! differently is listed in `tests/conformance/differences.md`, because scenarios against them must not trip
//! over it.
//!
//! `MILLRACE_UPDATE=1` writes the list anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use bench::sqs::{Server, ServerConfig};
use serde::Deserialize;
use tests::elasticmq::ElasticMq;
use tests::moto::Moto;
use tests::root;

const LIST: &str = "tests/conformance/differences.md";

#[derive(Debug, Deserialize)]
struct Case {
    /// The page of AWS's documentation that judges it.
    page: String,
    /// What differed; empty when nothing did.
    differs: String,
}

fn ask(endpoint: &str) -> Result<BTreeMap<String, Case>> {
    let python = root().join("target/venv/bin/python");
    ensure!(python.exists(), "boto3 is missing: run `make test`, which installs it");
    let output = Command::new(python)
        .arg(root().join("tests/conformance/conform.py"))
        .arg(endpoint)
        .env_clear()
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("the script prints JSON")
}

#[test]
fn the_embedded_server_does_what_aws_documents() -> Result<()> {
    let server = Server::start(ServerConfig::default())?;
    let cases = ask(&server.endpoint())?;
    assert!(cases.len() >= 45, "{} cases", cases.len());
    let differing: Vec<_> = cases.iter().filter(|(_, case)| !case.differs.is_empty()).collect();
    assert!(differing.is_empty(), "{differing:#?}");
    Ok(())
}

#[test]
fn the_list_of_differences_of_other_servers_is_true() -> Result<()> {
    let elasticmq = ElasticMq::start()?;
    let moto = Moto::start()?;
    let servers = [("ElasticMQ", ask(&elasticmq.endpoint())?), ("moto", ask(&moto.endpoint())?)];
    let list = list(&servers)?;
    let path = root().join(LIST);
    if std::env::var_os("MILLRACE_UPDATE").is_some() {
        fs::write(&path, &list)?;
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    ensure!(names(&written) == names(&list), "{LIST} is out of date; MILLRACE_UPDATE=1 writes it:\n{list}");
    Ok(())
}

fn list(servers: &[(&str, BTreeMap<String, Case>)]) -> Result<String> {
    let mut text = "# Where other SQS servers differ from AWS\n\nWritten by the conformance scenario from one script, `conform.py`. \
        The judge is AWS's documentation; the embedded\nserver differs nowhere.\n"
        .to_owned();
    for (server, cases) in servers {
        let differing = cases.iter().filter(|(_, case)| !case.differs.is_empty());
        write!(text, "\n## {server}: {} of {} cases\n\n", differing.clone().count(), cases.len())?;
        for (name, case) in differing {
            writeln!(text, "- [{}]({}): {}", name.replace('_', " "), case.page, plain(&case.differs))?;
        }
    }
    Ok(text)
}

/// Without what changes from run to run or means something in Markdown.
fn plain(text: &str) -> String {
    let kept = |letter: &char| !matches!(letter, '<' | '>' | '[' | ']' | '*' | '_' | '`' | '|');
    text.chars().filter(kept).collect()
}

/// Which cases differ where: the words after them may hold a time or an id.
fn names(list: &str) -> Vec<&str> {
    list.lines()
        .filter_map(|line| line.split("](").next())
        .filter(|line| line.starts_with(['#', '-']))
        .collect()
}
