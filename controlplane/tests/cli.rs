//! The command line as a user meets it: help, config commands, errors, exit codes.
//!
//! Goal: every text that tells somebody what to do is driven once, on the built binary.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is the failure that it should be")]

mod world;

use world::{millrace, output, told};

const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";

#[test]
fn every_verb_has_long_help_with_three_examples() {
    for verb in [
        "demo",
        "run",
        "check",
        "validate",
        "config",
        "login",
        "logout",
        "pipelines",
        "topics",
        "groups",
        "queues",
        "rejected",
        "tap",
        "alerts",
        "latency",
        "cost",
        "shards",
        "instances",
        "sessions",
        "users",
        "keys",
        "audit",
        "backup",
        "restore",
        "openapi",
        "version",
        "completions",
        "man",
    ] {
        let (code, help, _) = told(&output(&[verb, "--help"]));
        assert_eq!(code, 0, "{verb}");
        let examples = help.split_once("Examples:").unwrap_or_else(|| panic!("{verb} has no examples")).1;
        assert!(examples.matches("\n  millrace ").count() >= 3, "{verb}:\n{help}");
        let (code, short, _) = told(&output(&[verb, "-h"]));
        assert_eq!(code, 0);
        assert!(!short.contains("Examples:"), "{verb} -h is the short one");
    }
    assert!(told(&output(&["--help"])).1.contains("75 drain deadline passed"));
}

#[test]
fn a_wrong_word_is_usage_with_a_suggestion() {
    let (code, _, error) = told(&output(&["runn"]));
    assert_eq!(code, 2);
    assert!(error.contains("'run'"), "{error}");
    assert_eq!(told(&output(&["run", "--shards", "0"])).0, 2);
    assert_eq!(told(&output(&["run", "--queue", QUEUE])).0, 2, "--queue needs --brokers");
    let (code, _, error) = told(&output(&["run", "--queue", QUEUE, "--brokers", "b:1"]));
    assert_eq!(code, 2);
    assert!(error.contains("--topic"), "{error}");
}

#[test]
fn no_configuration_at_all_names_the_ways_out() {
    let (code, _, error) = told(&output(&["run"]));
    assert_eq!(code, 2);
    assert!(error.contains("millrace config default") && error.contains("--queue URL"), "{error}");
}

#[test]
fn the_printed_default_is_a_valid_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("millrace.toml");
    let default = output(&["config", "default"]).stdout;
    std::fs::write(&file, &default).unwrap();
    let (code, list, _) = told(&output(&["validate", file.to_str().unwrap(), "--no-env"]));
    assert_eq!(code, 0, "{list}");
    assert!(list.contains("✓ file:"), "{list}");
    let (code, shown, _) = told(&output(&["config", "show", "--config", file.to_str().unwrap()]));
    assert_eq!(code, 0);
    assert!(shown.contains("name = \"orders\""), "{shown}");
    let schema: serde_json::Value = serde_json::from_slice(&output(&["config", "schema"]).stdout).unwrap();
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn flags_amount_to_a_file_that_reads_back() {
    let flags = [
        "--queue",
        QUEUE,
        "--brokers",
        "b1:9092,b2:9092",
        "--topic",
        "orders",
        "--set",
        "drain.deadline=40s",
    ];
    let (code, shown, _) = told(&output(&[&["config", "show"], &flags[..]].concat()));
    assert_eq!(code, 0);
    assert!(shown.contains("deadline = \"40s\"") && shown.contains("[\"b1:9092\", \"b2:9092\"]"), "{shown}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shown.toml");
    std::fs::write(&file, &shown).unwrap();
    let again = told(&output(&["config", "show", "-c", file.to_str().unwrap()])).1;
    assert_eq!(again, shown);
    let json = told(&output(&["config", "show", "-c", file.to_str().unwrap(), "-o", "json"])).1;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["drain"]["deadline"], "40s");
}

#[test]
fn a_wrong_file_is_refused_with_line_caret_and_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.toml");
    std::fs::write(&file, "[drain]\ndedline = \"3s\"\n").unwrap();
    let (code, _, error) = told(&output(&["run", "--config", file.to_str().unwrap()]));
    assert_eq!(code, 78);
    for part in ["line 2, column 1", "^^^^^^^", "did you mean `deadline`?"] {
        assert!(error.contains(part), "{part} is missing in\n{error}");
    }
    std::fs::write(&file, "[api]\nlisten = \"0.0.0.0:80\"\n").unwrap();
    let (code, _, error) = told(&output(&["run", "--config", file.to_str().unwrap()]));
    assert_eq!(code, 78);
    assert!(
        error.contains("2 problems") && error.contains("api.listen") && error.contains("[[pipeline]]"),
        "{error}"
    );
    let (code, list, _) = told(&output(&["check", file.to_str().unwrap(), "-o", "json"]));
    assert_eq!(code, 78);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!((list["ok"].as_bool(), list["exit_code"].as_u64()), (Some(false), Some(78)));
}

#[test]
fn environment_variables_change_the_configuration() {
    let args = ["config", "show", "--queue", QUEUE, "--brokers", "b:1", "--topic", "t"];
    let shown = millrace(&args).env("MILLRACE__DRAIN__DEADLINE", "33s").output().unwrap();
    assert!(told(&shown).1.contains("deadline = \"33s\""));
}

#[test]
fn version_completions_and_manual_pages_are_printed() {
    let version: serde_json::Value =
        serde_json::from_slice(&output(&["version", "-o", "json"]).stdout).unwrap();
    for name in ["version", "commit", "rustc", "librdkafka", "kernel_min"] {
        assert!(version[name].is_string(), "{name}");
    }
    assert!(told(&output(&["version"])).1.starts_with("millrace "));
    for shell in ["bash", "zsh", "fish"] {
        assert!(told(&output(&["completions", shell])).1.contains("millrace"), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(told(&output(&["man", "--out", folder.path().to_str().unwrap()])).0, 0);
    let page = std::fs::read_to_string(folder.path().join("millrace-run.1")).unwrap();
    assert!(page.contains(".TH"), "{page}");
    assert_eq!(told(&output(&["man", "--out", "/nonexistent/folder"])).0, 1);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = millrace(&["config", "default"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn this_machine_is_checked_line_by_line() {
    let (code, list, _) =
        told(&output(&["check", "--queue", QUEUE, "--brokers", "b:9092", "--topic", "orders"]));
    assert_eq!(code, 0, "{list}");
    for name in ["✓ file:", "✓ kernel:", "✓ locked memory:", "✓ cores:", "✓ clock:"] {
        assert!(list.contains(name), "{name} is missing in\n{list}");
    }
    assert!(!list.contains("\x1b["), "no colour without a terminal");
}
