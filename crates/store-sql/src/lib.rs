//! Storage in SQL: SQLite by default, PostgreSQL by URL, built so that MySQL can follow. The contract is that of
//! `store`; both dialects obey the same tests (`tests/contract.rs`).
//!
//! * Every statement is written once (`db` binds and rewrites). The schema is `migrations/*.sql`, forward only.
//! * Reading runs on a pool. Writing goes through one task per node that groups what is waiting into one
//!   transaction (`write`), which also owns this node's audit chain.
//! * INVARIANT: clients' filters, orders and searches are a closed set (`read::fields`) and are AND-ed below the reach.
//! * INVARIANT: references between rows of tenants are composite foreign keys with `org_id`.

mod backend;
mod bootstrap;
mod db;
mod migrate;
mod read;
mod recent;
mod rows;
mod write;

use std::sync::Arc;

use model::{Clock, NIL_NODE_ID, SystemClock};
use store::{Backend, Result, Store};

/// How a database is opened.
#[derive(Clone)]
pub struct Options {
    /// The node whose audit chain this process continues. One process per node id.
    pub node_id: String,
    /// Connections for reading.
    pub readers: u32,
    /// Dates of what bootstrap makes.
    pub clock: Arc<dyn Clock>,
    /// No other process writes to the database as long as this one has it open: an SQLite file in a locked data directory.
    /// Then some questions need not be asked. Ignored for servers.
    pub exclusive: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { node_id: NIL_NODE_ID.to_owned(), readers: 4, clock: Arc::new(SystemClock), exclusive: false }
    }
}

impl Options {
    /// For a node.
    pub fn for_node(node_id: &str) -> Self {
        Self { node_id: node_id.to_owned(), ..Self::default() }
    }
}

/// Opens (and makes, or brings up to date) a database.
///
/// `url` is `sqlite://PATH` or `postgres://user:password@host:port/database`.
///
/// # Errors
/// [`store::StoreError::BadValue`] for a URL that is none of these, [`store::StoreError::Unavailable`] if the database
/// cannot be reached, is not ours to write, or was written by a newer version.
pub async fn open(url: &str, options: Options) -> Result<Store> {
    Ok(Store::new(open_backend(url, options).await?))
}

/// As [`open`], as the bare backend.
///
/// # Errors
/// As [`open`].
pub async fn open_backend(url: &str, options: Options) -> Result<Arc<dyn Backend>> {
    let db = db::Db::new(url, options.readers.clamp(1, 64))?;
    let mut link = db.connect().await?;
    let now = options.clock.now();
    migrate::migrate(&db, &mut link, migrate::MIGRATIONS, now).await?;
    bootstrap::bootstrap(&mut link, now).await?;
    let known = match options.exclusive && db.file().is_some() {
        true => Some(Arc::new(recent::Known::at(read::revision(&mut link).await?))),
        false => None,
    };
    let writer = write::Writer::start(db.clone(), &options.node_id, link, known.clone())?;
    Ok(Arc::new(backend::SqlBackend::new(db, writer, known)))
}
