//! The list of ticks: what was looked at, how it stands, what to do; as text and as JSON.
//!
//! Pure.

use std::fmt::Write;

use serde::Serialize;

use crate::exit;

/// How a thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// Well.
    Ok,
    /// Works, and the operator should know.
    Warning,
    /// Does not work.
    Failed,
    /// Not looked at; the text says why.
    Skipped,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Tick {
    /// Where it belongs: `config`, `platform`, `sqs orders`, `kafka orders`.
    pub(super) area: String,
    /// What it is.
    pub(super) name: &'static str,
    /// How it stands.
    pub(super) status: Status,
    /// What was found.
    pub(super) text: String,
    /// What to do about it; empty when there is nothing.
    pub(super) remedy: String,
    /// Exit code that a failure calls for.
    #[serde(skip)]
    pub(super) code: u8,
}

/// All ticks, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    area: String,
    ticks: Vec<Tick>,
}

impl List {
    /// What follows belongs to this area.
    pub(super) fn enter(&mut self, area: impl Into<String>) {
        self.area = area.into();
    }

    /// A thing is well.
    pub(super) fn ok(&mut self, name: &'static str, text: impl Into<String>) {
        self.add(name, Status::Ok, text.into(), String::new(), exit::OK);
    }

    /// A thing works, and the operator should know.
    pub(super) fn warn(&mut self, name: &'static str, text: impl Into<String>, remedy: impl Into<String>) {
        self.add(name, Status::Warning, text.into(), remedy.into(), exit::OK);
    }

    /// A thing does not work.
    pub(super) fn fail(
        &mut self,
        name: &'static str,
        code: u8,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(name, Status::Failed, text.into(), remedy.into(), code);
    }

    /// A thing was not looked at.
    pub(super) fn skip(&mut self, name: &'static str, text: impl Into<String>) {
        self.add(name, Status::Skipped, text.into(), String::new(), exit::OK);
    }

    fn add(&mut self, name: &'static str, status: Status, text: String, remedy: String, code: u8) {
        self.ticks.push(Tick { area: self.area.clone(), name, status, text, remedy, code });
    }

    /// Appends the ticks of another list.
    pub(super) fn append(&mut self, mut other: List) {
        self.ticks.append(&mut other.ticks);
    }

    /// The exit code: of several failures the one that must be mended first.
    pub(super) fn exit_code(&self) -> u8 {
        let failed: Vec<u8> =
            self.ticks.iter().filter(|tick| tick.status == Status::Failed).map(|tick| tick.code).collect();
        let order = [exit::CONFIG, exit::REFUSED, exit::UNREACHABLE];
        match order.into_iter().find(|code| failed.contains(code)) {
            Some(code) => code,
            None if failed.is_empty() => exit::OK,
            None => exit::CHECK_FAILED,
        }
    }

    /// The list for people.
    pub(super) fn text(&self, color: bool) -> String {
        let mut text = String::new();
        let mut area = "";
        for tick in &self.ticks {
            if tick.area != area {
                area = &tick.area;
                let _ = writeln!(text, "{area}");
            }
            let (sign, paint) = match tick.status {
                Status::Ok => ("✓", "\x1b[32m"),
                Status::Warning => ("!", "\x1b[33m"),
                Status::Failed => ("✗", "\x1b[31m"),
                Status::Skipped => ("–", "\x1b[2m"),
            };
            let (on, off) = if color { (paint, "\x1b[0m") } else { ("", "") };
            let indented = tick.text.trim_end().replace('\n', "\n      ");
            let _ = writeln!(text, "  {on}{sign}{off} {}: {indented}", tick.name);
            if !tick.remedy.is_empty() {
                let _ = writeln!(text, "      to mend it: {}", tick.remedy);
            }
        }
        let count = |status| self.ticks.iter().filter(|tick| tick.status == status).count();
        let _ = writeln!(
            text,
            "{} ok, {} warnings, {} failed, {} not looked at",
            count(Status::Ok),
            count(Status::Warning),
            count(Status::Failed),
            count(Status::Skipped)
        );
        text
    }

    /// The list for scripts.
    pub(super) fn json(&self) -> String {
        let code = self.exit_code();
        format!(
            "{:#}\n",
            serde_json::json!({ "ok": code == exit::OK, "exit_code": code, "checks": self.ticks })
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(codes: &[u8]) -> List {
        let mut list = List::default();
        list.enter("sqs orders");
        list.ok("credentials", "found");
        list.warn("redrive", "there is no redrive policy", "set one");
        list.skip("identity", "not on AWS");
        for code in codes {
            list.fail("receive", *code, "not allowed", "grant it");
        }
        list
    }

    #[test]
    fn the_exit_code_is_that_of_the_first_thing_to_mend() {
        assert_eq!(list(&[]).exit_code(), 0, "a warning is no failure");
        assert_eq!(list(&[1]).exit_code(), 1);
        assert_eq!(list(&[69, 77]).exit_code(), 77);
        assert_eq!(list(&[69, 77, 78]).exit_code(), 78);
    }

    #[test]
    fn the_text_has_a_sign_and_a_remedy_for_each() {
        let text = list(&[77]).text(false);
        assert_eq!(
            text,
            "sqs orders\n  ✓ credentials: found\n  ! redrive: there is no redrive policy\n      to mend it: set one\n  \
             – identity: not on AWS\n  ✗ receive: not allowed\n      to mend it: grant it\n\
             1 ok, 1 warnings, 1 failed, 1 not looked at\n"
        );
        assert!(list(&[77]).text(true).contains("\x1b[31m✗\x1b[0m"));
    }

    #[test]
    fn the_json_has_every_check() {
        let json: serde_json::Value = serde_json::from_str(&list(&[69]).json()).unwrap();
        assert_eq!((json["ok"].as_bool(), json["exit_code"].as_u64()), (Some(false), Some(69)));
        assert_eq!(json["checks"][3]["status"], "failed");
        assert_eq!(json["checks"][3]["area"], "sqs orders");
    }
}
