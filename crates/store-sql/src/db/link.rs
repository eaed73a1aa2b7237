//! Connections: pools for reading, single ones for the writer, transactions for snapshots.

use std::{path::PathBuf, str::FromStr as _, sync::Arc, time::Duration};

use rusqlite::Connection as Sqlite;
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, PgConnection, PgPool, Postgres, Row, Transaction, TypeInfo, ValueRef,
    pool::PoolConnection,
    postgres::{PgArguments, PgConnectOptions, PgPoolOptions, PgRow},
    query::Query,
};
use store::{Result, StoreError};

use super::{Cell, Cells, Val, failure, sqlite};

/// How long a caller waits for a connection before he hears that the database is unavailable.
const ACQUIRE: Duration = Duration::from_secs(5);

/// Which SQL is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// SQLite 3.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl Dialect {
    /// Types of the migration text. Text that is compared or ordered is compared byte by byte in every dialect.
    pub(crate) fn schema(self, sql: &str) -> String {
        let text = match self {
            Dialect::Sqlite => "TEXT",
            Dialect::Postgres => "TEXT COLLATE \"C\"",
        };
        sql.replace("{id}", text).replace("{key}", text).replace("{text}", text)
    }
}

/// A database: where to connect and a pool for reading.
#[derive(Clone)]
pub(crate) enum Db {
    /// A file.
    Sqlite(Arc<sqlite::File>),
    /// A server.
    Postgres(PgPool, Box<PgConnectOptions>),
}

impl Db {
    /// Reads the URL and prepares the pool; nothing is connected yet.
    pub(crate) fn new(url: &str, readers: u32) -> Result<Self> {
        let bad = |e: sqlx::Error| StoreError::BadValue(format!("database URL: {e}"));
        if let Some(path) = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")) {
            if path.is_empty() {
                return Err(StoreError::BadValue("database URL: path is missing".to_owned()));
            }
            return Ok(Db::Sqlite(Arc::new(sqlite::File::new(path, readers))));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url).map_err(bad)?.application_name("rampart").statement_cache_capacity(256).disable_statement_logging();
            let pool = PgPoolOptions::new().max_connections(readers).acquire_timeout(ACQUIRE).connect_lazy_with(options.clone());
            return Ok(Db::Postgres(pool, Box::new(options)));
        }
        Err(StoreError::BadValue("database URL: sqlite://PATH or postgres://… is expected".to_owned()))
    }
    /// Which SQL it speaks.
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Db::Sqlite(_) => Dialect::Sqlite,
            Db::Postgres(..) => Dialect::Postgres,
        }
    }
    /// The file it lies in, if it does.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        match self {
            Db::Sqlite(file) => Some(file.path().to_owned()),
            Db::Postgres(..) => None,
        }
    }
    /// A connection of its own, for writing.
    pub(crate) async fn connect(&self) -> Result<Link> {
        match self {
            Db::Sqlite(file) => file.writer().map(Link::Sqlite),
            Db::Postgres(_, o) => match tokio::time::timeout(ACQUIRE, PgConnection::connect_with(o)).await {
                Ok(link) => Ok(Link::Postgres(Box::new(link.map_err(failure)?))),
                Err(_) => Err(StoreError::Unavailable("connecting took too long".to_owned())),
            },
        }
    }
    /// A connection from the pool, for one or more independent reads.
    pub(crate) async fn read(&self) -> Result<Link> {
        match self {
            Db::Sqlite(file) => file.reader().map(Link::from),
            Db::Postgres(p, _) => Ok(Link::PostgresPooled(p.acquire().await.map_err(failure)?)),
        }
    }
    /// A connection whose reads all see the same moment.
    pub(crate) async fn snapshot(&self) -> Result<Link> {
        match self {
            Db::Sqlite(file) => file.reader()?.snapshot().map(Link::from),
            Db::Postgres(p, _) => Ok(Link::PostgresTx(p.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(failure)?)),
        }
    }
    /// Closes the pool.
    pub(crate) async fn close(&self) {
        match self {
            Db::Sqlite(file) => file.close(),
            Db::Postgres(p, _) => p.close().await,
        }
    }
}

