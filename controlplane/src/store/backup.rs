//! Backups of the store: taken while it is used, kept by number, brought back table by table.
//!
//! A backup holds no secret that could be used: passwords as Argon2id, tokens and keys as SHA-256, and the key
//! that signs tokens lies in a file of its own. A restore is one transaction. It never rewrites the audit log, ends
//! every session, and what was revoked since the backup stays revoked.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rusqlite::{Connection, Transaction};
use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;
use utoipa::ToSchema;

use super::open::{self, APPLICATION_ID};
use super::{Store, StoreError, migrations, now_ms};

/// Folder of the backups within the store's.
const FOLDER: &str = "backups";
/// Backups kept at most, whoever asked for them.
const BACKUPS_MAX: usize = 64;

/// Tables that a restore does not touch: the shape, and what belongs to this moment.
const KEPT: [&str; 4] = ["migrations", "sessions", "refresh_tokens", "idempotency"];

/// One backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Backup {
    /// Its name, in the folder `backups` of the store.
    #[schema(example = "millrace-20261126t140000z.db")]
    pub(crate) name: String,
    /// Size of the file.
    pub(crate) bytes: u64,
    /// When it was taken, milliseconds since 1970.
    pub(crate) created_ms: i64,
}

/// What a restore does, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Restore {
    /// The backup.
    pub(crate) name: String,
    /// Whether it was only tried: nothing has changed.
    pub(crate) dry_run: bool,
    /// The backup that was taken of what was there before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) safety_backup: Option<String>,
    /// Steps that the backup needed to have today's shape.
    pub(crate) migrated: Vec<String>,
    /// Each table that is replaced or added to.
    pub(crate) tables: Vec<Table>,
}

/// One table of a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Table {
    /// Its name.
    pub(crate) name: String,
    /// Rows before.
    pub(crate) rows_before: u64,
    /// Rows after.
    pub(crate) rows_after: u64,
}

impl Store {
    /// Takes a backup of this moment. Writers do not wait for it.
    ///
    /// # Errors
    /// The store lives in memory, the disk is full, or there are too many backups.
    pub(crate) async fn backup(&self) -> Result<Backup, StoreError> {
        let folder = self.own_folder()?;
        let blocking = tokio::task::spawn_blocking(move || take(&folder));
        blocking.await.map_err(|_| StoreError::Sql("the backup panicked".to_owned()))?
    }

    /// All backups, newest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(crate) async fn backups(&self) -> Result<Vec<Backup>, StoreError> {
        let folder = self.own_folder()?;
        let blocking = tokio::task::spawn_blocking(move || list(&folder.join(FOLDER)));
        blocking.await.map_err(|_| StoreError::Sql("the listing panicked".to_owned()))?
    }

    /// Removes all backups but the newest `keep`; returns how many went.
    ///
    /// # Errors
    /// The folder cannot be read or written.
    pub(crate) async fn keep_backups(&self, keep: usize) -> Result<usize, StoreError> {
        let folder = self.own_folder()?.join(FOLDER);
        let old: Vec<Backup> = self.backups().await?.into_iter().skip(keep.max(1)).collect();
        for backup in &old {
            fs::remove_file(folder.join(&backup.name)).map_err(|error| told(&folder, &error))?;
        }
        Ok(old.len())
    }

    /// Brings a backup back, or says what that would do.
    ///
    /// # Errors
    /// There is none of this name, it is damaged, of another program or of a newer version.
    pub(crate) async fn restore(&self, name: &str, dry_run: bool) -> Result<Restore, StoreError> {
        let folder = self.own_folder()?;
        if !is_name(name) {
            return Err(StoreError::Missing);
        }
        let file = folder.join(FOLDER).join(name);
        let scratch = folder.join(FOLDER).join(format!(".restore-{}", now_ms()));
        let ready = scratch.clone();
        let blocking = tokio::task::spawn_blocking(move || make_ready(&file, &ready));
        let migrated = blocking.await.map_err(|_| StoreError::Sql("the check panicked".to_owned()))?;
        let _scratch = Scratch(scratch.clone());
        let migrated = migrated?;
        let safety_backup = if dry_run { None } else { Some(self.backup().await?.name) };
        let tables = self.call(move |connection| bring_back(connection, &scratch, dry_run)).await?;
        if !dry_run {
            self.inner.restored.fetch_add(1, Ordering::AcqRel);
        }
        Ok(Restore { name: name.to_owned(), dry_run, safety_backup, migrated, tables })
    }

    fn own_folder(&self) -> Result<PathBuf, StoreError> {
        let reason =
            if self.inner.reason.is_empty() { "it lives in memory only" } else { &self.inner.reason };
        self.folder().map(Path::to_owned).ok_or_else(|| StoreError::Unavailable(reason.to_owned()))
    }
}

