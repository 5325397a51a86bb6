//! Answers as tables for people: columns as wide as their widest cell.
//!
//! Pure.

use serde_json::Value;

/// Draws the items of a list: `columns` are a head and a JSON pointer.
pub(super) fn list(items: &Value, columns: &[(&str, &str)]) -> String {
    let none = Vec::new();
    let items = items.as_array().unwrap_or(&none);
    let heads = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
    let mut rows: Vec<Vec<String>> = vec![heads];
    for item in items {
        rows.push(columns.iter().map(|(_, pointer)| cell(item.pointer(pointer))).collect());
    }
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width.saturating_sub(cell.chars().count()))))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A value as a cell; what comes from others may not move a terminal's cursor.
fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "–".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(Value::Array(items)) if items.is_empty() => "–".to_owned(),
        Some(other) => other.to_string(),
    };
    on_one_line(&text)
}

/// Text of others on one line: it may not move a terminal's cursor.
pub(super) fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Text of others on its lines.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// One thing as lines of a name and a value: `rows` are a name and a JSON pointer.
pub(super) fn one(json: &Value, rows: &[(&str, &str)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, pointer): &(&str, &str)| format!("{name:<width$}  {}\n", cell(json.pointer(pointer)));
    rows.iter().map(line).collect()
}

/// Milliseconds since 1970 as RFC 3339.
pub(super) fn time(ms: i64) -> String {
    let moment = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms / 1_000 * 1_000) * 1_000_000);
    let text =
        moment.ok().and_then(|moment| moment.format(&time::format_description::well_known::Rfc3339).ok());
    text.unwrap_or_else(|| ms.to_string())
}

/// Puts times in the place of milliseconds, for people.
pub(super) fn with_times(mut items: Value) -> Value {
    for item in items.as_array_mut().into_iter().flatten() {
        for (name, value) in item.as_object_mut().into_iter().flatten() {
            if let Some(ms) = value.as_i64().filter(|_| name.ends_with("_ms")) {
                *value = Value::String(time(ms));
            }
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_line_up_and_nothing_moves_the_cursor() {
        let items = json!([{ "a": "x", "b": { "c": 12 } }, { "a": "lo\u{1b}[2Jng", "d": true }]);
        let text = list(&items, &[("name", "/a"), ("count", "/b/c"), ("on", "/d")]);
        assert_eq!(text, "name      count  on\nx         12     –\nlo\u{fffd}[2Jng  –      yes\n");
    }

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(time(1_764_158_400_123), "2025-11-26T12:00:00Z");
        assert_eq!(
            with_times(json!([{ "at_ms": 0, "n": 7 }])),
            json!([{ "at_ms": "1970-01-01T00:00:00Z", "n": 7 }])
        );
    }
}
