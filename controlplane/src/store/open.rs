//! Opening the store: its folder, its file, whether it is sound; a damaged one is moved aside.
//!
//! Nothing here stops the appliance. What cannot be opened is a value, and the caller goes on without.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{StoreError, migrations};

/// Name of the file in the store's folder.
pub(super) const FILE: &str = "millrace.db";
/// Marks a file as Millrace's store: "MILL". Source: `PRAGMA application_id`.
pub(super) const APPLICATION_ID: i32 = 0x4d49_4c4c;
/// Time that a statement waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest store: 262,144 pages of 4 KiB, 1 GiB. Beyond it, calls are refused as on a full disk.
const PAGES_MAX: u32 = 262_144;

/// The folder used when the configuration names none: systemd's, the system's, or the user's.
pub(crate) fn default_folder(variable: impl Fn(&str) -> Option<String>, is_root: bool) -> PathBuf {
    // STATE_DIRECTORY may list several, separated by colons. Source: systemd.exec(5).
    if let Some(folder) =
        variable("STATE_DIRECTORY").and_then(|list| list.split(':').next().map(str::to_owned))
        && !folder.is_empty()
    {
        return PathBuf::from(folder);
    }
    let home =
        variable("XDG_STATE_HOME").filter(|folder| folder.starts_with('/')).map(PathBuf::from).or_else(
            || Some(PathBuf::from(variable("HOME").filter(|home| !home.is_empty())?).join(".local/state")),
        );
    match home {
        Some(home) if !is_root => home.join("millrace"),
        _ => PathBuf::from("/var/lib/millrace"),
    }
}

/// Opens or makes the store in a folder. Returns the connection and, if a damaged file was moved aside, where to.
///
/// # Errors
/// The folder cannot be used, the disk is full, or the file was written by a newer version.
pub(super) fn open(folder: &Path) -> Result<(Connection, Option<PathBuf>), StoreError> {
    let unusable = |error: io::Error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        _ => StoreError::Unavailable(format!("{}: {error}", folder.display())),
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
    let file = folder.join(FILE);
    match open_file(&file) {
        Err(StoreError::Corrupt(text)) => {
            let aside = move_aside(&file).map_err(unusable)?;
            tracing::error!(
                event = "store_corrupt",
                file = %file.display(),
                moved_to = %aside.display(),
                reason = text,
                "the store is damaged and was moved aside; a fresh one is made: users, keys and history are gone; \
                 `millrace restore` brings a backup back"
            );
            open_file(&file).map(|connection| (connection, Some(aside)))
        }
        opened => opened.map(|connection| (connection, None)),
    }
}

fn open_file(file: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(file)?;
    restrict(file);
    prepare(connection)
}

/// A store that lives as long as the process.
///
/// # Errors
/// A migration is refused, which is a bug.
pub(super) fn in_memory() -> Result<Connection, StoreError> {
    prepare(Connection::open_in_memory()?)
}

fn prepare(mut connection: Connection) -> Result<Connection, StoreError> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    check(&connection)?;
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let empty = !connection.table_exists(None, "migrations")?;
    if id != APPLICATION_ID && !(id == 0 && empty) {
        return Err(StoreError::Refused(
            "the file is a database of another program; name another api.store".to_owned(),
        ));
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    // Readers and the writer do not wait for each other; a power cut may cost the last commits, never the file.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "max_page_count", PAGES_MAX)?;
    connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
    migrations::apply(&mut connection)?;
    Ok(connection)
}

/// Reads every page's structure. 100 MB take under a second.
pub(super) fn check(connection: &Connection) -> Result<(), StoreError> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(StoreError::Corrupt(verdict)) }
}

/// Opens another file for reading only.
pub(super) fn open_to_read(file: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Only the owner reads the store. A file system without modes leaves it as it is.
pub(super) fn restrict(file: &Path) {
    let _unsupported = fs::set_permissions(file, fs::Permissions::from_mode(0o600));
}

/// Renames a damaged file and what belongs to it.
fn move_aside(file: &Path) -> io::Result<PathBuf> {
    let with = |ending: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let stamp = super::now_ms();
    let aside = with(&format!(".corrupt-{stamp}"));
    fs::rename(file, &aside)?;
    for ending in ["-wal", "-shm"] {
        let part = with(ending);
        if part.exists() {
            fs::rename(part, with(&format!(".corrupt-{stamp}{ending}")))?;
        }
    }
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_the_first_that_somebody_meant() {
        let with = |set: &'static [(&str, &str)], root| {
            default_folder(
                move |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()),
                root,
            )
            .display()
            .to_string()
        };
        assert_eq!(with(&[("STATE_DIRECTORY", "/var/lib/a:/b")], true), "/var/lib/a");
        assert_eq!(with(&[("XDG_STATE_HOME", "/s"), ("HOME", "/u")], false), "/s/millrace");
        assert_eq!(with(&[("HOME", "/u")], false), "/u/.local/state/millrace");
        assert_eq!(with(&[("HOME", "/u")], true), "/var/lib/millrace");
        assert_eq!(with(&[], false), "/var/lib/millrace");
    }

    #[test]
    fn a_fresh_store_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a/b");
        let (connection, moved) = open(&place).unwrap();
        assert_eq!(moved, None);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&place), mode(&place.join(FILE))), (0o700, 0o600));
        let journal: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(journal, "wal");
    }

    #[test]
    fn a_damaged_file_is_moved_aside_and_a_fresh_one_made() {
        for damage in ["whole", "page"] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join(FILE);
            drop(open(folder.path()).unwrap());
            let mut bytes = fs::read(&file).unwrap();
            if damage == "whole" {
                bytes = b"not a database at all, by far".repeat(200);
            } else {
                let middle = (bytes.len() / 2) & !4095;
                bytes[middle..middle + 4096].fill(0xff);
            }
            fs::write(&file, &bytes).unwrap();
            let (connection, moved) = open(folder.path()).unwrap();
            let moved = moved.unwrap_or_else(|| panic!("{damage}: the damage was not seen"));
            assert_eq!(fs::read(&moved).unwrap(), bytes, "what is moved aside is kept as it is");
            assert!(connection.table_exists(None, "users").unwrap());
        }
    }

    #[test]
    fn a_database_of_another_program_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let other = Connection::open(&file).unwrap();
        other.pragma_update(None, "application_id", 77).unwrap();
        other.execute_batch("CREATE TABLE mine (a)").unwrap();
        drop(other);
        let before = fs::read(&file).unwrap();
        assert!(matches!(open(folder.path()), Err(StoreError::Refused(_))));
        assert_eq!(fs::read(&file).unwrap(), before);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = open(&file.join("under")).unwrap_err();
        assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("file/under")), "{error:?}");
    }
}
