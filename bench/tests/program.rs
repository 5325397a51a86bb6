//! The server as a program: it says where it listens, serves, and ends cleanly when told to.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is the failure that it should be")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_millrace-sqs"))
}

#[test]
fn it_serves_its_queues_until_sigint() {
    let mut child = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--queue", "a,DelaySeconds=1", "--queue", "b.fifo"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let said: Vec<String> = lines.by_ref().take(3).collect();
    let endpoint = said[2].strip_prefix("listening on http://").unwrap();
    assert_eq!(said[1], format!("queue http://{endpoint}/000000000000/b.fifo"));
    let mut stream = TcpStream::connect(endpoint).unwrap();
    let call = "POST / HTTP/1.1\r\nConnection: close\r\nX-Amz-Target: AmazonSQS.ListQueues\r\nContent-Length: 2\r\n\r\n{}";
    stream.write_all(call.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("/000000000000/a"), "{answer}");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(lines.next().unwrap().trim(), "1  ListQueues");
}

#[test]
fn what_it_cannot_do_is_said_and_fails() {
    for (arguments, said) in [
        (&["serve", "--listen", "127.0.0.1:0", "--queue", "a,Colour=red"][..], "Unknown Attribute Colour"),
        (&["serve", "--listen", "127.0.0.1:0", "--queue", "a,Colour"], "not ATTRIBUTE=VALUE"),
        (&["serve", "--listen", "127.0.0.1:0", "--faults", "/absent.json"], "/absent.json"),
        (&["serve", "--latency", "5"], "needs a unit"),
    ] {
        let output = program().args(arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
}

#[test]
fn its_own_benchmark_prints_a_line_for_each_length() {
    let output = program().args(["self-bench", "--messages", "250000"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let fields: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((fields[0], fields.len()), ("250000", 3));
    assert!(fields[1..].iter().all(|field| field.parse::<f64>().unwrap() > 0.0), "{text}");
}

#[test]
fn it_writes_down_whom_to_trust_and_speaks_https() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let mut child = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--queue", "a", "--tls-ca", ca.to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().starts_with("queue https://127.0.0.1:"));
    assert!(lines.next().unwrap().starts_with("listening on https://127.0.0.1:"));
    assert!(std::fs::read_to_string(&ca).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    child.kill().unwrap();
    child.wait().unwrap();
}
