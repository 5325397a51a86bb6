//! Exit codes and the error that carries one.
//!
//! Codes follow sysexits(3) where one fits, as Vector does, so that a supervisor can tell a bad file (do not
//! restart) from an unreachable peer (restart later).

use std::fmt;

/// All went well; a clean drain after SIGTERM as well.
pub(crate) const OK: u8 = 0;
/// A check failed, or the demo did not prove its claim.
pub(crate) const CHECK_FAILED: u8 = 1;
/// The command line is wrong (clap's own code).
pub(crate) const USAGE: u8 = 2;
/// The other side cannot be reached.
pub(crate) const UNREACHABLE: u8 = 69;
/// A bug of Millrace.
pub(crate) const BUG: u8 = 70;
/// The drain's deadline passed; what was held went back to the queue.
pub(crate) const DRAIN_DEADLINE: u8 = 75;
/// IAM or an ACL refuses.
pub(crate) const REFUSED: u8 = 77;
/// The configuration or the platform cannot work.
pub(crate) const CONFIG: u8 = 78;
/// A second signal: left at once.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command ends, what to do about it, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Exit code of the process.
    pub(crate) code: u8,
    /// What is wrong.
    pub(crate) text: String,
    /// What to do about it; may be empty.
    pub(crate) remedy: String,
}

impl Failure {
    /// A failure with a remedy.
    pub(crate) fn new(code: u8, text: impl Into<String>, remedy: impl Into<String>) -> Failure {
        Failure { code, text: text.into(), remedy: remedy.into() }
    }

    /// A configuration that cannot work.
    pub(crate) fn config(text: impl Into<String>, remedy: impl Into<String>) -> Failure {
        Failure::new(CONFIG, text, remedy)
    }

    /// Something that should be impossible.
    pub(crate) fn bug(text: impl Into<String>) -> Failure {
        Failure::new(BUG, text, "this is a bug: please report it with this text")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.trim_end())?;
        if !self.remedy.is_empty() {
            write!(f, "\n  to mend it: {}", self.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
