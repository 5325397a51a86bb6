//! The store's side of the history: minutes in, minutes out, and what is too old away.
//!
//! Each function is one short piece of work on the store's connection. The columns are those of `flows`; a test
//! holds the table to them.

use dataplane::control::State;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::flows::{FLOW_COUNT, FLOWS, GAUGE_COUNT, GAUGES, Gauges};
use super::history::MinuteRow;
use super::sampler::Subject;
use crate::snapshot;
use crate::store::StoreError;

/// Age at which a minute goes: 30 days.
pub(crate) const KEPT_MS: i64 = 30 * 86_400_000;
/// Rows that are kept at most, about 150 bytes each: 30 days of 23 subjects. More subjects shorten the history.
const ROWS_MAX: i64 = 1_000_000;
/// Rows that one piece of work removes: others wait meanwhile.
const REMOVED_MAX: i64 = 5_000;
/// Minutes that one answer holds.
pub(crate) const MINUTES_MAX: usize = 10_080;

/// Columns that stand before the flows.
const HEAD: usize = 4;

fn columns() -> String {
    let mut names = vec!["subject".to_owned(), "minute_ms".into(), "covers_ms".into(), "state".into()];
    names.extend(FLOWS.iter().map(|(name, _)| (*name).to_owned()));
    names.extend(GAUGES.iter().flat_map(|(_, name)| [format!("{name}_mean"), format!("{name}_peak")]));
    names.join(", ")
}

/// Kind and name of a subject, as they are stored.
fn parts(subject: &Subject) -> (&'static str, String) {
    match subject {
        Subject::Appliance => ("appliance", String::new()),
        Subject::Pipeline(name) => ("pipeline", name.clone()),
        Subject::Shard(number) => ("shard", number.to_string()),
    }
}

/// Writes the rows of a minute. A minute that is there already (a clock that stepped back) is replaced.
pub(crate) fn write(connection: &mut Connection, rows: &[MinuteRow]) -> Result<(), StoreError> {
    let step = connection.transaction()?;
    {
        let marks = vec!["?"; HEAD + FLOW_COUNT + 2 * GAUGE_COUNT].join(", ");
        let text = format!("INSERT OR REPLACE INTO history_minutes ({}) VALUES ({marks})", columns());
        let mut insert = step.prepare(&text)?;
        for row in rows {
            let (kind, name) = parts(&row.subject);
            step.prepare("INSERT OR IGNORE INTO history_subjects (kind, name) VALUES (?1, ?2)")?
                .execute((kind, &name))?;
            let id: i64 = step
                .prepare("SELECT id FROM history_subjects WHERE kind = ?1 AND name = ?2")?
                .query_row((kind, &name), |row| row.get(0))?;
            insert.execute(params_from_iter(values(id, row)))?;
        }
    }
    Ok(step.commit()?)
}

fn values(id: i64, row: &MinuteRow) -> Vec<Value> {
    let whole = |value: u64| Value::Integer(i64::try_from(value).unwrap_or(i64::MAX));
    let mut values = vec![Value::Integer(id), Value::Integer(row.minute_ms), whole(row.covers_ms)];
    values.push(row.state.map_or(Value::Null, |state| snapshot::state_text(state).to_owned().into()));
    values.extend(row.counts.iter().map(|count| whole(*count)));
    for (mean, peak) in row.means.0.iter().zip(row.peaks.0) {
        values.push(mean.map_or(Value::Null, Value::Real));
        values.push(peak.map_or(Value::Null, Value::Real));
    }
    values
}

/// Minutes of a subject that begin within a span, oldest first, at most [`MINUTES_MAX`].
pub(crate) fn read(
    connection: &Connection,
    subject: &Subject,
    from_ms: i64,
    to_ms: i64,
) -> Result<Vec<MinuteRow>, StoreError> {
    let Some(id) = id_of(connection, subject)? else { return Ok(Vec::new()) };
    let text = format!(
        "SELECT {} FROM history_minutes WHERE subject = ?1 AND minute_ms >= ?2 AND minute_ms < ?3 \
         ORDER BY minute_ms LIMIT {MINUTES_MAX}",
        columns()
    );
    let mut statement = connection.prepare(&text)?;
    let rows = statement.query_map(params![id, from_ms, to_ms], |row| minute(subject, row))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn id_of(connection: &Connection, subject: &Subject) -> Result<Option<i64>, StoreError> {
    let (kind, name) = parts(subject);
    let id = connection
        .prepare("SELECT id FROM history_subjects WHERE kind = ?1 AND name = ?2")?
        .query_row((kind, name), |row| row.get(0))
        .optional()?;
    Ok(id)
}

fn minute(subject: &Subject, row: &Row<'_>) -> rusqlite::Result<MinuteRow> {
    let whole = |index: usize| row.get::<_, i64>(index).map(|value| value.max(0) as u64);
    let mut counts = [0; FLOW_COUNT];
    for (index, count) in counts.iter_mut().enumerate() {
        *count = whole(HEAD + index)?;
    }
    let [mut means, mut peaks] = [Gauges::default(), Gauges::default()];
    for gauge in 0..GAUGE_COUNT {
        means.0[gauge] = row.get(HEAD + FLOW_COUNT + 2 * gauge)?;
        peaks.0[gauge] = row.get(HEAD + FLOW_COUNT + 2 * gauge + 1)?;
    }
    let state: Option<String> = row.get(3)?;
    Ok(MinuteRow {
        subject: subject.clone(),
        minute_ms: row.get(1)?,
        covers_ms: whole(2)?,
        counts,
        means,
        peaks,
        state: state.as_deref().and_then(state_of),
    })
}

/// The state of a stored text.
fn state_of(text: &str) -> Option<State> {
    [State::Starting, State::Running, State::Paused, State::Broken, State::Draining, State::Stopped]
        .into_iter()
        .find(|state| snapshot::state_text(*state) == text)
}

/// The oldest minute that is kept of a subject.
pub(crate) fn oldest(connection: &Connection, subject: &Subject) -> Result<Option<i64>, StoreError> {
    let Some(id) = id_of(connection, subject)? else { return Ok(None) };
    let mut statement =
        connection.prepare("SELECT min(minute_ms) FROM history_minutes WHERE subject = ?1")?;
    Ok(statement.query_row([id], |row| row.get(0))?)
}

/// A table of minutes that is bounded by age and rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounded {
    /// Its name.
    pub(crate) table: &'static str,
    /// Rows that it may have.
    pub(crate) rows_max: i64,
}

