//! The store's side of latency columns: a row for each pipeline and minute.
//!
//! Each function is one short piece of work on the store's connection. A row that cannot be decoded is left out, as
//! a minute that was never written.

use rusqlite::{Connection, params};

use super::buckets::{self, Columns};
use super::{MinuteColumns, Of};
use crate::store::StoreError;
use crate::watch::rows::Bounded;

/// Rows that are kept at most, about 600 bytes each: 30 days of 13 pipelines.
pub(crate) const BOUNDED: Bounded = Bounded { table: "latency_minutes", rows_max: 600_000 };
/// Minutes that one answer holds.
pub(crate) const MINUTES_MAX: usize = 1_440;

fn name(of: &Of) -> &str {
    of.as_deref().unwrap_or_default()
}

/// Writes the columns of a minute.
pub(crate) fn write(connection: &mut Connection, minutes: &[MinuteColumns]) -> Result<(), StoreError> {
    let step = connection.transaction()?;
    {
        let mut insert = step.prepare(
            "INSERT OR REPLACE INTO latency_minutes (pipeline, minute_ms, columns) VALUES (?1, ?2, ?3)",
        )?;
        for minute in minutes {
            insert.execute(params![name(&minute.of), minute.minute_ms, buckets::encode(&minute.columns)])?;
        }
    }
    Ok(step.commit()?)
}

/// Columns that begin within a span, oldest first, at most [`MINUTES_MAX`].
pub(crate) fn read(
    connection: &Connection,
    of: &Of,
    from_ms: i64,
    to_ms: i64,
) -> Result<Vec<(i64, Columns)>, StoreError> {
    let mut statement = connection.prepare(&format!(
        "SELECT minute_ms, columns FROM latency_minutes \
         WHERE pipeline = ?1 AND minute_ms >= ?2 AND minute_ms < ?3 ORDER BY minute_ms LIMIT {MINUTES_MAX}"
    ))?;
    let rows = statement.query_map(params![name(of), from_ms, to_ms], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
    })?;
    let mut found = Vec::new();
    for row in rows {
        let (minute_ms, bytes) = row?;
        found.extend(buckets::decode(&bytes).map(|columns| (minute_ms, columns)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::buckets::StageColumn;
    use super::*;

    fn connection() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../store/migrations/010_watch.sql")).unwrap();
        connection
    }

    fn minute(of: Of, minute_ms: i64) -> MinuteColumns {
        let mut columns: Columns = std::array::from_fn(|_| StageColumn::default());
        columns[3].counts = vec![(4, minute_ms as u64), (90, 2)];
        MinuteColumns { of, minute_ms, columns }
    }

    #[test]
    fn columns_come_back_by_pipeline_and_span() {
        let mut connection = connection();
        let orders = Some("orders".to_owned());
        let written = [minute(orders.clone(), 60_000), minute(orders.clone(), 120_000), minute(None, 60_000)];
        write(&mut connection, &written).unwrap();
        let read_back = read(&connection, &orders, 0, 120_000).unwrap();
        assert_eq!(read_back, [(60_000, written[0].columns.clone())]);
        assert_eq!(read(&connection, &None, 0, i64::MAX).unwrap()[0].1, written[2].columns);
        assert!(!BOUNDED.trim(&connection, 0).unwrap());
    }

    #[test]
    fn a_row_that_was_damaged_is_left_out() {
        let mut connection = connection();
        write(&mut connection, &[minute(None, 60_000), minute(None, 120_000)]).unwrap();
        connection.execute("UPDATE latency_minutes SET columns = x'ff' WHERE minute_ms = 60000", []).unwrap();
        let left: Vec<i64> = read(&connection, &None, 0, i64::MAX).unwrap().iter().map(|row| row.0).collect();
        assert_eq!(left, [120_000]);
    }
}