/// Removes a file that was needed for a while.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        for ending in ["", "-wal", "-shm", "-journal"] {
            let mut name = self.0.as_os_str().to_owned();
            name.push(ending);
            let _never_made = fs::remove_file(name);
        }
    }
}

fn told(place: &Path, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        io::ErrorKind::NotFound => StoreError::Missing,
        _ => StoreError::Unavailable(format!("{}: {error}", place.display())),
    }
}

/// `millrace-`, then letters, digits and dashes, then `.db`: no name leads out of the folder.
fn is_name(name: &str) -> bool {
    let middle = name.strip_prefix("millrace-").and_then(|rest| rest.strip_suffix(".db"));
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    middle.is_some_and(|middle| (1..=64).contains(&middle.len()) && middle.chars().all(legal))
}

fn take(folder: &Path) -> Result<Backup, StoreError> {
    let place = folder.join(FOLDER);
    fs::create_dir_all(&place).map_err(|error| told(&place, &error))?;
    if list(&place)?.len() >= BACKUPS_MAX {
        let text = format!("there are {BACKUPS_MAX} backups in {}; remove some", place.display());
        return Err(StoreError::Refused(text));
    }
    let stamp = OffsetDateTime::now_utc()
        .format(format_description!("[year][month][day]t[hour][minute][second]-[subsecond digits:3]z"))
        .map_err(|error| StoreError::Sql(error.to_string()))?;
    let name = format!("millrace-{stamp}.db");
    let part = Scratch(place.join(format!(".{name}.part")));
    // Made by its owner's hand first, so that it is never readable to others, not even while it is written.
    fs::write(&part.0, "").map_err(|error| told(&place, &error))?;
    open::restrict(&part.0);
    let source = open::open_to_read(&folder.join(open::FILE))?;
    source.execute("VACUUM INTO ?1", [part.0.to_string_lossy()])?;
    open::restrict(&part.0);
    let written = fs::File::open(&part.0).and_then(|file| file.sync_all());
    let moved = written.and_then(|()| fs::rename(&part.0, place.join(&name)));
    moved.map_err(|error| told(&place, &error))?;
    list(&place)?.into_iter().find(|backup| backup.name == name).ok_or(StoreError::Missing)
}

fn list(place: &Path) -> Result<Vec<Backup>, StoreError> {
    let entries = match fs::read_dir(place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(told(place, &error)),
    };
    let mut backups: Vec<Backup> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok().filter(|name| is_name(name))?;
            let about = entry.metadata().ok()?;
            let age = about.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            Some(Backup { name, bytes: about.len(), created_ms: age.as_millis() as i64 })
        })
        .collect();
    // Names carry the time.
    backups.sort_by(|a, b| b.name.cmp(&a.name));
    Ok(backups)
}

/// Copies a backup, checks it whole and brings the copy to today's shape; returns the steps that it needed.
fn make_ready(file: &Path, scratch: &Path) -> Result<Vec<String>, StoreError> {
    fs::copy(file, scratch).map_err(|error| told(file, &error))?;
    open::restrict(scratch);
    let refused = |error: StoreError| match error {
        StoreError::Corrupt(text) => StoreError::Refused(format!("the backup is damaged: {text}")),
        other => other,
    };
    let mut copy = Connection::open(scratch)?;
    open::check(&copy).map_err(refused)?;
    let id: i32 = copy.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if id != APPLICATION_ID {
        return Err(StoreError::Refused("the file is no backup of Millrace".to_owned()));
    }
    Ok(migrations::apply(&mut copy).map_err(refused)?.into_iter().map(str::to_owned).collect())
}

fn bring_back(connection: &mut Connection, scratch: &Path, dry_run: bool) -> Result<Vec<Table>, StoreError> {
    connection.execute("ATTACH DATABASE ?1 AS backup", [scratch.to_string_lossy()])?;
    let brought = replace(connection, dry_run);
    // What is still attached would be there for the next restore.
    connection.execute_batch("DETACH DATABASE backup")?;
    brought
}

fn replace(connection: &mut Connection, dry_run: bool) -> Result<Vec<Table>, StoreError> {
    let step = connection.transaction()?;
    step.execute_batch(
        "PRAGMA defer_foreign_keys = true;
         CREATE TEMP TABLE revoked_since AS SELECT id, revoked_ms FROM main.api_keys WHERE revoked_ms IS NOT NULL;",
    )?;
    let mut tables = Vec::new();
    for name in names(&step)?.into_iter().filter(|name| !KEPT.contains(&name.as_str())) {
        let rows_before = rows(&step, &name)?;
        if name == "audit" {
            add_audit(&step)?;
        } else {
            let columns = columns(&step, &name)?;
            step.execute_batch(&format!(
                "DELETE FROM main.\"{name}\"; INSERT INTO main.\"{name}\" ({columns}) SELECT {columns} FROM backup.\"{name}\";"
            ))?;
        }
        tables.push(Table { rows_before, rows_after: rows(&step, &name)?, name });
    }
    step.execute_batch(
        "UPDATE main.api_keys SET revoked_ms = (SELECT r.revoked_ms FROM temp.revoked_since r WHERE r.id = api_keys.id)
           WHERE revoked_ms IS NULL AND id IN (SELECT id FROM temp.revoked_since);
         DELETE FROM main.sessions;
         DROP TABLE temp.revoked_since;",
    )?;
    if dry_run {
        step.rollback()?;
    } else {
        step.commit()?;
    }
    Ok(tables)
}

