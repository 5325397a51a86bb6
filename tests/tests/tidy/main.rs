//! Tidy: reads the source tree and fails on what a reviewer would have to say again and again.
//!
//! Each rule is a function from a file to findings, with a test of its own on a snippet that breaks it and on
//! one that does not. All findings are printed at once.

mod docs;
mod layers;
mod manifests;
mod names;
mod shape;
mod tree;
mod words;

use tree::{Finding, Tree};

#[test]
fn the_tree_is_tidy() {
    let tree = Tree::read().unwrap();
    assert!(tree.files.len() > 100, "the tree was read: {} files", tree.files.len());
    let mut findings: Vec<Finding> = Vec::new();
    for rule in [shape::check, names::check, words::check, layers::check, docs::check, manifests::check] {
        findings.extend(rule(&tree));
    }
    findings.sort();
    findings.dedup();
    let text: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), text.join("\n"));
}
