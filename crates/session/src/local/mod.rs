//! The control plane of a node that holds the database itself.
//!
//! Split by what is asked: [`targets`] (lists, names, accounts), [`decide`] (grants and refusals), [`evidence`] (rows,
//! host keys, secrets), [`watch`] (live grants judged again when something changes).

mod decide;
mod evidence;
mod targets;
mod watch;

use std::{net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use model::{Asset, AuditEvent, Clock, Id, MessagePair, Page, SessionRow};
use parking_lot::Mutex;
use policy::{Authority, Connect, Granted, Identity};
use recording::Spool;
use store::{LogBatch, Store};
use vault::Vault;

use crate::{
    Registry,
    bus::Bus,
    control::{
        AccountChoice, Ask, ControlPlane, End, HostKeyVerdict, Limits, Login, LoginStart, Opening, SeenHostKey, Target, TargetQuery, TargetSecret, Totals,
    },
};

pub use evidence::recover;

/// Where logins begin; the identity backends live in another crate.
#[async_trait]
pub trait LoginDoor: Send + Sync {
    /// Begins one.
    async fn begin(&self, start: LoginStart) -> Box<dyn Login>;
}

/// Limits of sessions, from the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Longest time without input.
    pub max_idle: Duration,
    /// Longest session.
    pub max_session: Duration,
    /// Warning before either.
    pub warn: Duration,
    /// Most live sessions on this node.
    pub max_sessions: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_idle: Duration::from_secs(30 * 60), max_session: Duration::from_secs(24 * 3600), warn: Duration::from_secs(60), max_sessions: 20_000 }
    }
}

/// What a local control plane is made of.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The node's own right to keep its books.
    pub authority: Authority,
    /// Opens secrets for grants.
    pub vault: Arc<Vault>,
    /// News of changes.
    pub bus: Arc<dyn Bus>,
    /// Live sessions.
    pub registry: Registry,
    /// Recordings.
    pub spool: Spool,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// This node's name.
    pub node_id: String,
    /// Logins.
    pub doors: Arc<dyn LoginDoor>,
    /// Limits.
    pub settings: Settings,
}

/// The control plane over the local store.
pub struct LocalControl {
    parts: Parts,
    grants: Arc<Mutex<watch::Grants>>,
    nudge: Arc<tokio::sync::Notify>,
}

impl LocalControl {
    /// Starts it, with the task that judges live grants again.
    pub fn start(parts: Parts) -> Arc<Self> {
        let control = Arc::new(Self { parts, grants: Arc::default(), nudge: Arc::default() });
        watch::spawn(&control);
        control
    }

    fn audit_event(&self, kind: &str, who: Option<&Identity>, client: &str) -> AuditEvent {
        AuditEvent {
            kind: kind.to_owned(),
            org: None,
            actor: who.map_or_else(|| "System".to_owned(), |w| w.display().to_owned()),
            actor_id: who.map(Identity::user),
            target: String::new(),
            target_id: String::new(),
            session: None,
            remote_addr: client.to_owned(),
            at: self.parts.clock.now(),
            data: serde_json::Value::Null,
        }
    }

    /// Writes evidence; the error is for the person and fails the act.
    async fn evidence(&self, batch: LogBatch) -> Result<(), MessagePair> {
        match self.parts.store.node(self.parts.authority).log(batch).await {
            Ok(_) => Ok(()),
            Err(e) => {
                tracing::error!(error = %e, "evidence cannot be written");
                Err(MessagePair::new("session.evidence_unavailable", e.to_string()))
            }
        }
    }

    fn unavailable(e: &store::StoreError) -> MessagePair {
        tracing::error!(error = %e, "store failed");
        MessagePair::new("system.unavailable", e.to_string())
    }
}

#[async_trait]
impl ControlPlane for LocalControl {
    async fn login(&self, start: LoginStart) -> Box<dyn Login> {
        self.parts.doors.begin(start).await
    }
    async fn targets(&self, who: &Identity, query: &TargetQuery) -> Result<Page<Target>, MessagePair> {
        self.list_targets(who, query).await
    }
    async fn folders(&self, who: &Identity) -> Result<Vec<(String, u64)>, MessagePair> {
        self.list_folders(who).await
    }
    async fn resolve(&self, who: &Identity, client: IpAddr, written: &str) -> Result<Target, MessagePair> {
        self.resolve_target(who, client, written).await
    }
    async fn accounts(&self, who: &Identity, asset: Id<Asset>, protocol: &str) -> Result<Vec<AccountChoice>, MessagePair> {
        self.list_accounts(who, asset, protocol).await
    }
    async fn authorize(&self, who: &Identity, ask: &Ask) -> Result<Granted<Connect>, MessagePair> {
        self.decide(who, ask).await
    }
    async fn refused(&self, who: &Identity, target: &str, what: &str, client: IpAddr) {
        let mut event = self.audit_event("session.refused", Some(who), &client.to_string());
        event.target = target.to_owned();
        event.data = serde_json::json!({ "what": what });
        let _ = self.evidence(LogBatch { audit: vec![event], ..Default::default() }).await;
    }
    async fn open(&self, granted: &Granted<Connect>, opening: &Opening) -> Result<SessionRow, MessagePair> {
        self.open_row(granted, opening).await
    }
    async fn secret(&self, granted: &Granted<Connect>) -> Result<TargetSecret, MessagePair> {
        self.open_secret(granted).await
    }
    async fn check_host_key(&self, granted: &Granted<Connect>, seen: &SeenHostKey) -> Result<HostKeyVerdict, MessagePair> {
        self.judge_host_key(granted, seen).await
    }
    async fn advance(&self, row: &SessionRow) -> Result<(), MessagePair> {
        self.evidence(LogBatch { sessions_updated: vec![row.clone()], ..Default::default() }).await
    }
    async fn commands(&self, commands: Vec<model::Command>) -> Result<(), MessagePair> {
        self.evidence(LogBatch { commands, ..Default::default() }).await
    }
    async fn close(&self, row: SessionRow, end: &End, totals: &Totals) {
        self.close_row(row, end, totals).await;
    }
    fn limits(&self, _: &Granted<Connect>) -> Limits {
        let s = &self.parts.settings;
        Limits { idle: s.max_idle, max: s.max_session, warn: s.warn }
    }
    fn registry(&self) -> &Registry {
        &self.parts.registry
    }
    fn spool(&self) -> &Spool {
        &self.parts.spool
    }
    fn clock(&self) -> &dyn Clock {
        &*self.parts.clock
    }
}
