//! One face for several databases: values to bind, rows read back, connections.
//!
//! Every statement of this crate is written once, with `?` for each value; the connection rewrites that for its
//! dialect. INVARIANT: nothing but constants of this crate becomes SQL text; data is always bound.

mod link;
pub(crate) mod sqlite;
mod value;

pub(crate) use link::{Db, Dialect, Link};
pub(crate) use value::{Cell, Cells, Val, json, micros, word};

use store::StoreError;

/// Values to bind, each by its own `From`.
macro_rules! args {
    ($($v:expr),* $(,)?) => { vec![$($crate::db::Val::from($v)),*] };
}
pub(crate) use args;

/// `?,?,?` for `n` values; `NULL` for none, so that `IN (…)` stays valid and matches nothing.
pub(crate) fn marks(n: usize) -> String {
    if n == 0 { "NULL".to_owned() } else { vec!["?"; n].join(",") }
}

/// What an error of PostgreSQL's driver means for callers. Values never enter the text: drivers keep them in fields that we do not read.
pub(crate) fn failure(e: sqlx::Error) -> StoreError {
    use sqlx::error::ErrorKind;
    match e {
        sqlx::Error::Database(d) => match d.kind() {
            ErrorKind::UniqueViolation => StoreError::Conflict("a row with the same key".to_owned()),
            ErrorKind::ForeignKeyViolation => StoreError::Reference("a row".to_owned()),
            ErrorKind::NotNullViolation | ErrorKind::CheckViolation => StoreError::BadValue(d.constraint().unwrap_or("column").to_owned()),
            _ if is_outage(&*d) => StoreError::Unavailable(format!("{} ({})", d.message(), d.code().unwrap_or_default())),
            // one statement was refused for what it says: too long, too large, out of range
            _ => {
                tracing::warn!(code = %d.code().unwrap_or_default(), error = d.message(), "the database refused a statement");
                StoreError::BadValue("statement".to_owned())
            }
        },
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) | sqlx::Error::ColumnIndexOutOfBounds { .. } => {
            StoreError::Corrupt(e.to_string())
        }
        sqlx::Error::PoolTimedOut => StoreError::Unavailable("no connection became free in time".to_owned()),
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// Whether a database error says that the database is in trouble, rather than one statement.
fn is_outage(d: &dyn sqlx::error::DatabaseError) -> bool {
    let code = d.code().unwrap_or_default();
    // classes of PostgreSQL appendix A: data exceptions, constraints, syntax, limits of one statement
    !["22", "23", "42", "54"].iter().any(|class| code.starts_with(class))
}
