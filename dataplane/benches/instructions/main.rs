//! Counts the instructions of each subject under callgrind and holds them against committed marks: the ratchet.
//!
//! `make ratchet` compares with `dataplane/benches/instructions.tsv`, `make ratchet-update` writes it. A count
//! is the same on a busy machine as on an idle one, so a small loss shows that no clock could see; what it
//! does not see are caches, branches and AVX-512. The program starts itself under callgrind, once for each
//! subject, so that none inherits another's heap.
#![allow(clippy::print_stdout, reason = "the table is what the program is for")]

mod callgrind;
mod marks;
mod profile;
#[allow(dead_code, unused_imports, reason = "each program measures a part of the subjects")]
#[path = "../subjects/mod.rs"]
mod subjects;

use std::process::ExitCode;
use std::{env, fs};

use marks::Mark;
use subjects::Step;

/// Steps before the count begins: buffers have grown, lazy detections are made.
const WARM_UP: usize = 20;
/// Steps that are counted; the mark is their mean.
const STEPS: u64 = 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["check", path] => check(path),
        ["update", path] => update(path),
        [callgrind::STEP, subject] => run(subject),
        _ => Err("usage: instructions check|update MARKS".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            println!("ratchet: {text}");
            ExitCode::FAILURE
        }
    }
}

fn check(path: &str) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let before = marks::parse(&text).map_err(|line| format!("{path}: cannot read the line `{line}`"))?;
    let tools = callgrind::tools()?;
    if !text.contains(&marks::heading(&tools)) {
        println!("ratchet: the marks were made with other tools than {}", tools.join(", "));
    }
    let verdict = marks::judge(&before, &counts()?);
    println!("{}", verdict.lines.join("\n"));
    verdict.outcome()
}

fn update(path: &str) -> Result<(), String> {
    let text = marks::render(&callgrind::tools()?, &counts()?);
    fs::write(path, text).map_err(|error| format!("{path}: {error}"))
}

fn counts() -> Result<Vec<Mark>, String> {
    // Callgrind knows no AVX-512, and hides it from the program that it runs.
    let subjects = subjects::all().into_iter().filter(|subject| !subject.name.ends_with("/avx512"));
    let count = |name: String| {
        let instructions = callgrind::count(&name)? / STEPS;
        Ok(Mark { name, instructions })
    };
    subjects.map(|subject| count(subject.name)).collect()
}

/// The part that runs under callgrind.
fn run(name: &str) -> Result<(), String> {
    let subject = subjects::all().into_iter().find(|subject| subject.name == name);
    let mut step = subject.ok_or_else(|| format!("there is no subject `{name}`"))?.prepare();
    for _ in 0..WARM_UP {
        step();
    }
    counted_window(&mut step);
    Ok(())
}

/// Callgrind counts from the entry of this function to its end: `callgrind::WINDOW` names it.
#[inline(never)]
fn counted_window(step: &mut Step) {
    for _ in 0..STEPS {
        step();
    }
}
