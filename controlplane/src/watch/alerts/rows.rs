//! The store's side of alerts: rules of the API, silences, what fires, and what happened.
//!
//! Each function is one short piece of work on the store's connection.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::rule::Rule;
use super::silence::{SILENCES_MAX, Silence};
use super::{Event, Kept, Key};
use crate::store::StoreError;

/// Events that are kept.
const EVENTS_MAX: i64 = 10_000;
/// How long an ended silence is still listed.
const ENDED_KEPT_MS: i64 = 30 * 86_400_000;

fn to_text(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Sql(error.to_string()))
}

fn of_text<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// A rule of the API with the version that a change must name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredRule {
    /// The rule.
    pub(crate) rule: Rule,
    /// Grows with each change.
    pub(crate) version: i64,
    /// Who changed it last.
    pub(crate) changed_by: String,
    /// When.
    pub(crate) changed_ms: i64,
}

/// Every rule of the API, by name. One that a newer version wrote in another form is left out.
pub(crate) fn rules(connection: &Connection) -> Result<Vec<StoredRule>, StoreError> {
    let mut statement =
        connection.prepare("SELECT rule, version, changed_by, changed_ms FROM alert_rules ORDER BY name")?;
    let rows = statement.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, String>(2)?, row.get(3)?))
    })?;
    let mut found = Vec::new();
    for row in rows {
        let (text, version, changed_by, changed_ms) = row?;
        if let Ok(rule) = of_text::<Rule>(&text) {
            found.push(StoredRule { rule, version, changed_by, changed_ms });
        }
    }
    Ok(found)
}

/// Makes or replaces a rule of the API.
///
/// # Errors
/// `Refused` when `version` is given and is not that of the rule.
pub(crate) fn put_rule(
    connection: &mut Connection,
    rule: &Rule,
    version: Option<i64>,
    by: &str,
    now_ms: i64,
) -> Result<StoredRule, StoreError> {
    let step = connection.transaction()?;
    let before: Option<i64> = step
        .query_row("SELECT version FROM alert_rules WHERE name = ?1", [&rule.name], |row| row.get(0))
        .optional()?;
    if let Some(version) = version
        && before.unwrap_or(0) != version
    {
        return Err(StoreError::Refused(format!(
            "the rule has version {}, not {version}: it was changed meanwhile; read it again",
            before.unwrap_or(0)
        )));
    }
    let stored = StoredRule {
        rule: rule.clone(),
        version: before.unwrap_or(0) + 1,
        changed_by: by.to_owned(),
        changed_ms: now_ms,
    };
    step.execute(
        "INSERT OR REPLACE INTO alert_rules (name, rule, version, changed_ms, changed_by) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![rule.name, to_text(rule)?, stored.version, now_ms, by],
    )?;
    step.commit()?;
    Ok(stored)
}

/// Removes a rule of the API; one of the file or that ships holds again.
///
/// # Errors
/// `Missing` when there is none of this name.
pub(crate) fn delete_rule(connection: &Connection, name: &str) -> Result<(), StoreError> {
    match connection.execute("DELETE FROM alert_rules WHERE name = ?1", [name])? {
        0 => Err(StoreError::Missing),
        _ => Ok(()),
    }
}

/// Silences that have not ended, and those that ended within a month; newest first.
pub(crate) fn silences(connection: &Connection) -> Result<Vec<Silence>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT id, matchers, starts_ms, ends_ms, created_by, why FROM alert_silences ORDER BY id DESC LIMIT 1000",
    )?;
    let rows = statement.query_map([], |row| {
        let silence = Silence {
            id: row.get(0)?,
            matchers: Vec::new(),
            starts_ms: row.get(2)?,
            ends_ms: row.get(3)?,
            created_by: row.get(4)?,
            why: row.get(5)?,
        };
        Ok((silence, row.get::<_, String>(1)?))
    })?;
    let mut found = Vec::new();
    for row in rows {
        let (silence, matchers) = row?;
        found.push(Silence { matchers: of_text(&matchers)?, ..silence });
    }
    Ok(found)
}

