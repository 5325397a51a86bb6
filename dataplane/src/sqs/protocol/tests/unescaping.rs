//! Goal: every level unescapes as serde_json does, at every length and alignment. Method: random strings
//! with their own escapes, random raw text, and hand-made faults, compared level by level.

use proptest::prelude::*;

use super::super::unescape::{Fault, Level, unescape};

/// What was in the arena before: must not change.
const BEFORE: &[u8] = b"before";

fn levels() -> impl Iterator<Item = Level> {
    Level::ALL.into_iter().filter(|level| level.is_supported())
}

fn at_level(level: Level, source: &[u8]) -> Result<(Vec<u8>, usize), Fault> {
    let mut arena = BEFORE.to_vec();
    let walked = unescape(level, source, &mut arena);
    assert!(arena.starts_with(BEFORE));
    let text = arena.split_off(BEFORE.len());
    assert!(walked.is_ok() || text.is_empty(), "{level:?}: a fault leaves nothing behind");
    walked.map(|taken| (text, taken))
}

/// All levels at all alignments of a vector, against serde_json; `raw` is what stands between the quotes.
fn check(raw: &[u8], after: &[u8]) {
    let quoted = [b"\"", raw, b"\""].concat();
    let expected = serde_json::from_slice::<String>(&quoted).ok();
    let scalar = at_level(Level::Scalar, &[&quoted[1..], after].concat());
    if let Some(text) = &expected {
        assert_eq!(scalar, Ok((text.clone().into_bytes(), raw.len() + 1)));
    }
    for alignment in [0, 1, 7, 31, 32, 33, 63] {
        let placed = [&vec![b'\\'; alignment], &quoted[1..], after].concat();
        for level in levels() {
            let found = at_level(level, &placed[alignment..]);
            assert_eq!(found, scalar, "{level:?} at {alignment}: {}", String::from_utf8_lossy(raw));
        }
    }
}

/// Text as JSON writers write it: runs of plain text, escapes of every kind, all planes of Unicode.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ -!#-\\[\\]-~]{0,80}",
        3 => Just("\\\"".to_owned()),
        2 => Just("\\\\".to_owned()),
        1 => "\\\\[/bfnrt]",
        1 => any::<char>().prop_filter("escaped apart", |c| *c >= ' ' && !"\"\\".contains(*c)).prop_map(String::from),
        1 => any::<char>().prop_map(|c| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}")).collect()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn every_level_reads_what_a_json_writer_wrote(pieces in prop::collection::vec(piece(), 0..60)) {
        check(pieces.concat().as_bytes(), b",\"next\":\"\\\"\"}");
    }

    #[test]
    fn every_level_says_the_same_of_any_bytes(raw in prop::collection::vec(
        prop_oneof![4 => any::<u8>(), 3 => Just(b'\\'), 1 => Just(b'"'), 1 => Just(b'u'), 8 => b' '..b'~'], 0..300)) {
        check(&raw, b"");
    }

    #[test]
    fn every_level_reads_what_serde_json_wrote(text in any::<String>(), nested in 0..3) {
        let mut written = text;
        for _ in 0..nested {
            written = serde_json::to_string(&written).unwrap();
        }
        let quoted = serde_json::to_string(&written).unwrap();
        check(&quoted.as_bytes()[1..quoted.len() - 1], b"}");
    }
}

#[test]
fn every_length_and_place_of_one_special_byte() {
    for length in 0..=300 {
        for special in
            ["", "\\\"", "\\\\", "\\n", "\\u00e9", "\\ud83d\\ude00", "é", "\\ud800", "\\x", "\n", "\u{7f}"]
        {
            // At the ends of vectors, where the cases differ; the properties above go everywhere.
            for place in [0, 1, 29, 30, 31, 32, 33, 61, 62, 63, 64, 65, 126, 127, 128, length] {
                if place <= length {
                    let raw =
                        ["a".repeat(place).as_str(), special, "b".repeat(length - place).as_str()].concat();
                    check(raw.as_bytes(), b"");
                }
            }
        }
    }
}

#[test]
fn long_strings_of_every_density_of_escapes() {
    for gap in [0, 1, 2, 7, 30, 62, 63, 64, 200] {
        let body =
            serde_json::to_string(&format!("{}\"\\\n", "x".repeat(gap)).repeat(1 + 20_000 / (gap + 3)))
                .unwrap();
        check(&body.as_bytes()[1..body.len() - 1], b"]");
    }
}

#[test]
fn runs_of_backslashes_of_every_length_and_place() {
    for run in 0..=140 {
        for place in [0, 1, 31, 32, 62, 63] {
            for end in ["", "n", "\"", "u0041"] {
                check(format!("{}{}{end}", "a".repeat(place), "\\".repeat(run)).as_bytes(), b"\"");
            }
        }
    }
}

#[test]
fn faults_are_told_apart() {
    for level in levels() {
        for (source, fault) in [
            (&b"abc"[..], Fault::Truncated),
            (b"", Fault::Truncated),
            (b"abc\\", Fault::Truncated),
            (b"\\ud800\"", Fault::NoText),
            (b"\\udc00\\ud800\"", Fault::NoText),
            (b"\\ud800\\u0041\"", Fault::NoText),
            (b"\\u12g4\"", Fault::NoText),
            (b"\\u+123\"", Fault::NoText),
            (b"\\a\"", Fault::NoText),
            (b"\\\xe9\"", Fault::NoText),
            (b"tab\tinside\"", Fault::NoText),
            (b"\0\"", Fault::NoText),
        ] {
            assert_eq!(at_level(level, source), Err(fault), "{level:?} {source:?}");
            let long = [&[b'a'; 200], source].concat();
            assert_eq!(at_level(level, &long), Err(fault), "{level:?} long {source:?}");
        }
        // What follows the closing quote is none of the string's business.
        assert_eq!(at_level(level, b"a\"\n\\x"), Ok((b"a".to_vec(), 2)));
    }
}

#[test]
fn this_machine_was_not_tested_by_accident_only_at_the_slowest_level() {
    assert!(levels().any(|level| level == Level::best()));
    #[cfg(target_arch = "x86_64")]
    assert_eq!(Level::best() != Level::Scalar, is_x86_feature_detected!("avx2"));
}
