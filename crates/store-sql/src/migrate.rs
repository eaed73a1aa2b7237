//! Forward-only migrations. An existing SQLite database is copied before it is changed.

use std::path::{Path, PathBuf};

use model::Time;
use store::{Result, StoreError};

use crate::db::{Db, Dialect, Link, args};

/// One step of the schema.
pub(crate) struct Migration {
    /// Grows by one.
    pub(crate) version: i64,
    /// For people.
    pub(crate) name: &'static str,
    /// Statements, with the placeholders that [`Dialect::schema`] knows.
    pub(crate) sql: &'static str,
}

/// All steps, oldest first. Released ones are never edited.
pub(crate) const MIGRATIONS: &[Migration] = &[Migration { version: 1, name: "first", sql: include_str!("../migrations/0001_first.sql") }];

/// The PostgreSQL advisory lock that lets one node migrate while the others wait ("Rampart" as a number).
const LOCK: &str = "SELECT pg_advisory_xact_lock(23162140115337844)";

/// Brings the schema to the newest version. Returns whether the database was empty.
pub(crate) async fn migrate(db: &Db, link: &mut Link, steps: &[Migration], now: Time) -> Result<bool> {
    let before = version(link).await?;
    let newest = steps.last().map_or(0, |m| m.version);
    if before > newest {
        return Err(StoreError::Unavailable(format!("its schema is version {before}, this program knows {newest}: it was written by a newer version")));
    }
    if before == newest {
        return Ok(false);
    }
    if before > 0
        && let Some(file) = db.file()
    {
        let copy = free_name(&file, before)?;
        backup(link, &copy).await?;
        tracing::info!(copy = %copy.display(), from = before, to = newest, "copied the database before changing its schema");
    }
    link.batch(if link.dialect() == Dialect::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" }).await?;
    let done = apply(link, steps, now).await;
    if done.is_ok() {
        link.batch("COMMIT").await?;
    } else {
        link.batch("ROLLBACK").await?;
    }
    done
}

async fn apply(link: &mut Link, steps: &[Migration], now: Time) -> Result<bool> {
    if link.dialect() == Dialect::Postgres {
        link.batch(LOCK).await?;
    }
    // another node may have been faster
    let before = version(link).await?;
    let dialect = link.dialect();
    if before == 0 {
        link.batch(&dialect.schema("CREATE TABLE schema_migrations (version BIGINT PRIMARY KEY, name {key} NOT NULL, date_applied BIGINT NOT NULL)")).await?;
    }
    for step in steps.iter().filter(|m| m.version > before) {
        link.batch(&dialect.schema(step.sql)).await?;
        link.insert_many("schema_migrations", "version,name,date_applied", vec![args![step.version, step.name, now]]).await?;
    }
    Ok(before == 0)
}

/// The version of the schema; 0 without one.
async fn version(link: &mut Link) -> Result<i64> {
    let there = match link.dialect() {
        Dialect::Sqlite => "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'",
        Dialect::Postgres => "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = 'schema_migrations'",
    };
    if link.number(there, Vec::new()).await? == 0 {
        return Ok(0);
    }
    link.number("SELECT max(version) FROM schema_migrations", Vec::new()).await
}

fn free_name(file: &Path, version: i64) -> Result<PathBuf> {
    let name = file.as_os_str().to_string_lossy();
    (0..1000)
        .map(|n| PathBuf::from(if n == 0 { format!("{name}.v{version}.bak") } else { format!("{name}.v{version}.{n}.bak") }))
        .find(|p| !p.exists())
        .ok_or_else(|| StoreError::Unavailable("too many copies of the database lie next to it".to_owned()))
}

/// What SQLite finds wrong when it reads its whole file: damaged pages, indexes that lack rows, references to nothing.
pub(crate) async fn check(link: &mut Link) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for mut row in link.rows("PRAGMA integrity_check(20)", args![]).await? {
        let line = row.text()?;
        if line != "ok" {
            problems.push(line);
        }
    }
    for mut row in link.rows("PRAGMA foreign_key_check", args![]).await?.into_iter().take(20) {
        problems.push(format!("a row of table {} refers to something that is not there", row.text()?));
    }
    Ok(problems)
}

/// Writes a consistent copy of a SQLite database. The file must not exist yet.
pub(crate) async fn backup(link: &mut Link, to: &Path) -> Result<()> {
    let path = to.to_str().ok_or_else(|| StoreError::BadValue("path".to_owned()))?;
    link.exec("VACUUM INTO ?", args![path]).await.map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn second(sql: &'static str) -> Vec<Migration> {
        let first = MIGRATIONS.iter().map(|m| Migration { version: m.version, name: m.name, sql: m.sql });
        first.chain([Migration { version: 99, name: "second", sql }]).collect()
    }

    #[tokio::test]
    async fn an_existing_database_is_copied_before_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rampart.db");
        let db = Db::new(&format!("sqlite://{}", path.display()), 1).unwrap();
        let mut link = db.connect().await.unwrap();
        let now = Time::default();
        assert!(migrate(&db, &mut link, MIGRATIONS, now).await.unwrap());
        assert!(!migrate(&db, &mut link, MIGRATIONS, now).await.unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().ends_with(".bak")).count(), 0);
        link.insert_many("settings", "name,value", vec![args!["kept", "1"]]).await.unwrap();

        let broken = migrate(&db, &mut link, &second("CREATE TABLE more (x BIGINT); CREATE TABLE more (x BIGINT)"), now).await;
        assert!(broken.is_err());
        assert_eq!(version(&mut link).await.unwrap(), 1, "a step is done completely or not at all");
        migrate(&db, &mut link, &second("CREATE TABLE more (x BIGINT)"), now).await.unwrap();

        assert_eq!(version(&mut link).await.unwrap(), 99);
        for copy in ["rampart.db.v1.bak", "rampart.db.v1.1.bak"] {
            let copy = Db::new(&format!("sqlite://{}", dir.path().join(copy).display()), 1).unwrap();
            let mut old = copy.connect().await.unwrap();
            assert_eq!(version(&mut old).await.unwrap(), 1);
            assert_eq!(old.number("SELECT count(*) FROM settings", Vec::new()).await.unwrap(), 1);
        }
        let newer = migrate(&db, &mut link, MIGRATIONS, now).await;
        assert!(matches!(newer, Err(StoreError::Unavailable(e)) if e.contains("newer")));
    }
}
