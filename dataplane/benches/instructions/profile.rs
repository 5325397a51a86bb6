//! Callgrind's file, as far as it is needed: the total, and what single functions took themselves. Pure.
//!
//! Source: Valgrind manual, "Callgrind Format Specification".

use std::collections::HashSet;

/// All instructions of the profile.
pub(crate) fn total(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())
}

/// Instructions of the functions whose names are wanted, without those that they call.
pub(crate) fn own(text: &str, is_wanted: impl Fn(&str) -> bool) -> u64 {
    // A name stands beside its number once, where the function or a call to it comes first.
    let named = |line: &'_ str| {
        let (number, name) = line.strip_prefix('c').unwrap_or(line).strip_prefix("fn=(")?.split_once(") ")?;
        is_wanted(name).then(|| number.to_owned())
    };
    let wanted: HashSet<String> = text.lines().filter_map(named).collect();
    let (mut inside, mut instructions) = (false, 0);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(function) = line.strip_prefix("fn=(") {
            inside = function.split(')').next().is_some_and(|number| wanted.contains(number));
        } else if line.starts_with("calls=") {
            // The next line is the cost of the call: the callee's.
            lines.next();
        } else if inside && line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            instructions += line.split(' ').nth(1).and_then(|cost| cost.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    instructions
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "events: Ir\nsummary: 99\n\nfn=(1) main\n3 5\ncfn=(2) sha256\ncalls=1 0 \n4 70\n+1 5\n\n\
        fl=(3) a.S\nfn=(2)\n0 60\n* 8\ncfn=(4) other\ncalls=2 0\n0 2\nfn=(4)\n7 2\ntotals: 99\n";

    #[test]
    fn the_total_is_read() {
        assert_eq!((total(PROFILE), total("summary: 1\n")), (Some(99), None));
    }

    #[test]
    fn functions_are_told_from_what_they_call() {
        assert_eq!(own(PROFILE, |name| name == "sha256"), 68);
        assert_eq!(own(PROFILE, |name| name == "main"), 10);
        assert_eq!(own(PROFILE, |_| false), 0);
    }
}
