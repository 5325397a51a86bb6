//! Valgrind's callgrind, driven from outside: one process for each count.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use super::profile;

/// First argument of the program under callgrind.
pub(crate) const STEP: &str = "step";
/// The function whose instructions are counted, whatever the compiler makes of its name.
const WINDOW: &str = "*counted_window*";
/// Counted without ring's SHA-256, which is four fifths of it: our own code could lose a quarter unseen. A hash
/// too many is seen in `delete_10/request`, which is signed by the same code.
const WITHOUT_SHA256: &str = "receive/request_signed";
/// Copies by vectors instead of `rep movsb`, which callgrind counts as one instruction a byte.
const COPIES: &str = "glibc.cpu.hwcaps=-ERMS";

/// What besides the code decides a count, as each names itself: compiler, valgrind, C library.
pub(crate) fn tools() -> Result<Vec<String>, String> {
    let first_line = |program: &str| {
        let output = Command::new(program).arg("--version").output();
        let output =
            output.map_err(|error| format!("{program}: {error}; `tests/install.sh ratchet` installs it"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.lines().next().unwrap_or_default().to_owned())
    };
    ["rustc", "valgrind", "ldd"].into_iter().map(first_line).collect()
}

/// The instructions of a subject's counted steps. Callgrind's file stays for `callgrind_annotate`.
pub(crate) fn count(subject: &str) -> Result<u64, String> {
    let program = env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    let file = file(&program, subject)?;
    let mut valgrind = Command::new("valgrind");
    valgrind
        // Strings of the environment lie on the stack and move what is above them.
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env("GLIBC_TUNABLES", COPIES)
        .args(["--quiet", "--tool=callgrind"])
        .arg(format!("--toggle-collect={WINDOW}"))
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args([STEP, subject]);
    let output = valgrind.output().map_err(|error| format!("valgrind: {error}"))?;
    if !output.status.success() {
        return Err(format!("{subject} failed under valgrind:\n{}", words(&output)));
    }
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let total = profile::total(&text).filter(|&total| total > 0);
    let total = total.ok_or_else(|| format!("callgrind counted nothing of {subject}"))?;
    let left_out = if subject == WITHOUT_SHA256 { profile::own(&text, is_sha256) } else { 0 };
    Ok(total - left_out)
}

/// ring's block functions, in assembly, one for each kind of CPU.
fn is_sha256(function: &str) -> bool {
    function.starts_with("ring_core_") && function.contains("sha256_block")
}

/// Where callgrind writes: beside the program.
fn file(program: &Path, subject: &str) -> Result<PathBuf, String> {
    let folder = program.with_extension("callgrind");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder.join(subject.replace('/', "-")))
}

fn words(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}
