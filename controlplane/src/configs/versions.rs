//! The configurations that were in force, in the store: to be listed, compared and brought back.
//!
//! They are kept as they may be shown. A store that takes none costs the history and nothing else.

use dataplane::config::Config;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Version, hidden};
use crate::settings;
use crate::store::{Store, StoreError, now_ms};

/// Versions kept; older ones go.
const KEPT_MAX: i64 = 500;

/// One configuration that was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct KeptVersion {
    /// Its number in the history.
    pub(crate) id: i64,
    /// When it came into force, milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// Who put it into force.
    #[schema(example = "ada")]
    pub(crate) principal: String,
    /// `start`, `reload`, `api` or `rollback`.
    #[schema(example = "api")]
    pub(crate) origin: String,
    /// Its tag, as in the header `ETag`.
    #[schema(example = "9f86d081884c7d65")]
    pub(crate) tag: String,
    /// Its number among the configurations of its process.
    pub(crate) epoch: u64,
    /// Why, in the words of who did it.
    pub(crate) comment: String,
}

/// What is to be kept of a version.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) principal: String,
    pub(crate) origin: &'static str,
    pub(crate) comment: String,
}

/// Keeps a version, unless the newest one is the same; says in the log when it cannot be kept.
pub(crate) async fn keep(store: &Store, version: &Version, note: Note) {
    let text = match settings::show(&hidden(&version.config)) {
        Ok(text) => text,
        Err(failure) => return tell(&failure.text),
    };
    let (tag, epoch) = (version.tag.clone(), i64::try_from(version.epoch).unwrap_or(i64::MAX));
    let kept = store.call(move |connection| insert(connection, &note, &tag, epoch, &text)).await;
    if let Err(error) = kept {
        tell(&error.to_string());
    }
}

fn tell(reason: &str) {
    tracing::error!(event = "config_unkept", reason, "a configuration is in force and not in the history");
}

fn insert(
    connection: &mut Connection,
    note: &Note,
    tag: &str,
    epoch: i64,
    text: &str,
) -> Result<(), StoreError> {
    let step = connection.transaction()?;
    let newest: Option<String> = step
        .query_row("SELECT tag FROM config_versions ORDER BY id DESC LIMIT 1", [], |row| row.get(0))
        .optional()?;
    if newest.as_deref() != Some(tag) {
        step.execute(
            "INSERT INTO config_versions (at_ms, principal, origin, tag, epoch, comment, toml)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![now_ms(), note.principal, note.origin, tag, epoch, note.comment, text],
        )?;
        step.execute(
            "DELETE FROM config_versions WHERE id <= (SELECT max(id) FROM config_versions) - ?1",
            [KEPT_MAX],
        )?;
    }
    Ok(step.commit()?)
}

/// Versions before `before` (an id), newest first, one more than `limit`.
pub(crate) async fn list(
    store: &Store,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<KeptVersion>, StoreError> {
    let count = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    store
        .call(move |connection| {
            let mut statement = connection.prepare(
                "SELECT id, at_ms, principal, origin, tag, epoch, comment FROM config_versions
                 WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            let rows = statement.query_map([before.unwrap_or(i64::MAX), count], kept)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
}

/// One version with its text.
pub(crate) async fn one(store: &Store, id: i64) -> Result<(KeptVersion, String), StoreError> {
    store
        .call(move |connection| {
            let found = connection
                .query_row(
                    "SELECT id, at_ms, principal, origin, tag, epoch, comment, toml FROM config_versions WHERE id = ?1",
                    [id],
                    |row| Ok((kept(row)?, row.get(7)?)),
                )
                .optional()?;
            found.ok_or(StoreError::Missing)
        })
        .await
}

fn kept(row: &Row<'_>) -> Result<KeptVersion, rusqlite::Error> {
    Ok(KeptVersion {
        id: row.get(0)?,
        at_ms: row.get(1)?,
        principal: row.get(2)?,
        origin: row.get(3)?,
        tag: row.get(4)?,
        epoch: row.get::<_, i64>(5)?.unsigned_abs(),
        comment: row.get(6)?,
    })
}

/// Reads a kept text.
///
/// # Errors
/// An older version knew keys that this one does not; the text names them.
pub(crate) fn parse(id: i64, toml: &str) -> Result<Config, String> {
    settings::read_text(&format!("version {id}"), toml).map_err(|failure| failure.text)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dataplane::config::Time;

    use super::*;
    use crate::board::fixture;
    use crate::configs::tag;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    fn version(seconds: u64) -> Version {
        let mut config = fixture::config();
        config.drain.deadline = Time::from_secs(seconds);
        config.pipeline[0].kafka.options.insert("sasl.oauthbearer.client.secret".into(), "canary".into());
        Version { epoch: seconds, tag: tag(&config), config: Arc::new(config) }
    }

    fn note(comment: &str) -> Note {
        Note { principal: "ada".into(), origin: "api", comment: comment.into() }
    }

    #[test]
    fn each_version_is_kept_once_without_its_secrets_and_reads_back() {
        block_on(async {
            let store = Store::in_memory();
            keep(&store, &version(10), note("first")).await;
            keep(&store, &version(10), note("the same")).await;
            keep(&store, &version(20), note("longer")).await;
            let all = list(&store, None, 10).await.unwrap();
            let comments: Vec<&str> = all.iter().map(|kept| kept.comment.as_str()).collect();
            assert_eq!(comments, ["longer", "first"]);
            assert_eq!(list(&store, Some(all[0].id), 10).await.unwrap(), all[1..]);
            let (kept, toml) = one(&store, all[1].id).await.unwrap();
            assert_eq!((kept.epoch, kept.tag), (10, version(10).tag));
            assert!(!toml.contains("canary"), "{toml}");
            let config = parse(kept.id, &toml).unwrap();
            assert_eq!(crate::configs::revealed(&config, &version(20).config).unwrap(), *version(10).config);
            assert_eq!(one(&store, 99).await, Err(StoreError::Missing));
        });
    }

    #[test]
    fn only_so_many_are_kept() {
        block_on(async {
            let store = Store::in_memory();
            for second in 0..KEPT_MAX as u64 + 7 {
                keep(&store, &version(second + 1), note("")).await;
            }
            let all = list(&store, None, 10_000).await.unwrap();
            assert_eq!(all.len(), KEPT_MAX as usize);
            assert_eq!(all[0].epoch, KEPT_MAX as u64 + 7, "the newest are");
        });
    }
}