/// One connection.
pub(crate) enum Link {
    /// The writer's.
    Sqlite(Sqlite),
    /// The writer's.
    Postgres(Box<PgConnection>),
    /// A reader's; a snapshot is rolled back when dropped.
    SqliteRead(sqlite::Reader),
    /// A reader's.
    PostgresPooled(PoolConnection<Postgres>),
    /// A snapshot; rolled back when dropped.
    PostgresTx(Transaction<'static, Postgres>),
}

impl From<sqlite::Reader> for Link {
    fn from(reader: sqlite::Reader) -> Self {
        Link::SqliteRead(reader)
    }
}

/// The connection inside a link, by dialect.
enum Raw<'a> {
    Sqlite(&'a mut Sqlite),
    Postgres(&'a mut PgConnection),
}

impl Link {
    fn raw(&mut self) -> Result<Raw<'_>> {
        Ok(match self {
            Link::Sqlite(c) => Raw::Sqlite(c),
            Link::SqliteRead(r) => Raw::Sqlite(r.conn()?),
            Link::Postgres(c) => Raw::Postgres(c),
            Link::PostgresPooled(c) => Raw::Postgres(c),
            Link::PostgresTx(c) => Raw::Postgres(c),
        })
    }
    /// Which SQL it speaks.
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Link::Sqlite(_) | Link::SqliteRead(_) => Dialect::Sqlite,
            Link::Postgres(_) | Link::PostgresPooled(_) | Link::PostgresTx(_) => Dialect::Postgres,
        }
    }
    /// Runs text without values, possibly several statements: migrations and transaction control.
    pub(crate) async fn batch(&mut self, sql: &str) -> Result<()> {
        match self.raw()? {
            Raw::Sqlite(c) => sqlite::batch(c, sql),
            Raw::Postgres(c) => sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(c).await.map(drop).map_err(failure),
        }
    }
    /// Runs one statement; returns how many rows it touched.
    pub(crate) async fn exec(&mut self, sql: &str, args: Vec<Val>) -> Result<u64> {
        match self.raw()? {
            Raw::Sqlite(c) => sqlite::exec(c, sql, &args),
            Raw::Postgres(c) => bind(sqlx::query(numbered(sql)), args).execute(c).await.map(|r| r.rows_affected()).map_err(failure),
        }
    }
    /// All rows of a query.
    pub(crate) async fn rows(&mut self, sql: &str, args: Vec<Val>) -> Result<Vec<Cells>> {
        match self.raw()? {
            Raw::Sqlite(c) => sqlite::rows(c, sql, &args),
            Raw::Postgres(c) => bind(sqlx::query(numbered(sql)), args).fetch_all(c).await.map_err(failure)?.iter().map(cells).collect(),
        }
    }
    /// The first row, if there is one.
    pub(crate) async fn first(&mut self, sql: &str, args: Vec<Val>) -> Result<Option<Cells>> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }
    /// The single integer that a query such as `SELECT count(*)` answers; 0 without rows.
    pub(crate) async fn number(&mut self, sql: &str, args: Vec<Val>) -> Result<i64> {
        match self.first(sql, args).await? {
            Some(mut row) => Ok(row.opt_int()?.unwrap_or_default()),
            None => Ok(0),
        }
    }
    /// Inserts many rows. Few different statement lengths are used, so that prepared statements are found again.
    pub(crate) async fn insert_many(&mut self, table: &str, columns: &str, mut rows: Vec<Vec<Val>>) -> Result<()> {
        rows.reverse();
        while let Some(width) = rows.last().map(Vec::len) {
            let n = match rows.len() {
                128.. => 128,
                16.. => 16,
                _ => 1,
            };
            let one = format!("({})", super::marks(width));
            let sql = format!("INSERT INTO {table} ({columns}) VALUES {}", vec![one.as_str(); n].join(","));
            let chunk: Vec<Val> = rows.split_off(rows.len() - n).into_iter().rev().flatten().collect();
            self.exec(&sql, chunk).await?;
        }
        Ok(())
    }
    /// Closes it in good order.
    pub(crate) async fn close(self) {
        let done = match self {
            Link::Sqlite(c) => c.close().map_err(|(_, e)| e.to_string()),
            Link::Postgres(c) => c.close().await.map_err(|e| e.to_string()),
            _ => Ok(()),
        };
        if let Err(error) = done {
            tracing::debug!(error, "closing a database connection");
        }
    }
}

type PostgresQuery<'q> = Query<'q, Postgres, PgArguments>;

/// Each `?` becomes `$1`, `$2`, …
fn numbered(sql: &str) -> AssertSqlSafe<String> {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut n = 0_u32;
    for c in sql.chars() {
        if c == '?' {
            n += 1;
            out.push('$');
            out.push_str(&n.to_string());
        } else {
            out.push(c);
        }
    }
    AssertSqlSafe(out)
}

fn bind(q: PostgresQuery<'_>, args: Vec<Val>) -> PostgresQuery<'_> {
    args.into_iter().fold(q, |q, v| match v {
        Val::Int(i) => q.bind(i),
        Val::Bool(b) => q.bind(b),
        Val::Text(t) => q.bind(t),
    })
}

fn cells(row: &PgRow) -> Result<Cells> {
    let cell = |i: usize| -> std::result::Result<Cell, sqlx::Error> {
        if row.try_get_raw(i)?.is_null() {
            return Ok(Cell::Null);
        }
        Ok(match row.column(i).type_info().name() {
            "INT8" => Cell::Int(row.try_get(i)?),
            "INT4" => Cell::Int(i64::from(row.try_get::<i32, _>(i)?)),
            "BOOL" => Cell::Bool(row.try_get(i)?),
            _ => Cell::Text(row.try_get(i)?),
        })
    };
    (0..row.len()).map(cell).collect::<std::result::Result<_, _>>().map(Cells::new).map_err(failure)
}
