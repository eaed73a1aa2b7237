//! The only door for changes: store first, then the news.

use std::sync::Arc;

use store::{Committed, Store, UnitOfWork};

use crate::bus::{Bus, News};

/// Commits units of work and tells the node, so that live sessions are judged again at once.
#[derive(Clone)]
pub struct Committer {
    store: Store,
    bus: Arc<dyn Bus>,
}

impl Committer {
    /// Over a store and a bus.
    pub fn new(store: Store, bus: Arc<dyn Bus>) -> Self {
        Self { store, bus }
    }
    /// Applies a unit of work, then publishes the new revision.
    ///
    /// # Errors
    /// As [`Store::commit`]; nothing was changed and nothing published.
    pub async fn commit(&self, work: UnitOfWork) -> store::Result<Committed> {
        let done = self.store.commit(work).await?;
        self.bus.publish(News::Changed(done.revision));
        Ok(done)
    }
    /// The store, for reading.
    pub fn store(&self) -> &Store {
        &self.store
    }
}
