//! Puts commit and compiler into the binary, for `millrace version`, and our set-up of rings into glommio.
//!
//! Calls nothing but git and rustc, and works without git: a source archive says `unknown`.

use std::process::Command;

fn main() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let commit = first_line(Command::new("git").args(["rev-parse", "--short=12", "HEAD"]));
    let version = first_line(Command::new(rustc).arg("--version"));
    println!("cargo::rustc-env=MILLRACE_COMMIT={commit}");
    println!("cargo::rustc-env=MILLRACE_RUSTC={}", version.trim_start_matches("rustc "));
    println!("cargo::rerun-if-changed=build.rs");
    // The shards' rings are set up by dataplane/src/net/ring.rs, where it is told why.
    println!("cargo::rustc-link-arg-bins=-Wl,--wrap=__sys_io_uring_setup");
    let head = first_line(Command::new("git").args(["rev-parse", "--git-path", "logs/HEAD"]));
    if head != "unknown" {
        println!("cargo::rerun-if-changed={head}");
    }
}

fn first_line(command: &mut Command) -> String {
    let output = command.output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let line = text.lines().next().unwrap_or_default().to_owned();
    if line.is_empty() { "unknown".to_owned() } else { line }
}
