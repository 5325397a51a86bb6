//! The marks: a committed count for each subject, and the verdict on new counts beside them. Pure.

/// How far a count may rise above its mark. Counts of unchanged code differ by far less; a change that moves
/// inlining about costs one or two per cent without being a loss.
const RISE_PERCENT_MAX: i64 = 5;
/// A count so far below its mark would hide the next loss.
const FALL_PERCENT_MAX: i64 = 5;

/// The instructions of one step of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Name of the subject.
    pub(crate) name: String,
    /// Instructions.
    pub(crate) instructions: u64,
}

/// What new counts mean.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// A table, a line for each subject.
    pub(crate) lines: Vec<String>,
    /// What must not be, a sentence for each.
    failures: Vec<String>,
    /// Subjects whose marks should follow.
    lower: Vec<String>,
}

impl Verdict {
    /// An error with all failures, or nothing. Marks to be lowered are told in the table's last line.
    pub(crate) fn outcome(&self) -> Result<(), String> {
        if self.failures.is_empty() { Ok(()) } else { Err(self.failures.join("\nratchet: ")) }
    }
}

/// Reads a file of marks. An error is the line that is none.
pub(crate) fn parse(text: &str) -> Result<Vec<Mark>, String> {
    let mark = |line: &str| {
        let (name, count) = line.split_once('\t')?;
        Some(Mark { name: name.to_owned(), instructions: count.parse().ok().filter(|&count| count > 0)? })
    };
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| mark(line).ok_or_else(|| line.to_owned()))
        .collect()
}

/// Writes a file of marks.
pub(crate) fn render(tools: &[String], marks: &[Mark]) -> String {
    let rows = marks.iter().map(|mark| format!("{}\t{}\n", mark.name, mark.instructions));
    let head =
        "# Instructions of one step of each subject. `make ratchet` compares, `make ratchet-update` writes.";
    format!("{head}\n{}\n{}", heading(tools), rows.collect::<String>())
}

/// The line that names the tools.
pub(crate) fn heading(tools: &[String]) -> String {
    format!("# {}", tools.join(", "))
}

/// Holds counts against marks.
pub(crate) fn judge(marks: &[Mark], counts: &[Mark]) -> Verdict {
    let mut verdict = Verdict::default();
    for Mark { name, instructions: now } in counts {
        let Some(mark) = marks.iter().find(|mark| mark.name == *name) else {
            verdict.lines.push(row(name, "-", *now, "new"));
            verdict.failures.push(format!("{name} has no mark: write it with `make ratchet-update`"));
            continue;
        };
        let before = mark.instructions;
        let change = change(before, *now);
        verdict.lines.push(row(name, &before.to_string(), *now, &change));
        // Hundredths of the mark: exact, where a rounded percentage would not be.
        let (hundredfold, before) = (i128::from(*now) * 100, i128::from(before));
        if hundredfold > before * i128::from(100 + RISE_PERCENT_MAX) {
            verdict.failures.push(format!(
                "{name} takes {now} instructions, {before} before: {change}, {RISE_PERCENT_MAX} % are allowed"
            ));
        } else if hundredfold < before * i128::from(100 - FALL_PERCENT_MAX) {
            verdict.lower.push(format!("{name} ({change})"));
        }
    }
    for mark in marks.iter().filter(|mark| counts.iter().all(|count| count.name != mark.name)) {
        let text = "has a mark and was not counted: the subject is gone (`make ratchet-update`), or this machine lacks AVX2";
        verdict.failures.push(format!("{} {text}", mark.name));
    }
    if !verdict.lower.is_empty() {
        let text = verdict.lower.join(", ");
        verdict.lines.push(format!("ratchet: better: {text}. Keep it with `make ratchet-update`."));
    }
    verdict
}

fn row(name: &str, before: &str, now: u64, change: &str) -> String {
    format!("{name:<36} {before:>10} {now:>10} {change:>9}")
}

fn change(before: u64, now: u64) -> String {
    let percent = (now as f64 / before as f64 - 1.0) * 100.0;
    format!("{percent:+.2} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(counts: &[(&str, u64)]) -> Vec<Mark> {
        counts.iter().map(|&(name, instructions)| Mark { name: name.to_owned(), instructions }).collect()
    }

    #[test]
    fn five_per_cent_more_pass_and_one_instruction_beyond_fails() {
        let before = marks(&[("decode", 1000)]);
        assert_eq!(judge(&before, &marks(&[("decode", 1050)])).outcome(), Ok(()));
        let failure = judge(&before, &marks(&[("decode", 1051)])).outcome().unwrap_err();
        assert_eq!(failure, "decode takes 1051 instructions, 1000 before: +5.10 %, 5 % are allowed");
    }

    #[test]
    fn a_gain_passes_and_asks_for_a_lower_mark() {
        let before = marks(&[("decode", 1000), ("judge", 1000)]);
        let verdict = judge(&before, &marks(&[("decode", 950), ("judge", 949)]));
        assert_eq!(verdict.outcome(), Ok(()));
        assert_eq!(
            verdict.lines.last().unwrap(),
            "ratchet: better: judge (-5.10 %). Keep it with `make ratchet-update`."
        );
    }

    #[test]
    fn every_loss_is_told() {
        let before = marks(&[("decode", 1000), ("judge", 1000)]);
        let failure = judge(&before, &marks(&[("decode", 2000), ("judge", 2000)])).outcome().unwrap_err();
        assert_eq!(failure.lines().count(), 2);
    }

    #[test]
    fn subjects_and_marks_match_one_another() {
        let failure = judge(&marks(&[("gone", 1)]), &marks(&[("new", 1)])).outcome().unwrap_err();
        assert!(failure.contains("new has no mark") && failure.contains("gone has a mark"), "{failure}");
    }

    #[test]
    fn what_is_written_is_read() {
        let some = marks(&[("a/b", 12), ("c", u64::MAX)]);
        let text = render(&["rustc 1".to_owned(), "valgrind-3".to_owned()], &some);
        assert_eq!(parse(&text), Ok(some));
        assert!(text.contains("\n# rustc 1, valgrind-3\n"));
        assert_eq!(parse("a\t0"), Err("a\t0".to_owned()), "nothing takes no instructions");
        assert!(parse("a 7").is_err());
    }
}
