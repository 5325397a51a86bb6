//! The committed corpora hold, on any compiler.

use std::path::Path;

#[test]
fn every_committed_input_holds() {
    let targets: [(&str, fn(&[u8])); 6] = [
        ("receive", dataplane_fuzz::receive),
        ("text", dataplane_fuzz::text),
        ("results", dataplane_fuzz::batch_results),
        ("refusal", dataplane_fuzz::refusal),
        ("http_date", dataplane_fuzz::http_date),
        ("request", dataplane_fuzz::request),
    ];
    for (name, claim) in targets {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let inputs: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(inputs.len() >= 3, "{name} has a corpus");
        for input in inputs {
            println!("{}", input.display());
            claim(&std::fs::read(&input).unwrap());
        }
    }
}
