//! SQLite, called directly: on a warm page cache a statement takes less time than handing it to another thread would.
//!
//! One connection writes, on a thread of its own (`write`). Readers never wait for it (WAL). Whoever reads much goes to
//! a thread for that first, see [`File::scan`].

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, ToSql, ffi, params_from_iter,
    types::{ToSqlOutput, Value, ValueRef},
};
use store::{Result, StoreError};
use tokio::sync::Semaphore;

use super::{Cell, Cells, Link, Val};

/// How long SQLite waits for another process (a backup, the local administrator) to finish writing.
const BUSY: Duration = Duration::from_secs(10);
/// Prepared statements of one connection.
const STATEMENTS: usize = 256;
/// Connections kept for the next reader.
const IDLE: usize = 16;

/// A database file and connections for reading it.
pub(crate) struct File {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    /// Long reads at once.
    scans: Semaphore,
}

impl File {
    /// Nothing is opened yet.
    pub(crate) fn new(path: &str, readers: u32) -> Self {
        Self { path: path.into(), idle: Mutex::default(), scans: Semaphore::new(readers as usize) }
    }
    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
    /// A connection for writing.
    pub(crate) fn writer(&self) -> Result<Connection> {
        let conn = self.open()?;
        conn.pragma_update(None, "journal_mode", "WAL").map_err(failure)?;
        conn.pragma_update(None, "synchronous", "NORMAL").map_err(failure)?;
        Ok(conn)
    }
    fn open(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.path, flags).map_err(failure)?;
        conn.busy_timeout(BUSY).map_err(failure)?;
        conn.pragma_update(None, "foreign_keys", "ON").map_err(failure)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(conn)
    }
    /// A connection that cannot write.
    pub(crate) fn reader(self: &Arc<Self>) -> Result<Reader> {
        if self.scans.is_closed() {
            return Err(StoreError::Unavailable("the store is closed".to_owned()));
        }
        let kept = self.idle.lock().pop();
        let conn = match kept {
            Some(conn) => conn,
            None => {
                let conn = self.open()?;
                conn.pragma_update(None, "query_only", "ON").map_err(failure)?;
                conn
            }
        };
        Ok(Reader { conn: Some(conn), file: self.clone(), is_snapshot: false })
    }
    /// Runs a long read on a thread where waiting is allowed. A few run at once, the others wait for their turn.
    pub(crate) async fn scan<T: Send + 'static>(self: &Arc<Self>, read: impl FnOnce(&mut Link) -> Result<T> + Send + 'static) -> Result<T> {
        let _turn = self.scans.acquire().await.map_err(|e| StoreError::Unavailable(e.to_string()))?;
        let file = self.clone();
        let done = tokio::task::spawn_blocking(move || read(&mut Link::from(file.reader()?)));
        done.await.map_err(|e| StoreError::Unavailable(e.to_string()))?
    }
    /// Does something with a connection of its own that may write (readers may not, not even elsewhere).
    pub(crate) async fn apart<T: Send + 'static>(self: &Arc<Self>, work: impl FnOnce(&mut Link) -> Result<T> + Send + 'static) -> Result<T> {
        let file = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&mut Link::Sqlite(file.writer()?)));
        done.await.map_err(|e| StoreError::Unavailable(e.to_string()))?
    }
    /// Closes what is idle.
    pub(crate) fn close(&self) {
        self.idle.lock().clear();
        self.scans.close();
    }
}

/// The result of a future that never waits: everything on SQLite is one.
pub(crate) fn at_once<T>(read: impl Future<Output = Result<T>>) -> Result<T> {
    read.now_or_never().unwrap_or_else(|| Err(StoreError::Unavailable("a read of the file waited".to_owned())))
}

/// A connection for reading, given back when dropped.
pub(crate) struct Reader {
    conn: Option<Connection>,
    file: Arc<File>,
    is_snapshot: bool,
}