/// This module's table.
pub(crate) const BOUNDED: Bounded = Bounded { table: "history_minutes", rows_max: ROWS_MAX };

impl Bounded {
    /// Removes what is too old or too much, a part at a time; returns whether more is left to remove.
    pub(crate) fn trim(self, connection: &Connection, now_ms: i64) -> Result<bool, StoreError> {
        let table = self.table;
        let rows: i64 =
            connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        let mut before_ms = now_ms - KEPT_MS;
        let excess = rows - self.rows_max;
        if excess > 0 {
            let text = format!("SELECT minute_ms FROM {table} ORDER BY minute_ms LIMIT 1 OFFSET ?1");
            let cut: Option<i64> = connection.query_row(&text, [excess], |row| row.get(0)).optional()?;
            before_ms = before_ms.max(cut.unwrap_or(before_ms));
        }
        // Whole minutes go, oldest first, as many as fit one piece of work.
        let text = format!(
            "SELECT minute_ms FROM {table} WHERE minute_ms < ?1 ORDER BY minute_ms LIMIT 1 OFFSET ?2"
        );
        let part: Option<i64> =
            connection.query_row(&text, params![before_ms, REMOVED_MAX], |row| row.get(0)).optional()?;
        let until_ms = part.unwrap_or(before_ms);
        connection.execute(&format!("DELETE FROM {table} WHERE minute_ms < ?1"), [until_ms])?;
        Ok(part.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::super::flows::Gauge;
    use super::*;

    fn connection() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../store/migrations/010_watch.sql")).unwrap();
        connection
    }

    fn row(subject: Subject, minute_ms: i64) -> MinuteRow {
        let mut means = Gauges::default();
        means.set(Gauge::InFlight, 2.5);
        let mut peaks = Gauges::default();
        peaks.set(Gauge::InFlight, 9.0);
        MinuteRow {
            subject,
            minute_ms,
            covers_ms: 59_000,
            counts: std::array::from_fn(|index| index as u64 * 1_000),
            means,
            peaks,
            state: Some(State::Broken),
        }
    }

    #[test]
    fn the_table_has_exactly_the_columns_of_the_fields() {
        let connection = connection();
        let mut statement =
            connection.prepare("SELECT name FROM pragma_table_info('history_minutes')").unwrap();
        let names: Vec<String> =
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(names.join(", "), columns());
    }

    #[test]
    fn what_is_written_is_read_by_subject_and_span() {
        let mut connection = connection();
        let orders = Subject::Pipeline("orders".to_owned());
        let rows =
            [row(orders.clone(), 60_000), row(orders.clone(), 120_000), row(Subject::Shard(1), 60_000)];
        write(&mut connection, &rows).unwrap();
        assert_eq!(read(&connection, &orders, 0, 120_000).unwrap(), rows[..1]);
        assert_eq!(read(&connection, &orders, 0, i64::MAX).unwrap(), rows[..2]);
        assert_eq!(read(&connection, &Subject::Shard(1), 0, i64::MAX).unwrap(), rows[2..]);
        assert_eq!(read(&connection, &Subject::Appliance, 0, i64::MAX).unwrap(), []);
        assert_eq!(oldest(&connection, &orders).unwrap(), Some(60_000));
        assert_eq!(oldest(&connection, &Subject::Appliance).unwrap(), None);
    }

    #[test]
    fn a_minute_that_comes_again_replaces_the_first() {
        let mut connection = connection();
        write(&mut connection, &[row(Subject::Appliance, 60_000)]).unwrap();
        let again = MinuteRow { covers_ms: 1, state: None, ..row(Subject::Appliance, 60_000) };
        write(&mut connection, std::slice::from_ref(&again)).unwrap();
        assert_eq!(read(&connection, &Subject::Appliance, 0, i64::MAX).unwrap(), [again]);
    }

    #[test]
    fn minutes_go_after_thirty_days() {
        let mut connection = connection();
        let day = 86_400_000;
        let rows: Vec<MinuteRow> = (0..40).map(|number| row(Subject::Appliance, number * day)).collect();
        write(&mut connection, &rows).unwrap();
        assert!(!BOUNDED.trim(&connection, 39 * day + 1).unwrap());
        assert_eq!(oldest(&connection, &Subject::Appliance).unwrap(), Some(10 * day));
    }

    #[test]
    fn too_many_rows_shorten_the_history_a_part_at_a_time() {
        let mut connection = connection();
        let rows: Vec<MinuteRow> =
            (0..REMOVED_MAX + 1_500).map(|number| row(Subject::Appliance, number * 60_000)).collect();
        write(&mut connection, &rows).unwrap();
        let small = Bounded { rows_max: 500, ..BOUNDED };
        assert!(small.trim(&connection, 0).unwrap(), "more is left");
        assert!(!small.trim(&connection, 0).unwrap());
        let left = read(&connection, &Subject::Appliance, 0, i64::MAX).unwrap();
        assert_eq!(left.len(), 500);
        assert_eq!(left.last(), rows.last());
    }
}
