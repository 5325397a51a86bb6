//! Answers to batch requests: what became of each entry.
//!
//! Level 1, pure. A partial failure is a result per entry, never one verdict for all.

use std::borrow::Cow;

use super::DecodeError;
use super::scan::Cursor;
use super::unescape::Level;
use crate::error::Class;
use crate::limits;
use crate::sqs::errors::entry_class;

/// What SQS said about each entry, by position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BatchResults {
    entries: [Option<Result<(), Class>>; limits::BATCH_ENTRIES_MAX],
    codes: Vec<String>,
}

impl BatchResults {
    /// `None`: the answer does not name the entry.
    pub(crate) fn entry(&self, position: usize) -> Option<Result<(), Class>> {
        self.entries.get(position).copied().flatten()
    }

    /// Codes of the entries that were refused.
    pub(crate) fn failed_codes(&self) -> impl Iterator<Item = &str> {
        self.codes.iter().map(String::as_str)
    }
}

/// Longest code that is kept.
const CODE_BYTES_MAX: usize = 64;

/// Reads an answer to `count` entries.
///
/// # Errors
/// The answer is no JSON of the documented shape.
pub(crate) fn batch_results(body: &[u8], count: usize) -> Result<BatchResults, DecodeError> {
    let count = count.min(limits::BATCH_ENTRIES_MAX);
    let mut results = BatchResults::default();
    if all_successful(body, count) {
        results.entries[..count].fill(Some(Ok(())));
        return Ok(results);
    }
    let mut cursor = Cursor::new(body, Level::best());
    if !cursor.null() {
        cursor.expect(b'{')?;
        let mut first = true;
        while let Some(name) = cursor.member(&mut first)? {
            match &*name {
                b"Successful" | b"Failed" => entries(&mut cursor, &*name == b"Failed", count, &mut results)?,
                _ => cursor.skip()?,
            }
        }
    }
    cursor.end()?;
    Ok(results)
}

/// The results of ten entries that were all taken, in the order of the request.
const TEN: &[u8; 109] = br#"{"Id":"0"},{"Id":"1"},{"Id":"2"},{"Id":"3"},{"Id":"4"},{"Id":"5"},{"Id":"6"},{"Id":"7"},{"Id":"8"},{"Id":"9"}"#;
const ENTRY_BYTES: usize = 11;

