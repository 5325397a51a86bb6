//! What the store can refuse, as values: which part, whose fault, worth another try or not.

use std::fmt;

use rusqlite::ErrorCode;

/// Why a call to the store came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreError {
    /// The disk is full, or the store has reached its largest size.
    Full,
    /// Too many calls wait, or another process holds the file.
    Busy,
    /// The file is damaged; the next start moves it aside.
    Corrupt(String),
    /// There is no store: it could not be opened at start, or it has ended.
    Unavailable(String),
    /// A row with this name is there already.
    Exists,
    /// No such row.
    Missing,
    /// What was asked does not fit what is stored; the text is for the caller.
    Refused(String),
    /// SQLite refuses for a reason that is a bug of ours.
    Sql(String),
}

impl StoreError {
    /// Stable code of the error, as in logs and problems.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            StoreError::Full => "store_full",
            StoreError::Busy => "store_busy",
            StoreError::Corrupt(_) => "store_corrupt",
            StoreError::Unavailable(_) => "store_unavailable",
            StoreError::Exists => "exists",
            StoreError::Missing => "not_found",
            StoreError::Refused(_) => "refused",
            StoreError::Sql(_) => "internal",
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Full => f.write_str("the store is full: free space on its disk"),
            StoreError::Busy => f.write_str("the store is busy: try again"),
            StoreError::Corrupt(text) => write!(f, "the store is damaged: {text}"),
            StoreError::Unavailable(text) => write!(f, "there is no store: {text}"),
            StoreError::Exists => f.write_str("there is one of this name already"),
            StoreError::Missing => f.write_str("there is none of this name"),
            StoreError::Refused(text) => f.write_str(text),
            StoreError::Sql(text) => write!(f, "the store refuses a statement: {text}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        if matches!(error, rusqlite::Error::QueryReturnedNoRows) {
            return StoreError::Missing;
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Corrupt(error.to_string())
            }
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure) => {
                StoreError::Unavailable(error.to_string())
            }
            Some(ErrorCode::ConstraintViolation) => match error.sqlite_error().map(|e| e.extended_code) {
                Some(
                    rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY,
                ) => StoreError::Exists,
                _ => StoreError::Sql(error.to_string()),
            },
            _ => StoreError::Sql(error.to_string()),
        }
    }
}
