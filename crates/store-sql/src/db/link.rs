//! Connections: pools for reading, single ones for the writer, transactions for snapshots.

use std::{str::FromStr, time::Duration};

use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, PgConnection, PgPool, Postgres, Row, Sqlite, SqliteConnection, SqlitePool, Transaction, TypeInfo,
    ValueRef,
    pool::PoolConnection,
    postgres::{PgArguments, PgConnectOptions, PgPoolOptions, PgRow},
    query::Query,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use store::{Result, StoreError};

use super::{Cell, Cells, Val, failure};

/// How long a caller waits for a connection before he hears that the database is unavailable.
const ACQUIRE: Duration = Duration::from_secs(5);
/// How long SQLite waits for another process (a backup, the local administrator) to finish writing.
const BUSY: Duration = Duration::from_secs(10);

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
    /// `?` becomes what the dialect wants.
    fn rewrite(self, sql: &str) -> String {
        if self == Dialect::Sqlite {
            return sql.to_owned();
        }
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
        out
    }
}

/// A database: where to connect and a pool for reading.
#[derive(Debug, Clone)]
pub(crate) enum Db {
    /// A file.
    Sqlite(SqlitePool, SqliteConnectOptions),
    /// A server.
    Postgres(PgPool, PgConnectOptions),
}

impl Db {
    /// Reads the URL and prepares the pool; nothing is connected yet.
    pub(crate) fn new(url: &str, readers: u32) -> Result<Self> {
        let bad = |e: sqlx::Error| StoreError::BadValue(format!("database URL: {e}"));
        if let Some(path) = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")) {
            if path.is_empty() {
                return Err(StoreError::BadValue("database URL: path is missing".to_owned()));
            }
            let options = SqliteConnectOptions::new()
                .filename(path)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Normal)
                .busy_timeout(BUSY)
                .foreign_keys(true)
                .statement_cache_capacity(256)
                .disable_statement_logging();
            let pool = SqlitePoolOptions::new()
                .max_connections(readers)
                .acquire_timeout(ACQUIRE)
                .test_before_acquire(false)
                .idle_timeout(None)
                .max_lifetime(None)
                .connect_lazy_with(options.clone().pragma("query_only", "ON"));
            return Ok(Db::Sqlite(pool, options));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url).map_err(bad)?.application_name("rampart").statement_cache_capacity(256).disable_statement_logging();
            let pool = PgPoolOptions::new().max_connections(readers).acquire_timeout(ACQUIRE).connect_lazy_with(options.clone());
            return Ok(Db::Postgres(pool, options));
        }
        Err(StoreError::BadValue("database URL: sqlite://PATH or postgres://… is expected".to_owned()))
    }
    /// Which SQL it speaks.
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Db::Sqlite(..) => Dialect::Sqlite,
            Db::Postgres(..) => Dialect::Postgres,
        }
    }
    /// The file it lies in, if it does.
    pub(crate) fn file(&self) -> Option<std::path::PathBuf> {
        match self {
            Db::Sqlite(_, o) => Some(o.get_filename().to_owned()),
            Db::Postgres(..) => None,
        }
    }
    /// A connection of its own, for writing.
    pub(crate) async fn connect(&self) -> Result<Link> {
        let link = async {
            Ok(match self {
                Db::Sqlite(_, o) => Link::Sqlite(Box::new(SqliteConnection::connect_with(o).await.map_err(failure)?)),
                Db::Postgres(_, o) => Link::Postgres(Box::new(PgConnection::connect_with(o).await.map_err(failure)?)),
            })
        };
        tokio::time::timeout(ACQUIRE, link).await.unwrap_or_else(|_| Err(StoreError::Unavailable("connecting took too long".to_owned())))
    }
    /// A connection from the pool, for one or more independent reads.
    pub(crate) async fn read(&self) -> Result<Link> {
        Ok(match self {
            Db::Sqlite(p, _) => Link::SqlitePooled(p.acquire().await.map_err(failure)?),
            Db::Postgres(p, _) => Link::PostgresPooled(p.acquire().await.map_err(failure)?),
        })
    }
    /// A connection whose reads all see the same moment.
    pub(crate) async fn snapshot(&self) -> Result<Link> {
        Ok(match self {
            Db::Sqlite(p, _) => Link::SqliteTx(p.begin().await.map_err(failure)?),
            Db::Postgres(p, _) => Link::PostgresTx(p.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(failure)?),
        })
    }
    /// Closes the pool.
    pub(crate) async fn close(&self) {
        match self {
            Db::Sqlite(p, _) => p.close().await,
            Db::Postgres(p, _) => p.close().await,
        }
    }
}

