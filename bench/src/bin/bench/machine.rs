//! Where a result was made: commit, kernel, processor.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// A machine and the state of the tree upon it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Machine {
    /// Commit, with `+` where the tree differs from it; empty without git.
    pub(crate) commit: String,
    /// Kernel's release.
    pub(crate) kernel: String,
    /// Model of the processor.
    pub(crate) cpu: String,
    /// Cores that this process may use.
    pub(crate) cores: usize,
    /// Profile that the harness and its targets were built with, by folder: `release` or `debug`.
    pub(crate) profile: String,
}

impl Machine {
    /// Looks around.
    pub(crate) fn look(root: &Path, programs: &Path, cores: usize) -> Machine {
        let git = |arguments: &[&str]| {
            let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        // Results are written while measuring; they do not make a tree another one.
        let is_changed =
            git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/results"])
                .is_some_and(|text| !text.is_empty());
        let mut commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
        if is_changed {
            commit.push('+');
        }
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
        let profile =
            programs.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Machine {
            commit,
            kernel,
            cpu: cpu(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            cores,
            profile,
        }
    }

    /// One line for people.
    pub(crate) fn summary(&self) -> String {
        let profile =
            if self.profile == "release" { String::new() } else { format!(", {} build", self.profile) };
        format!("commit {}, {} ({} cores), Linux {}{profile}", self.commit, self.cpu, self.cores, self.kernel)
    }
}

/// Source of the names: /proc/cpuinfo of x86 and of ARM.
fn cpu(text: &str) -> String {
    let of = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    of("model name").or_else(|| of("CPU part").map(|part| format!("ARM part {part}"))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named() {
        assert_eq!(cpu("processor\t: 0\nmodel name\t: AMD EPYC\n"), "AMD EPYC");
        assert_eq!(cpu("CPU part\t: 0xd40\n"), "ARM part 0xd40");
        let machine = Machine::look(Path::new(env!("CARGO_MANIFEST_DIR")), Path::new("target/debug"), 2);
        assert!(machine.kernel.contains('.') && machine.summary().contains("debug build"), "{machine:?}");
    }
}