/// Whether the answer says in the usual words that every entry was taken. False proves nothing.
fn all_successful(body: &[u8], count: usize) -> bool {
    let Some(ids) = TEN.get(..(count * ENTRY_BYTES).saturating_sub(1)) else { return false };
    let list = body
        .strip_prefix(br#"{"Successful":["#)
        .or_else(|| body.strip_prefix(br#"{"Failed":[],"Successful":["#));
    matches!(list.and_then(|list| list.strip_prefix(ids)), Some(b"]}" | br#"],"Failed":[]}"#))
}

fn entries(
    cursor: &mut Cursor<'_>,
    failed: bool,
    count: usize,
    results: &mut BatchResults,
) -> Result<(), DecodeError> {
    if cursor.null() {
        return Ok(());
    }
    cursor.expect(b'[')?;
    let mut first = true;
    while cursor.element(&mut first)? {
        let entry = entry(cursor)?;
        // An id that was not asked about proves nothing; of two verdicts on one entry the refusal counts.
        let Some(position) = entry.position.filter(|&position| position < count) else {
            continue;
        };
        let verdict = &mut results.entries[position];
        match verdict {
            Some(Err(_)) => {}
            _ if failed => {
                let code = &entry.code[..entry.code.len().min(CODE_BYTES_MAX)];
                let code = String::from_utf8_lossy(code).into_owned();
                *verdict = Some(Err(entry_class(&code, entry.sender_fault)));
                results.codes.push(code);
            }
            _ => *verdict = Some(Ok(())),
        }
    }
    Ok(())
}

#[derive(Default)]
struct Entry<'a> {
    position: Option<usize>,
    code: Cow<'a, [u8]>,
    sender_fault: bool,
}

fn entry<'a>(cursor: &mut Cursor<'a>) -> Result<Entry<'a>, DecodeError> {
    let mut entry = Entry::default();
    cursor.expect(b'{')?;
    let mut first = true;
    while let Some(name) = cursor.member(&mut first)? {
        match &*name {
            b"Id" => entry.position = single_digit(&cursor.string()?.text()),
            b"Code" if !cursor.null() => entry.code = cursor.string()?.text(),
            b"SenderFault" if !cursor.null() => entry.sender_fault = cursor.boolean()?,
            b"Code" | b"SenderFault" => {}
            _ => cursor.skip()?,
        }
    }
    Ok(entry)
}

fn single_digit(id: &[u8]) -> Option<usize> {
    match id {
        [digit @ b'0'..=b'9'] => Some(usize::from(digit - b'0')),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_has_its_own_result() {
        let body = br#"{"Successful":[{"Id":"0"},{"Id":"2"}],"Failed":[{"Id":"1","Code":"ReceiptHandleIsInvalid","Message":"x","SenderFault":true},{"Id":"3","Code":"InternalError","SenderFault":false}]}"#;
        let results = batch_results(body, 5).unwrap();
        assert_eq!(results.entry(0), Some(Ok(())));
        assert_eq!(results.entry(1), Some(Err(Class::LeaseLost)));
        assert_eq!(results.entry(3), Some(Err(Class::Retry)));
        assert_eq!(results.entry(4), None, "not named: unknown");
        assert_eq!(results.failed_codes().collect::<Vec<_>>(), ["ReceiptHandleIsInvalid", "InternalError"]);
    }

    #[test]
    fn ids_that_were_not_asked_about_prove_nothing() {
        let body = br#"{"Successful":[{"Id":"7"},{"Id":"x"},{"Id":"00"},{"Id":"1"}],"Failed":[{"Id":"1","Code":"X"}],"New":{"a":[1]}}"#;
        let results = batch_results(body, 2).unwrap();
        assert_eq!((results.entry(0), results.entry(1)), (None, Some(Err(Class::Retry))));
        assert!(batch_results(b"{\"Successful\":[", 2).is_err());
        assert_eq!(batch_results(b"{}", 2).unwrap().entry(0), None);
    }

    #[test]
    fn the_usual_answer_and_its_variants_say_the_same() {
        let ids =
            |count: usize| (0..count).map(|id| format!("{{\"Id\":\"{id}\"}}")).collect::<Vec<_>>().join(",");
        for count in 0..=10 {
            let ids = ids(count);
            for (body, usual) in [
                (format!("{{\"Successful\":[{ids}]}}"), true),
                (format!("{{\"Failed\":[],\"Successful\":[{ids}]}}"), true),
                (format!("{{\"Successful\":[{ids}],\"Failed\":[]}}"), true),
                (format!("{{ \"Successful\" : [{ids}] }}"), false),
                (format!("{{\"Successful\":[{ids}],\"Failed\":null}}"), false),
            ] {
                assert_eq!(all_successful(body.as_bytes(), count), usual, "{body}");
                let results = batch_results(body.as_bytes(), count).unwrap();
                assert!((0..10).all(|id| results.entry(id) == (id < count).then_some(Ok(()))), "{body}");
                // One entry fewer or more than asked for is no success of all.
                assert!(
                    !all_successful(body.as_bytes(), count + 1)
                        && (count == 0 || !all_successful(body.as_bytes(), count - 1))
                );
            }
        }
    }

    #[test]
    fn the_first_refusal_of_an_entry_stands_and_is_counted_once() {
        let failed = r#"{"Id":"0","Code":"InternalError"},"#.repeat(100);
        let body = format!(
            "{{\"Failed\":[{failed}{{\"Id\":\"0\",\"Code\":null,\"SenderFault\":null}}],\"Successful\":[{{\"Id\":\"0\"}}]}}"
        );
        let results = batch_results(body.as_bytes(), 1).unwrap();
        assert_eq!(results.entry(0), Some(Err(Class::Retry)));
        assert_eq!(results.failed_codes().collect::<Vec<_>>(), ["InternalError"]);
        for bad in [
            r#"{"Successful":{}}"#,
            r#"{"Successful":[{"Id":0}]}"#,
            r#"{"Failed":[{"SenderFault":1}]}"#,
            "[]",
            "{}x",
        ] {
            assert!(batch_results(bad.as_bytes(), 1).is_err(), "{bad}");
        }
    }
}