/// Makes a silence; returns it with its number.
///
/// # Errors
/// `Refused` when there are too many.
pub(crate) fn add_silence(
    connection: &Connection,
    silence: &Silence,
    now_ms: i64,
) -> Result<Silence, StoreError> {
    connection.execute("DELETE FROM alert_silences WHERE ends_ms < ?1", [now_ms - ENDED_KEPT_MS])?;
    let running: i64 =
        connection.query_row("SELECT count(*) FROM alert_silences WHERE ends_ms > ?1", [now_ms], |row| {
            row.get(0)
        })?;
    if running >= SILENCES_MAX as i64 {
        return Err(StoreError::Refused(format!("there are {SILENCES_MAX} silences already; end one first")));
    }
    connection.execute(
        "INSERT INTO alert_silences (matchers, starts_ms, ends_ms, created_by, why) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![to_text(&silence.matchers)?, silence.starts_ms, silence.ends_ms, silence.created_by, silence.why],
    )?;
    Ok(Silence { id: connection.last_insert_rowid(), ..silence.clone() })
}

/// Ends a silence now; one that has ended stays as it is.
///
/// # Errors
/// `Missing` when there is none of this number.
pub(crate) fn end_silence(connection: &Connection, id: i64, now_ms: i64) -> Result<(), StoreError> {
    match connection
        .execute("UPDATE alert_silences SET ends_ms = min(ends_ms, ?2) WHERE id = ?1", params![id, now_ms])?
    {
        0 => Err(StoreError::Missing),
        _ => Ok(()),
    }
}

/// Replaces what fires, and writes down what happened.
pub(crate) fn keep(
    connection: &mut Connection,
    active: &[(Key, Kept)],
    events: &[Event],
) -> Result<(), StoreError> {
    let step = connection.transaction()?;
    step.execute("DELETE FROM alert_active", [])?;
    for (key, kept) in active {
        step.prepare("INSERT INTO alert_active (rule, subject, track) VALUES (?1, ?2, ?3)")?
            .execute(params![key.rule, key.subject, to_text(kept)?])?;
    }
    for event in events {
        step.prepare(
            "INSERT INTO alert_events (at_ms, rule, subject, severity, event, value, text) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            event.at_ms,
            event.key.rule,
            event.key.subject,
            event.severity.as_str(),
            event.event,
            event.value,
            event.text
        ])?;
    }
    step.execute(
        "DELETE FROM alert_events WHERE id <= (SELECT max(id) FROM alert_events) - ?1",
        [EVENTS_MAX],
    )?;
    Ok(step.commit()?)
}

/// What fired when it was last kept.
pub(crate) fn active(connection: &Connection) -> Result<Vec<(Key, Kept)>, StoreError> {
    let mut statement = connection.prepare("SELECT rule, subject, track FROM alert_active")?;
    let rows = statement.query_map([], |row| {
        Ok((Key { rule: row.get(0)?, subject: row.get(1)? }, row.get::<_, String>(2)?))
    })?;
    let mut found = Vec::new();
    for row in rows {
        let (key, text) = row?;
        found.push((key, of_text(&text)?));
    }
    Ok(found)
}

/// An event with its number.
pub(crate) type Numbered = (i64, Event);

