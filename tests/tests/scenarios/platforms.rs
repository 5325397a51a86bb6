//! Hostile platforms: one clear text with its remedy and exit code 78; never a panic, never a message
//! received by a process that cannot work.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::Result;
use tests::appliance::{Appliance, Plan, run_to_end};
use tests::kernel::{Cage, Refusal};
use tests::process::Exit;

/// An appliance that never comes as far as to connect.
fn plan() -> Plan {
    Plan::new("http://127.0.0.1:1/0/q", &["127.0.0.1:1".to_owned()], "t")
}

fn refused(plan: &Plan, parts: &[&str]) -> Result<()> {
    let mut appliance = Appliance::launch(plan)?;
    let exit = appliance.wait(Duration::from_secs(20))?;
    let text = appliance.log();
    assert_eq!(exit, Exit::Code(78), "{text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
    Ok(())
}

#[test]
fn io_uring_refused_by_seccomp_is_explained() -> Result<()> {
    let cage = Cage { io_uring: Some(Refusal::NotPermitted), ..Cage::default() };
    refused(&plan().cage(cage), &["io_uring", "seccomp"])
}

#[test]
fn a_kernel_without_io_uring_is_explained() -> Result<()> {
    let cage = Cage { io_uring: Some(Refusal::NotImplemented), ..Cage::default() };
    refused(&plan().cage(cage), &["io_uring", "kernel"])
}

#[test]
fn too_little_lockable_memory_is_explained() -> Result<()> {
    let cage = Cage { memlock_bytes_max: Some(64 << 10), ..Cage::default() };
    refused(&plan().cage(cage), &["64 KiB", "512 KiB", "ulimit -l"])
}

#[test]
fn lockable_memory_for_one_shard_is_too_little_for_two() -> Result<()> {
    let cage = Cage { memlock_bytes_max: Some(600 << 10), ..Cage::default() };
    refused(&plan().set("shards", "count = 2\npin = false").cage(cage), &["ulimit -l"])
}

#[test]
fn a_port_that_is_taken_is_named() -> Result<()> {
    let taken = TcpListener::bind(("127.0.0.1", 0))?;
    let address = taken.local_addr()?.to_string();
    refused(&plan().set("api", &format!("listen = {address:?}")), &[&address])
}

#[test]
fn a_bad_config_names_key_and_remedy() -> Result<()> {
    refused(&plan().add("pipeline.queue", "wait_tim = \"5s\""), &["wait_tim", "wait_time"])?;
    refused(&plan().set("pipeline.route", "topic = \"a b\""), &["topic"])
}

#[test]
fn a_wrong_flag_is_a_usage_error() -> Result<()> {
    let (exit, text) = run_to_end(&["run", "--no-such-flag"])?;
    assert_eq!(exit, Exit::Code(2), "{text}");
    assert!(text.contains("--no-such-flag"), "{text}");
    Ok(())
}
