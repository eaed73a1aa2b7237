//! Storage as Rampart sees it: small typed doors over one [`Backend`].
//!
//! # Contract
//! * Reads of managed objects start at [`Store::read`] with a sealed reach; writes are a [`UnitOfWork`] that was made
//!   from a scope. There is no other door, so a query without an organization cannot be written.
//! * [`Store::commit`] applies a unit of work completely or not at all, together with its audit events, log rows and
//!   commands. When it returns `Ok`, everything survives the death of the process.
//! * Ids are chosen by the caller. Inserting an existing id is [`StoreError::Conflict`].
//! * `Change::Update` compares the revision it carries with the stored one; a difference is
//!   [`StoreError::Stale`] and nothing is written. The stored revision becomes one higher.
//! * References must exist, in the same organization for tenant rows: else [`StoreError::Reference`]. Deleting something
//!   that others refer to is [`StoreError::InUse`], except for memberships (groups, rules), which are emptied, and
//!   accounts and their secrets, which go with their asset; public keys, bindings and tokens go with their user.
//! * Names are unique per organization as the model says: else [`StoreError::Duplicate`] naming the field.
//! * Every commit that changes managed objects raises the installation's revision by one ([`Backend::revision`]).
//! * Both SQL dialects obey the same tests, `store_sql`'s `tests/contract.rs`.

mod backend;
mod error;
mod work;

use std::sync::Arc;

use model::{Entity, Id, Listable, Page, Query, Record};
use policy::{Authority, Identity, OrgFilter, Reach};

pub use backend::{AttemptKey, Backend, CommandSink, ConnectFacts, GrantedAsset, KeyMaterial, LogBatch};
pub use error::StoreError;
pub use work::{Change, Committed, UnitOfWork, WorkScope};

/// Result of every store call.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

impl Store {
    /// Over an implementation.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }
    /// Reading inside a sealed reach.
    pub fn read<R: Reach>(&self, reach: R) -> Reader<'_> {
        Reader { backend: &*self.backend, reach: reach.filter() }
    }
    /// What belongs to, or was granted to, one person, in every organization he has rights in.
    pub fn mine<'a>(&'a self, who: &'a Identity) -> Mine<'a> {
        Mine { backend: &*self.backend, who }
    }
    /// The node's own bookkeeping: logins, tokens, keys, housekeeping.
    pub fn node(&self, _: Authority) -> &dyn Backend {
        &*self.backend
    }
    /// Applies a unit of work and its evidence, all or nothing.
    ///
    /// # Errors
    /// See the contract above.
    pub async fn commit(&self, work: UnitOfWork) -> Result<Committed> {
        self.backend.commit(work).await
    }
}

/// Reads inside one organization or, for system-wide readers, all of them.
pub struct Reader<'a> {
    backend: &'a dyn Backend,
    reach: OrgFilter,
}

impl Reader<'_> {
    /// One object; `None` if it does not exist *here*.
    ///
    /// # Errors
    /// The backend failed.
    pub async fn get<E: Entity>(&self, id: Id<E>) -> Result<Option<E>> {
        Ok(self.backend.get(self.reach, E::KIND, id.uuid()).await?.and_then(|r| E::try_from(r).ok()))
    }
    /// A window of a list. Filters compose below the reach and cannot widen it.
    ///
    /// # Errors
    /// [`StoreError::UnknownField`] for a field outside the closed set; or the backend failed.
    pub async fn list<E: Entity>(&self, query: &Query) -> Result<Page<E>> {
        let page = self.backend.list(self.reach, E::KIND, query).await?;
        Ok(Page { count: page.count, rows: page.rows.into_iter().filter_map(|r| E::try_from(r).ok()).collect() })
    }
    /// The first object that meets the filters.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn find<E: Entity>(&self, query: Query) -> Result<Option<E>> {
        Ok(self.list::<E>(&query.page(0, 1)).await?.rows.into_iter().next())
    }
    /// One log row.
    ///
    /// # Errors
    /// The backend failed.
    pub async fn log<L: Listable>(&self, id: Id<L>) -> Result<Option<L>> {
        let query = Query::filter(model::Filter::eq("id", id)).page(0, 1);
        Ok(self.logs::<L>(&query).await?.rows.into_iter().next())
    }
    /// A window of a log, newest first unless ordered otherwise.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn logs<L: Listable>(&self, query: &Query) -> Result<Page<L>> {
        let page = self.backend.logs(self.reach, L::TABLE, query).await?;
        let rows = page.rows.into_iter().map(serde_json::from_value).collect::<std::result::Result<_, _>>();
        Ok(Page { count: page.count, rows: rows.map_err(|e| StoreError::Corrupt(e.to_string()))? })
    }
    /// The stored secrets of an account, newest version first, still sealed.
    ///
    /// # Errors
    /// The backend failed.
    pub async fn account_secrets(&self, account: Id<model::Account>) -> Result<Vec<model::AccountSecret>> {
        self.backend.account_secrets(self.reach, account).await
    }
    /// Host keys known for an asset.
    ///
    /// # Errors
    /// The backend failed.
    pub async fn host_keys(&self, asset: Id<model::Asset>) -> Result<Vec<model::HostKey>> {
        self.backend.host_keys(self.reach, asset).await
    }
    /// The facts for one decision on an asset.
    ///
    /// # Errors
    /// The backend failed.
    pub async fn connect_facts(&self, user: Id<model::User>, asset: Id<model::Asset>) -> Result<Option<ConnectFacts>> {
        self.backend.connect_facts(self.reach, user, asset).await
    }
}

/// What was granted to one person.
pub struct Mine<'a> {
    backend: &'a dyn Backend,
    who: &'a Identity,
}

impl Mine<'_> {
    /// Assets that a rule in force covers for this person, searched by name, address and comment, ordered by name.
    /// Inactive assets are left out.
    ///
    /// # Errors
    /// The backend failed.
    pub async fn assets(&self, now: model::Time, query: &Query) -> Result<Page<GrantedAsset>> {
        self.backend.granted_assets(self.who.user(), now, query).await
    }
    /// Assets that *any* rule (in force or not) covers for this person and whose name or address equals `text`, or
    /// whose id starts with it; inactive ones too. For telling a clear reason when a named target is refused.
    ///
    /// # Errors
    /// The backend failed.
    pub async fn named(&self, text: &str) -> Result<Vec<GrantedAsset>> {
        self.backend.named_assets(self.who.user(), text).await
    }
    /// Facts of a decision for this person.
    ///
    /// # Errors
    /// The backend failed.
    pub async fn connect_facts(&self, asset: Id<model::Asset>) -> Result<Option<ConnectFacts>> {
        self.backend.connect_facts(OrgFilter::All, self.who.user(), asset).await
    }
    /// The person's own row.
    ///
    /// # Errors
    /// The backend failed.
    pub async fn user(&self) -> Result<Option<model::User>> {
        let r = self.backend.get(OrgFilter::All, model::Kind::User, self.who.user().uuid()).await?;
        Ok(r.and_then(|r| model::User::try_from(r).ok()))
    }
}

/// Turns a record's payload into JSON for field diffs.
pub fn as_json(record: &Record) -> serde_json::Value {
    serde_json::to_value(record).unwrap_or_default()
}
