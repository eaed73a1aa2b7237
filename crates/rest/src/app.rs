//! What the API needs of the node, in one cheap handle.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Weak},
};

use audit::{Checkpointer, NodeKey};
use authn::Authenticator;
use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use model::{Clock, Time};
use policy::{Authority, Decider};
use recording::Spool;
use session::{Bus, Committer, Registry};
use store::Store;
use vault::Vault;

/// Everything an [`App`] is made of; filled in by `server`.
pub struct Parts {
    /// The store, for reading.
    pub store: Store,
    /// The door for changes.
    pub committer: Committer,
    /// Secrets.
    pub vault: Arc<Vault>,
    /// Logins, tokens, passwords.
    pub authn: Arc<Authenticator>,
    /// Live sessions of this node.
    pub registry: Registry,
    /// News to other nodes.
    pub bus: Arc<dyn Bus>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The right of the node itself, for its own bookkeeping.
    pub authority: Authority,
    /// Where recordings are written; asked by `/readyz`.
    pub spool: Spool,
    /// The data directory: `recordings/` and `audit/` lie in it.
    pub data_dir: PathBuf,
    /// Name of this node in its audit chain.
    pub node_id: String,
    /// Signs evidence that leaves the house.
    pub node_key: Arc<NodeKey>,
    /// Proxies whose word about the client's address counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Signs the head of the audit chain before evidence is exported.
    pub checkpointer: Weak<Checkpointer>,
    /// Metrics of the process, if they are collected.
    pub metrics: Option<PrometheusHandle>,
    /// Whether cookies are only sent over TLS; off only where TLS is switched off.
    pub secure_cookies: bool,
}

/// The API's view of the node. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

impl App {
    /// Over the parts of a node.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }
    pub(crate) fn committer(&self) -> &Committer {
        &self.0.committer
    }
    pub(crate) fn vault(&self) -> &Arc<Vault> {
        &self.0.vault
    }
    pub(crate) fn authn(&self) -> &Authenticator {
        &self.0.authn
    }
    pub(crate) fn registry(&self) -> &Registry {
        &self.0.registry
    }
    pub(crate) fn bus(&self) -> &dyn Bus {
        &*self.0.bus
    }
    pub(crate) fn now(&self) -> Time {
        self.0.clock.now()
    }
    pub(crate) fn authority(&self) -> Authority {
        self.0.authority
    }
    /// The node's own bookkeeping.
    pub(crate) fn node(&self) -> &dyn store::Backend {
        self.0.store.node(self.0.authority)
    }
    pub(crate) fn decider(&self) -> Decider {
        Decider
    }
    pub(crate) fn recordings(&self) -> PathBuf {
        self.0.data_dir.join("recordings")
    }
    pub(crate) fn data_dir(&self) -> &std::path::Path {
        &self.0.data_dir
    }
    /// Signs the head of the audit chain now.
    pub(crate) async fn sign_chain(&self) -> Result<(), String> {
        match self.0.checkpointer.upgrade() {
            Some(c) => c.sign_now().await.map_err(|e| e.to_string()),
            None => Err("no checkpointer".into()),
        }
    }
    pub(crate) fn secure_cookies(&self) -> bool {
        self.0.secure_cookies
    }
    pub(crate) fn node_key(&self) -> &NodeKey {
        &self.0.node_key
    }
    pub(crate) fn node_id(&self) -> &str {
        &self.0.node_id
    }
    pub(crate) fn metrics(&self) -> Option<&PrometheusHandle> {
        self.0.metrics.as_ref()
    }
    pub(crate) fn spool(&self) -> &Spool {
        &self.0.spool
    }
    pub(crate) fn is_trusted_proxy(&self, ip: IpAddr) -> bool {
        self.0.trusted_proxies.iter().any(|net| net.contains(&ip))
    }
}