/// Entries of the backup that are not there any more, as after a damaged file was moved aside.
fn add_audit(step: &Transaction<'_>) -> Result<(), StoreError> {
    let columns = "at_ms, principal, role, address, operation, target, status, code, before, after";
    step.execute_batch(&format!(
        "INSERT INTO main.audit ({columns}) SELECT {columns} FROM backup.audit AS old WHERE NOT EXISTS (
             SELECT 1 FROM main.audit AS kept WHERE kept.at_ms = old.at_ms AND kept.principal = old.principal
             AND kept.operation = old.operation AND kept.target = old.target) ORDER BY old.id"
    ))?;
    Ok(())
}

fn names(step: &Transaction<'_>) -> Result<Vec<String>, StoreError> {
    let mut statement = step.prepare(
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
         AND name IN (SELECT name FROM backup.sqlite_schema WHERE type = 'table') ORDER BY name",
    )?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

fn columns(step: &Transaction<'_>, table: &str) -> Result<String, StoreError> {
    let mut statement = step.prepare("SELECT name FROM pragma_table_info(?1, 'main')")?;
    let names: Vec<String> = statement
        .query_map([table], |row| row.get::<_, String>(0))?
        .map(|name| name.map(|name| format!("\"{name}\"")))
        .collect::<Result<_, _>>()?;
    Ok(names.join(", "))
}

fn rows(step: &Transaction<'_>, table: &str) -> Result<u64, StoreError> {
    let count: i64 =
        step.query_row(&format!("SELECT count(*) FROM main.\"{table}\""), [], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    async fn run(store: &Store, sql: &'static str) {
        store.call(move |connection| Ok(connection.execute_batch(sql)?)).await.unwrap();
    }

    async fn text(store: &Store, sql: &'static str) -> String {
        store.call(move |connection| Ok(connection.query_row(sql, [], |row| row.get(0))?)).await.unwrap()
    }

    const KEY: &str = "INSERT INTO api_keys (id, name, prefix, hash, role, created_by, created_ms) \
        VALUES ('k1', 'ci', 'mk_abcd', x'00', 'viewer', 'ada', 1)";
    const USERS: &str = "SELECT coalesce(group_concat(name), '') FROM users";

    fn user(name: &str) -> String {
        format!(
            "INSERT INTO users (name, password, role, created_ms, changed_ms) VALUES ('{name}', '', 'admin', 0, 0);"
        )
    }

    async fn add(store: &Store, name: &str) {
        let sql = user(name);
        store.call(move |connection| Ok(connection.execute_batch(&sql)?)).await.unwrap();
    }

    #[test]
    fn a_restore_brings_rows_back_and_a_dry_run_only_says_so() {
        let folder = tempfile::tempdir().unwrap();
        block_on(async {
            let store = Store::open(folder.path());
            add(&store, "ada").await;
            let backup = store.backup().await.unwrap();
            assert!(backup.bytes > 0);
            add(&store, "bob").await;
            let tried = store.restore(&backup.name, true).await.unwrap();
            let users = tried.tables.iter().find(|table| table.name == "users").unwrap();
            assert_eq!((users.rows_before, users.rows_after), (2, 1));
            assert_eq!(text(&store, USERS).await, "ada,bob");
            assert_eq!((store.restored(), tried.safety_backup), (0, None));
            let done = store.restore(&backup.name, false).await.unwrap();
            assert_eq!(text(&store, USERS).await, "ada");
            assert_eq!(store.restored(), 1);
            // And back again from the backup that the restore took first.
            store.restore(&done.safety_backup.unwrap(), false).await.unwrap();
            assert_eq!(text(&store, USERS).await, "ada,bob");
            let left: Vec<_> =
                fs::read_dir(folder.path().join(FOLDER)).unwrap().map(|e| e.unwrap().file_name()).collect();
            assert!(left.iter().all(|name| is_name(name.to_str().unwrap())), "{left:?}");
        });
    }

    #[test]
    fn a_restore_revives_nothing_and_forgets_no_audit() {
        let folder = tempfile::tempdir().unwrap();
        block_on(async {
            let store = Store::open(folder.path());
            let audit = "INSERT INTO audit (at_ms, principal, address, operation, target, status) VALUES ";
            add(&store, "ada").await;
            run(&store, KEY).await;
            run(&store, "INSERT INTO sessions (id, user, address, created_ms, used_ms, expires_ms) VALUES ('s', 'ada', '', 0, 0, 9)").await;
            let first = format!("{audit} (1, 'ada', '', 'users_create', '', 201)");
            store.call(move |connection| Ok(connection.execute_batch(&first)?)).await.unwrap();
            let backup = store.backup().await.unwrap();
            run(&store, "UPDATE api_keys SET revoked_ms = 7").await;
            let second = format!("{audit} (2, 'ada', '', 'keys_revoke', '', 204)");
            store.call(move |connection| Ok(connection.execute_batch(&second)?)).await.unwrap();
            store.restore(&backup.name, false).await.unwrap();
            assert_eq!(text(&store, "SELECT CAST(revoked_ms AS TEXT) FROM api_keys").await, "7");
            assert_eq!(text(&store, "SELECT CAST(count(*) AS TEXT) FROM sessions").await, "0");
            assert_eq!(
                text(&store, "SELECT group_concat(operation) FROM (SELECT operation FROM audit ORDER BY id)")
                    .await,
                "users_create,keys_revoke"
            );
        });
    }

    #[test]
    fn a_fresh_store_gets_the_audit_log_of_the_backup() {
        let folder = tempfile::tempdir().unwrap();
        block_on(async {
            let store = Store::open(folder.path());
            run(&store, "INSERT INTO audit (at_ms, principal, address, operation, target, status) VALUES (1, 'a', '', 'o', '', 200)").await;
            let backup = store.backup().await.unwrap();
            drop(store);
            // Its thread closes the file, which removes the log of writes.
            let log = folder.path().join("millrace.db-wal");
            while log.exists() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            fs::write(folder.path().join(open::FILE), "damaged beyond repair, for good and all".repeat(200))
                .unwrap();
            let store = Store::open(folder.path());
            assert_eq!(text(&store, "SELECT CAST(count(*) AS TEXT) FROM audit").await, "0");
            store.restore(&backup.name, false).await.unwrap();
            assert_eq!(text(&store, "SELECT CAST(count(*) AS TEXT) FROM audit").await, "1");
        });
    }

    #[test]
    fn what_is_no_backup_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        block_on(async {
            let store = Store::open(folder.path());
            add(&store, "ada").await;
            let backup = store.backup().await.unwrap();
            let place = folder.path().join(FOLDER);
            for name in ["../millrace.db", "millrace-.db", "millrace-a/../b.db", "millrace-none.db", "x", ""]
            {
                assert_eq!(store.restore(name, false).await, Err(StoreError::Missing), "{name}");
            }
            let bytes = fs::read(place.join(&backup.name)).unwrap();
            let cases: [(&str, Vec<u8>, &str); 3] = [
                ("millrace-garbage.db", b"garbage ".repeat(1000), "damaged"),
                ("millrace-half.db", bytes[..bytes.len() / 2].to_vec(), "damaged"),
                ("millrace-empty.db", Vec::new(), "no backup"),
            ];
            for (name, bytes, reason) in cases {
                fs::write(place.join(name), bytes).unwrap();
                let error = store.restore(name, false).await.unwrap_err();
                assert!(
                    matches!(&error, StoreError::Refused(text) if text.contains(reason)),
                    "{name}: {error:?}"
                );
            }
            let newer = place.join("millrace-newer.db");
            fs::copy(place.join(&backup.name), &newer).unwrap();
            Connection::open(&newer)
                .unwrap()
                .execute("INSERT INTO migrations VALUES ('999_x', 0)", [])
                .unwrap();
            let error = store.restore("millrace-newer.db", false).await.unwrap_err();
            assert!(error.to_string().contains("newer Millrace"), "{error}");
            assert_eq!(text(&store, USERS).await, "ada", "a refused restore changes nothing");
        });
    }

    #[test]
    fn backups_are_for_the_owner_and_only_the_newest_stay() {
        let folder = tempfile::tempdir().unwrap();
        block_on(async {
            let store = Store::open(folder.path());
            for _ in 0..4 {
                store.backup().await.unwrap();
            }
            let all = store.backups().await.unwrap();
            let mode =
                fs::metadata(folder.path().join(FOLDER).join(&all[0].name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert_eq!(store.keep_backups(2).await, Ok(2));
            assert_eq!(store.backups().await.unwrap(), all[..2]);
        });
    }

    #[test]
    fn a_store_in_memory_has_no_backups() {
        let error = block_on(Store::in_memory().backup()).unwrap_err();
        assert!(error.to_string().contains("memory"), "{error}");
    }
}
