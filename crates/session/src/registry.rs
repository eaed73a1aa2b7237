//! Live sessions of this node, and the only way to reach them: a mailbox each.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use model::{Id, SessionRow};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::bus::Command;

/// Live sessions by id, the drain switch, and the tasks that must finish before the process may end.
#[derive(Clone, Default)]
pub struct Registry(Arc<Inner>);

#[derive(Default)]
struct Inner {
    live: Mutex<HashMap<Id<SessionRow>, mpsc::Sender<Command>>>,
    draining: AtomicBool,
    drain: CancellationToken,
    tasks: TaskTracker,
}

impl Registry {
    /// Enters a session; the guard takes it out again.
    pub(crate) fn enter(&self, id: Id<SessionRow>) -> (mpsc::Receiver<Command>, Entry) {
        let (tx, rx) = mpsc::channel(8);
        self.0.live.lock().insert(id, tx);
        metrics::gauge!("rampart_sessions_live").set(self.len() as f64);
        (rx, Entry { id, registry: self.clone() })
    }
    /// Passes a command to a session; `false` if it does not live here.
    pub fn send(&self, id: Id<SessionRow>, command: Command) -> bool {
        let sender = self.0.live.lock().get(&id).cloned();
        // A full mailbox means eight commands are waiting to be read; a kill among them is enough.
        sender.is_some_and(|s| s.try_send(command).is_ok() || !s.is_closed())
    }
    /// Whether a session lives here.
    pub fn contains(&self, id: Id<SessionRow>) -> bool {
        self.0.live.lock().contains_key(&id)
    }
    /// Ids of live sessions.
    pub fn ids(&self) -> Vec<Id<SessionRow>> {
        self.0.live.lock().keys().copied().collect()
    }
    /// Number of live sessions.
    pub fn len(&self) -> usize {
        self.0.live.lock().len()
    }
    /// No session lives here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// From now on no session may open. Live ones go on until [`Self::cut`].
    pub fn refuse_new(&self) {
        self.0.draining.store(true, Ordering::SeqCst);
    }
    /// Whether new sessions are refused.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::SeqCst)
    }
    /// Ends every live session as `drained`.
    pub fn cut(&self) {
        self.0.drain.cancel();
    }
    /// Turns ready when [`Self::cut`] was called.
    pub fn drain_token(&self) -> &CancellationToken {
        &self.0.drain
    }
    /// Tasks that close sessions; wait for them before ending.
    pub fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }
}

/// A session's place in the registry; leaving is dropping.
pub(crate) struct Entry {
    id: Id<SessionRow>,
    registry: Registry,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.0.live.lock().remove(&self.id);
        metrics::gauge!("rampart_sessions_live").set(self.registry.len() as f64);
    }
}
