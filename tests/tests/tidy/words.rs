//! Words that have no place in the tree: leftovers, paths of a machine, trackers' numbers.

use super::tree::{Finding, Tree};

/// What is searched for is put together here, so that this file does not find itself.
fn leftovers() -> [String; 5] {
    [["TO", "DO"], ["FIX", "ME"], ["X", "XX"], ["HA", "CK"], ["dbg", "!("]].map(|parts| parts.concat())
}

fn machine_paths() -> [String; 4] {
    [["/ro", "ot/"], ["/ho", "me/"], ["/wo", "rk/"], ["/Us", "ers/"]].map(|parts| parts.concat())
}

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let (leftovers, machine_paths) = (leftovers(), machine_paths());
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| !is_listing(&file.path)) {
        for (number, line) in (1..).zip(file.text.lines()) {
            for word in leftovers.iter().filter(|word| has_word(line, word)) {
                findings
                    .push(file.finding(number, format!("`{word}`: do it, or say in words what is missing")));
            }
            for path in machine_paths.iter().filter(|path| names_path(line, path)) {
                findings.push(file.finding(number, format!("`{path}` is a path of one machine")));
            }
            if is_numbered(line) && (file.is(".rs") || file.is(".md")) {
                findings
                    .push(file.finding(number, "a tracker's number tells a reader nothing: say what it is"));
            }
        }
    }
    findings
}

/// Made by tools, or texts of others.
fn is_listing(path: &str) -> bool {
    path.ends_with(".lock")
        || path.contains("/corpus/")
        || path == "LICENSE"
        || path.ends_with("package-lock.json")
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Whether a line has the word between other letters than letters.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(is_word);
        let after = !word.ends_with('(') && line[at + word.len()..].chars().next().is_some_and(is_word);
        !before && !after
    })
}

/// Whether a line has the path from its root on, not as a part of a longer one.
fn names_path(line: &str, path: &str) -> bool {
    let inside = |letter: char| is_word(letter) || ".}$~-".contains(letter);
    line.match_indices(path).any(|(at, _)| !line[..at].chars().next_back().is_some_and(inside))
}

/// A number sign and digits in words or brackets: not Markdown's anchors, colours or Rust's attributes.
fn is_numbered(line: &str) -> bool {
    line.match_indices('#').any(|(at, _)| {
        let digits = line[at + 1..].chars().take_while(char::is_ascii_digit).count();
        let ended = !line[at + 1 + digits..].chars().next().is_some_and(is_word);
        let free = line[..at].chars().next_back().is_none_or(|letter| letter == ' ' || letter == '(');
        (1..=5).contains(&digits) && ended && free
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{NONE, lines};

    fn found(text: &str) -> Vec<usize> {
        lines(&check(&Tree::of(&[("docs/a.md", text)])))
    }

    #[test]
    fn leftovers_are_found_as_words() {
        for word in leftovers() {
            assert_eq!(found(&format!("fine\nthis {word} here")), [2], "{word}");
        }
        assert_eq!(found("hackathons, METODOS"), NONE);
    }

    #[test]
    fn paths_of_a_machine_are_found_and_relative_ones_are_not() {
        for path in machine_paths() {
            assert_eq!(found(&format!("see {path}me/x")), [1], "{path}");
            assert_eq!(found(&format!("see ../a{path}x")), NONE, "{path}");
        }
    }

    #[test]
    fn numbers_of_a_tracker_are_found() {
        assert_eq!(found("mended (#N)\nsee #N.".replace('N', "7").as_str()), [1, 2]);
        assert_eq!(found("color: #123456; a#12 [x](#12a) # 12"), NONE);
    }
}