/// Events before a number, newest first.
pub(crate) fn events(
    connection: &Connection,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<Numbered>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT id, at_ms, rule, subject, severity, event, value, text FROM alert_events \
         WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    let rows = statement.query_map(params![before.unwrap_or(i64::MAX), limit as i64], |row| {
        let severity: String = row.get(4)?;
        let event = Event {
            at_ms: row.get(1)?,
            key: Key { rule: row.get(2)?, subject: row.get(3)? },
            severity: if severity == "page" { super::Severity::Page } else { super::Severity::Ticket },
            event: row.get(5)?,
            value: row.get(6)?,
            text: row.get(7)?,
        };
        Ok((row.get(0)?, event))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::super::rule;
    use super::super::silence::Matcher;
    use super::*;

    fn connection() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../store/migrations/010_watch.sql")).unwrap();
        connection
    }

    #[test]
    fn a_rule_is_changed_only_by_who_has_seen_it() {
        let mut connection = connection();
        let rule = rule::defaults().remove(0);
        let first = put_rule(&mut connection, &rule, Some(0), "ada", 1).unwrap();
        assert_eq!(first.version, 1);
        let refused = put_rule(&mut connection, &rule, Some(0), "bob", 2).unwrap_err();
        assert!(refused.to_string().contains("version 1"), "{refused}");
        let changed = Rule { above: Some(7.0), ..rule.clone() };
        assert_eq!(put_rule(&mut connection, &changed, Some(1), "bob", 3).unwrap().version, 2);
        assert_eq!(put_rule(&mut connection, &changed, None, "eve", 4).unwrap().version, 3);
        let stored = rules(&connection).unwrap();
        assert_eq!((stored.len(), &stored[0].rule, stored[0].changed_by.as_str()), (1, &changed, "eve"));
        delete_rule(&connection, &rule.name).unwrap();
        assert_eq!(delete_rule(&connection, &rule.name), Err(StoreError::Missing));
    }

    #[test]
    fn every_rule_that_ships_survives_the_store() {
        let mut connection = connection();
        for rule in rule::defaults() {
            put_rule(&mut connection, &rule, None, "ada", 1).unwrap();
        }
        let mut stored: Vec<Rule> =
            rules(&connection).unwrap().into_iter().map(|stored| stored.rule).collect();
        let mut shipped = rule::defaults();
        stored.sort_by(|one, two| one.name.cmp(&two.name));
        shipped.sort_by(|one, two| one.name.cmp(&two.name));
        assert_eq!(stored, shipped);
    }

    fn silence(ends_ms: i64) -> Silence {
        let matchers = vec![Matcher { label: "rule".to_owned(), value: "x*".to_owned() }];
        Silence { id: 0, matchers, starts_ms: 0, ends_ms, created_by: "ada".to_owned(), why: "w".to_owned() }
    }

    #[test]
    fn silences_end_and_are_bounded() {
        let connection = connection();
        let one = add_silence(&connection, &silence(5_000), 1_000).unwrap();
        assert_eq!(silences(&connection).unwrap(), std::slice::from_ref(&one));
        end_silence(&connection, one.id, 2_000).unwrap();
        end_silence(&connection, one.id, 3_000).unwrap();
        assert_eq!(silences(&connection).unwrap()[0].ends_ms, 2_000);
        assert_eq!(end_silence(&connection, 99, 2_000), Err(StoreError::Missing));
        for _ in 0..SILENCES_MAX {
            add_silence(&connection, &silence(5_000), 3_000).unwrap();
        }
        assert!(matches!(add_silence(&connection, &silence(5_000), 3_000), Err(StoreError::Refused(_))));
        add_silence(&connection, &silence(i64::MAX), 5_000 + ENDED_KEPT_MS).unwrap();
        assert_eq!(silences(&connection).unwrap().len(), SILENCES_MAX + 1, "the ended one went");
    }

    #[test]
    fn what_fires_and_what_happened_come_back() {
        let mut connection = connection();
        let key = Key { rule: "deep".to_owned(), subject: "orders".to_owned() };
        let kept = Kept { since_ms: 5, told_ms: Some(6), acknowledged: None };
        let event = |at_ms| Event {
            at_ms,
            key: key.clone(),
            severity: Severity::Page,
            event: "fired".to_owned(),
            value: Some(7.5),
            text: "t".to_owned(),
        };
        keep(&mut connection, &[(key.clone(), kept.clone())], &[event(1), event(2)]).unwrap();
        keep(&mut connection, &[(key.clone(), kept.clone())], &[event(3)]).unwrap();
        assert_eq!(active(&connection).unwrap(), [(key.clone(), kept)]);
        let page = events(&connection, None, 2).unwrap();
        assert_eq!(page.iter().map(|(_, event)| event.at_ms).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(events(&connection, Some(page[1].0), 2).unwrap()[0].1, event(1));
    }
}
