//! The demo on the built binary: it proves what it claims, says so in JSON, and fails when it cannot.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is the failure that it should be")]

mod world;

use world::{millrace, told};

fn demo(args: &[&str]) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demo.json");
    let base =
        ["demo", "--for", "2s", "--listen", "127.0.0.1:0", "--shards", "1", "--json", file.to_str().unwrap()];
    let output = millrace(&[&base[..], args].concat()).output().unwrap();
    let (code, out, error) = told(&output);
    assert_eq!(code, 0, "{out}{error}");
    assert!(out.contains("✓ proved") && out.contains("✓ adds up"), "{out}");
    serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap()
}

#[test]
fn a_short_demo_proves_itself_and_measures() {
    let result = demo(&["--rate", "1000", "--seed", "7"]);
    assert_eq!(result["proved"], true);
    assert!(result["sent"].as_u64().unwrap() > 1000);
    assert_eq!(result["sent"], result["delivered"]);
    assert_eq!(result["readback"]["records"], result["sent"]);
    assert_eq!(result["readback"]["missing"], 0);
    assert!(result["cpu_us_per_message"].as_f64().unwrap() > 0.0);
    assert!(result["seconds"].as_f64().unwrap() > 1.0);
    assert_eq!(result["seed"], 7);
}

#[test]
fn redelivered_messages_of_a_fifo_queue_stay_in_order_and_have_a_cause() {
    let result = demo(&["--fifo", "50", "--chaos", "redeliver", "--rate", "1000"]);
    assert_eq!(result["readback"]["out_of_order"], 0);
    assert!(result["duplicate_causes"].get("unexplained").is_none(), "{result}");
    assert!(result["received"].as_u64() > result["sent"].as_u64(), "the fault was played: {result}");
}
