//! Puts tables into documents, between two marks: what is published is what was measured.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";

/// Replaces what stands between the marks of a document.
///
/// # Errors
/// The document or its marks are missing, or it cannot be written.
pub(crate) fn replace(path: &Path, tables: &str) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text =
        spliced(&text, tables).with_context(|| format!("{} has no {BEGIN} … {END}", path.display()))?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn spliced(text: &str, tables: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", tables.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page = format!("# a\n{BEGIN}\nold\n{END}\nb\n");
        let once = spliced(&page, "| new |\n").unwrap();
        assert_eq!(once, format!("# a\n{BEGIN}\n\n| new |\n\n{END}\nb\n"));
        assert_eq!(spliced(&once, "| new |\n").unwrap(), once, "again changes nothing");
        assert_eq!(spliced("# a\n", "| new |"), None);
    }
}
