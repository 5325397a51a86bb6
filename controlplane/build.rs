//! Puts commit and compiler into the binary, for `millrace version`, our set-up of rings into glommio, and the dashboard
//! if it was built.
//!
//! Calls nothing but git and rustc, never npm, and works without git: a source archive says `unknown`.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// Where `npm run build` leaves the dashboard, from this crate.
const DASHBOARD: &str = "../dashboard/dist";

fn main() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let commit = first_line(Command::new("git").args(["rev-parse", "--short=12", "HEAD"]));
    let version = first_line(Command::new(rustc).arg("--version"));
    println!("cargo::rustc-env=MILLRACE_COMMIT={commit}");
    println!("cargo::rustc-env=MILLRACE_RUSTC={}", version.trim_start_matches("rustc "));
    println!("cargo::rerun-if-changed=build.rs");
    // The shards' rings are set up by dataplane/src/net/ring.rs, where it is told why.
    println!("cargo::rustc-link-arg-bins=-Wl,--wrap=__sys_io_uring_setup");
    dashboard();
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

/// Writes the table of the dashboard's files, which `dashboard/scripts/compress.mjs` has listed: path, type, hash, and
/// whether compressed forms stand beside it. Empty when it was not built.
fn dashboard() {
    let root = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let folder = Path::new(&root).join(DASHBOARD);
    println!("cargo::rerun-if-changed={DASHBOARD}");
    let list = std::fs::read_to_string(folder.join("files.tsv")).unwrap_or_default();
    let mut table = String::from("/// Files of the dashboard.\nstatic FILES: &[File] = &[\n");
    for line in list.lines() {
        let [path, kind, hash, form] = line.split('\t').collect::<Vec<_>>()[..] else {
            println!(
                "cargo::error={DASHBOARD}/files.tsv: `{line}` has not four parts; build the dashboard again"
            );
            return;
        };
        let bytes = |ending: &str| format!("include_bytes!({:?})", folder.join(format!("{path}{ending}")));
        let packed = |ending: &str| {
            if form == "packed" { format!("Some({})", bytes(ending)) } else { "None".to_owned() }
        };
        let etag = format!("\"{hash}\"");
        let _ = writeln!(
            table,
            "File {{ path: {path:?}, kind: {kind:?}, etag: {etag:?}, plain: {}, brotli: {}, gzip: {} }},",
            bytes(""),
            packed(".br"),
            packed(".gz")
        );
    }
    table.push_str("];\n");
    let out = std::env::var("OUT_DIR").unwrap_or_default();
    if let Err(error) = std::fs::write(Path::new(&out).join("dashboard.rs"), table) {
        println!("cargo::error={out}/dashboard.rs: {error}");
    }
}
