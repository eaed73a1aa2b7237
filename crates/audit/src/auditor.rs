//! Writes events that are not part of a change (changes carry theirs in the unit of work).

use std::sync::Arc;

use model::{AuditEntry, AuditEvent, Clock, LoginLog, OperateLog, Time};
use policy::Authority;
use store::{LogBatch, Store};

/// Writes evidence with the right of the node. Cheap to clone.
#[derive(Clone)]
pub struct Auditor {
    store: Store,
    authority: Authority,
    clock: Arc<dyn Clock>,
}

impl Auditor {
    /// Over the node's store.
    pub fn new(store: Store, authority: Authority, clock: Arc<dyn Clock>) -> Self {
        Self { store, authority, clock }
    }
    /// Now, by the node's clock.
    pub fn now(&self) -> Time {
        self.clock.now()
    }
    /// Writes one event. When this returns, it is in the chain and survives the process.
    ///
    /// # Errors
    /// The store failed: what the event is about must not happen (security rule 11).
    pub async fn record(&self, event: AuditEvent) -> store::Result<Option<AuditEntry>> {
        let entries = self.batch(LogBatch { audit: vec![event], ..LogBatch::default() }).await?;
        Ok(entries.into_iter().next())
    }
    /// Writes an attempt to sign in, with its row for people.
    ///
    /// # Errors
    /// As [`Auditor::record`].
    pub async fn login(&self, event: AuditEvent, row: LoginLog) -> store::Result<()> {
        self.batch(LogBatch { audit: vec![event], logins: vec![row], ..LogBatch::default() }).await.map(drop)
    }
    /// Writes a view or an export, with its row for people.
    ///
    /// # Errors
    /// As [`Auditor::record`].
    pub async fn operate(&self, event: AuditEvent, row: OperateLog) -> store::Result<()> {
        self.batch(LogBatch { audit: vec![event], operate: vec![row], ..LogBatch::default() }).await.map(drop)
    }
    /// Writes several rows, all or nothing.
    ///
    /// # Errors
    /// As [`Auditor::record`].
    pub async fn batch(&self, batch: LogBatch) -> store::Result<Vec<AuditEntry>> {
        self.store.node(self.authority).log(batch).await
    }
}