/// One connection.
pub(crate) enum Link {
    /// The writer's.
    Sqlite(Box<SqliteConnection>),
    /// The writer's.
    Postgres(Box<PgConnection>),
    /// A reader's.
    SqlitePooled(PoolConnection<Sqlite>),
    /// A reader's.
    PostgresPooled(PoolConnection<Postgres>),
    /// A snapshot; rolled back when dropped.
    SqliteTx(Transaction<'static, Sqlite>),
    /// A snapshot; rolled back when dropped.
    PostgresTx(Transaction<'static, Postgres>),
}

/// The connection inside a link, by dialect.
enum Raw<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

impl Link {
    fn raw(&mut self) -> Raw<'_> {
        match self {
            Link::Sqlite(c) => Raw::Sqlite(c),
            Link::SqlitePooled(c) => Raw::Sqlite(c),
            Link::SqliteTx(c) => Raw::Sqlite(c),
            Link::Postgres(c) => Raw::Postgres(c),
            Link::PostgresPooled(c) => Raw::Postgres(c),
            Link::PostgresTx(c) => Raw::Postgres(c),
        }
    }
    /// Which SQL it speaks.
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Link::Sqlite(_) | Link::SqlitePooled(_) | Link::SqliteTx(_) => Dialect::Sqlite,
            Link::Postgres(_) | Link::PostgresPooled(_) | Link::PostgresTx(_) => Dialect::Postgres,
        }
    }
    /// Runs text without values, possibly several statements: migrations and transaction control.
    pub(crate) async fn batch(&mut self, sql: &str) -> Result<()> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self.raw() {
            Raw::Sqlite(c) => sqlx::raw_sql(sql).execute(c).await.map(drop),
            Raw::Postgres(c) => sqlx::raw_sql(sql).execute(c).await.map(drop),
        }
        .map_err(failure)
    }
    /// Runs one statement; returns how many rows it touched.
    pub(crate) async fn exec(&mut self, sql: &str, args: Vec<Val>) -> Result<u64> {
        let text = AssertSqlSafe(self.dialect().rewrite(sql));
        match self.raw() {
            Raw::Sqlite(c) => bind_sqlite(sqlx::query(text), args).execute(c).await.map(|r| r.rows_affected()),
            Raw::Postgres(c) => bind_postgres(sqlx::query(text), args).execute(c).await.map(|r| r.rows_affected()),
        }
        .map_err(failure)
    }
    /// All rows of a query.
    pub(crate) async fn rows(&mut self, sql: &str, args: Vec<Val>) -> Result<Vec<Cells>> {
        let text = AssertSqlSafe(self.dialect().rewrite(sql));
        match self.raw() {
            Raw::Sqlite(c) => bind_sqlite(sqlx::query(text), args).fetch_all(c).await.map_err(failure)?.iter().map(cells_sqlite).collect(),
            Raw::Postgres(c) => bind_postgres(sqlx::query(text), args).fetch_all(c).await.map_err(failure)?.iter().map(cells_postgres).collect(),
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
            Link::Sqlite(c) => c.close().await,
            Link::Postgres(c) => c.close().await,
            _ => Ok(()),
        };
        if let Err(e) = done {
            tracing::debug!(error = %e, "closing a database connection");
        }
    }
}

type SqliteQuery<'q> = Query<'q, Sqlite, SqliteArguments>;
type PostgresQuery<'q> = Query<'q, Postgres, PgArguments>;

fn bind_sqlite(q: SqliteQuery<'_>, args: Vec<Val>) -> SqliteQuery<'_> {
    args.into_iter().fold(q, |q, v| match v {
        Val::Int(i) => q.bind(i),
        Val::Bool(b) => q.bind(b),
        Val::Text(t) => q.bind(t),
    })
}

fn bind_postgres(q: PostgresQuery<'_>, args: Vec<Val>) -> PostgresQuery<'_> {
    args.into_iter().fold(q, |q, v| match v {
        Val::Int(i) => q.bind(i),
        Val::Bool(b) => q.bind(b),
        Val::Text(t) => q.bind(t),
    })
}

fn cells_sqlite(row: &SqliteRow) -> Result<Cells> {
    let cell = |i: usize| -> std::result::Result<Cell, sqlx::Error> {
        let raw = row.try_get_raw(i)?;
        if raw.is_null() {
            return Ok(Cell::Null);
        }
        let is_text = raw.type_info().name() == "TEXT";
        Ok(if is_text { Cell::Text(row.try_get_unchecked(i)?) } else { Cell::Int(row.try_get_unchecked(i)?) })
    };
    (0..row.len()).map(cell).collect::<std::result::Result<_, _>>().map(Cells::new).map_err(failure)
}

fn cells_postgres(row: &PgRow) -> Result<Cells> {
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
