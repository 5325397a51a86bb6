//! TOML text to configuration, with an error that shows the place and names the nearest known key.
//!
//! Pure. The parser gives line and caret; what it cannot give is what the writer may have meant.

use dataplane::config::Config;
use toml_edit::DocumentMut;

use super::{manual, overrides};
use crate::exit::Failure;

/// Reads a configuration and applies changes to it.
///
/// # Errors
/// Exit code 78 with line, caret and suggestion; 2 for a change that is wrong by itself.
pub(super) fn parse(origin: &str, text: &str, sets: &[String]) -> Result<Config, Failure> {
    if sets.is_empty() {
        return read(origin, text);
    }
    let mut document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| refused(origin, &error.to_string()))?;
    for set in sets {
        overrides::apply(&mut document, set)?;
    }
    read(&format!("{origin}, changed by --set or environment"), &document.to_string())
}

fn read(origin: &str, text: &str) -> Result<Config, Failure> {
    toml::from_str(text).map_err(|error| refused(origin, &error.to_string()))
}

fn refused(origin: &str, error: &str) -> Failure {
    let remedy = suggestion(error).unwrap_or_default();
    Failure::config(format!("{origin}: {}", error.trim_end()), remedy)
}

/// What the writer may have meant by an unknown key or value.
fn suggestion(error: &str) -> Option<String> {
    let line = error
        .lines()
        .find(|line| line.starts_with("unknown field") || line.starts_with("unknown variant"))?;
    let mut quoted = line.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    let known: Vec<&str> = quoted.collect();
    if let Some(near) = nearest(wrong, &known) {
        return Some(format!("did you mean `{near}`?"));
    }
    let place = manual::keys().into_iter().find(|key| key.name == wrong)?;
    Some(format!("`{wrong}` is a key of [{}]", place.table))
}

/// The known word that is nearest to a wrong one, if one is near at all.
pub(super) fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    // A third of the letters may be wrong, and two in any case: `topc`, `wait_tme`, `brokers_list`.
    let far = (wrong.len() / 3).max(2);
    known
        .iter()
        .map(|word| (strsim::damerau_levenshtein(wrong, word), *word))
        .filter(|(distance, word)| *distance <= far && *distance < word.len())
        .min()
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[[pipeline]]\nname = \"a\"\nqueue.url = \"https://q\"\nkafka.brokers = [\"b:1\"]\nroute.topic = \"t\"\n";

    #[test]
    fn an_unknown_key_is_shown_in_place_with_the_nearest_name() {
        let failure = parse("m.toml", &format!("{GOOD}[drain]\ndedline = \"3s\"\n"), &[]).unwrap_err();
        assert_eq!(failure.code, 78);
        let text = failure.to_string();
        for part in
            ["m.toml: ", "line 7, column 1", "^^^^^^^", "unknown field `dedline`", "did you mean `deadline`?"]
        {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn a_key_of_another_table_is_told_its_place() {
        let failure = parse("m.toml", &format!("{GOOD}[drain]\nlinger = \"3ms\"\n"), &[]).unwrap_err();
        assert_eq!(failure.remedy, "`linger` is a key of [pipeline.kafka]");
    }

    #[test]
    fn a_wrong_value_shows_the_right_form() {
        let failure = parse("m.toml", &format!("[drain]\ndeadline = \"3\"\n{GOOD}"), &[]).unwrap_err();
        assert!(failure.text.contains("line 2"), "{failure}");
        assert!(failure.text.contains("\"20s\""), "{failure}");
    }

    #[test]
    fn a_wrong_choice_gets_a_suggestion_too() {
        let failure = parse("m.toml", GOOD, &["pipeline.a.kafka.compression=zst".into()]).unwrap_err();
        assert_eq!(failure.remedy, "did you mean `zstd`?");
    }

    #[test]
    fn each_cut_of_a_file_is_refused_or_read_and_never_panics() {
        for end in 0..GOOD.len() {
            if let Err(failure) = parse("m.toml", &GOOD[..end], &[]) {
                assert_eq!(failure.code, 78, "{failure}");
            }
        }
    }

    #[test]
    fn far_words_are_not_suggested() {
        assert_eq!(nearest("xyz", &["deadline", "no"]), None);
        assert_eq!(nearest("wait_tme", &["wait_time", "hold_max"]), Some("wait_time"));
    }
}