impl Reader {
    /// From here on all reads see the same moment.
    pub(crate) fn snapshot(mut self) -> Result<Self> {
        batch(self.conn()?, "BEGIN")?;
        self.is_snapshot = true;
        Ok(self)
    }
    /// The connection; it is there until the drop.
    pub(crate) fn conn(&mut self) -> Result<&mut Connection> {
        self.conn.as_mut().ok_or_else(|| StoreError::Unavailable("connection closed".to_owned()))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        if self.is_snapshot && conn.execute_batch("ROLLBACK").is_err() {
            return;
        }
        let mut idle = self.file.idle.lock();
        if idle.len() < IDLE && !self.file.scans.is_closed() {
            idle.push(conn);
        }
    }
}

impl ToSql for Val {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Val::Int(Some(i)) => ToSqlOutput::Owned(Value::Integer(*i)),
            Val::Bool(b) => ToSqlOutput::Owned(Value::Integer(i64::from(*b))),
            Val::Text(Some(t)) => ToSqlOutput::Borrowed(ValueRef::Text(t.as_bytes())),
            Val::Int(None) | Val::Text(None) => ToSqlOutput::Owned(Value::Null),
        })
    }
}

/// Runs text without values, possibly several statements.
pub(crate) fn batch(conn: &Connection, sql: &str) -> Result<()> {
    conn.execute_batch(sql).map_err(failure)
}

/// Runs one statement; returns how many rows it touched.
pub(crate) fn exec(conn: &Connection, sql: &str, args: &[Val]) -> Result<u64> {
    let touched = conn.prepare_cached(sql).and_then(|mut s| s.execute(params_from_iter(args))).map_err(failure)?;
    Ok(touched as u64)
}

/// All rows of a query.
pub(crate) fn rows(conn: &Connection, sql: &str, args: &[Val]) -> Result<Vec<Cells>> {
    let mut statement = conn.prepare_cached(sql).map_err(failure)?;
    let width = statement.column_count();
    let mut rows = statement.query(params_from_iter(args)).map_err(failure)?;
    let mut out = Vec::new();
    while let Some(row) = rows.next().map_err(failure)? {
        let cells = (0..width).map(|i| row.get_ref(i).map_err(failure).and_then(cell)).collect::<Result<_>>()?;
        out.push(Cells::new(cells));
    }
    Ok(out)
}

fn cell(value: ValueRef<'_>) -> Result<Cell> {
    match value {
        ValueRef::Null => Ok(Cell::Null),
        ValueRef::Integer(i) => Ok(Cell::Int(i)),
        ValueRef::Text(t) => std::str::from_utf8(t).map(|t| Cell::Text(t.to_owned())).map_err(|e| StoreError::Corrupt(e.to_string())),
        ValueRef::Real(_) | ValueRef::Blob(_) => Err(StoreError::Corrupt("unexpected type of a column".to_owned())),
    }
}

/// What an error means for callers. Values never enter the text.
fn failure(e: rusqlite::Error) -> StoreError {
    let rusqlite::Error::SqliteFailure(code, text) = &e else {
        return match e {
            rusqlite::Error::SqlInputError { error, msg, .. } => refused(error.extended_code, &msg),
            rusqlite::Error::Utf8Error(..) | rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::InvalidColumnIndex(_) => {
                StoreError::Corrupt(e.to_string())
            }
            other => StoreError::Unavailable(other.to_string()),
        };
    };
    match code.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => StoreError::Conflict("a row with the same key".to_owned()),
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => StoreError::Reference("a row".to_owned()),
        ffi::SQLITE_CONSTRAINT_NOTNULL | ffi::SQLITE_CONSTRAINT_CHECK => StoreError::BadValue("column".to_owned()),
        // one statement was refused for what it says: too long, too large, out of range
        extended
            if matches!(
                code.code,
                ErrorCode::Unknown | ErrorCode::TooBig | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::ParameterOutOfRange
            ) =>
        {
            refused(extended, text.as_deref().unwrap_or_default())
        }
        extended => StoreError::Unavailable(format!("{} ({extended})", text.as_deref().unwrap_or_default())),
    }
}

fn refused(code: i32, error: &str) -> StoreError {
    tracing::warn!(code, error, "the database refused a statement");
    StoreError::BadValue("statement".to_owned())
}
