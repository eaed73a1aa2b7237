//! A node with a database, a key and recordings in a temporary directory.

use std::{path::PathBuf, sync::Arc};

use audit::{By, Checkpointer, NodeKey, Verification, events, verify_store};
use model::{AuditEvent, EndReason, SessionRow, SessionState};
use policy::Authority;
use recording::{EndSummary, Event, Header, Signer, Spool, SpoolOptions};
use store::{LogBatch, Store};
use tempfile::TempDir;
use testkit::{ManualClock, fixtures};

pub struct Node {
    pub dir: TempDir,
    pub store: Store,
    pub key: NodeKey,
    pub spool: Spool,
}

pub fn authority() -> Authority {
    Authority::of_this_node()
}

pub fn event(n: i64) -> AuditEvent {
    By::system().event(&format!("test.{n}"), fixtures::at(n))
}

impl Node {
    pub async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let key = NodeKey::load_or_create(dir.path().join("keys/audit.key")).unwrap();
        let spool = Spool::start(dir.path().join("recordings"), SpoolOptions::new(Arc::new(key.clone()))).unwrap();
        let store = open(&dir).await;
        Self { dir, store, key, spool }
    }
    pub fn database(&self) -> PathBuf {
        self.dir.path().join("rampart.db")
    }
    pub fn checkpoint_file(&self) -> PathBuf {
        self.dir.path().join("audit/checkpoints.jsonl")
    }
    pub fn recordings(&self) -> PathBuf {
        self.dir.path().join("recordings")
    }
    pub fn keys(&self) -> Vec<String> {
        vec![self.key.public_key().to_owned()]
    }
    pub async fn log(&self, events: Vec<AuditEvent>) {
        self.store.node(authority()).log(LogBatch { audit: events, ..LogBatch::default() }).await.unwrap();
    }
    pub async fn start_checkpointer(&self) -> Result<Checkpointer, audit::CheckpointError> {
        let clock = Arc::new(ManualClock::at(fixtures::at(9)));
        Checkpointer::start(self.store.clone(), authority(), "local", self.key.clone(), self.checkpoint_file(), clock).await
    }
    /// Signs the end of the chain.
    pub async fn sign(&self) {
        self.start_checkpointer().await.unwrap().stop().await;
    }
    /// A recorded session from open to close.
    pub async fn session(&self, says: &str) -> SessionRow {
        let (user, asset) = (fixtures::user("alice"), fixtures::asset(model::Org::DEFAULT, "db1", "10.0.0.5", &[]));
        let mut row = fixtures::session(asset.org, &user, &asset);
        let by = By::system();
        let opened = events::session_open(&by, &row, serde_json::json!({"rules": []}), fixtures::at(1));
        self.put(LogBatch { audit: vec![opened], sessions_opened: vec![row.clone()], ..LogBatch::default() }).await;
        let header = Header { session: row.id.uuid(), started_at: fixtures::start().timestamp_micros(), ..Header::default() };
        let mut r = self.spool.open(header).await.unwrap();
        for n in 0..3 {
            r.push(n, Event::Output(format!("{n} {says}").into_bytes().into())).await.unwrap();
            r.flush().await.unwrap();
        }
        let done = r.close(EndSummary { reason: "client".into(), ..EndSummary::default() }).await.unwrap();
        row.state = SessionState::Closed;
        row.end_reason = Some(EndReason::Client);
        row.recording = Some(done.path);
        row.recording_hash = Some(done.hash);
        row.recording_size = i64::try_from(done.size).unwrap();
        row.date_end = Some(fixtures::at(2));
        let closed = events::session_close(&by, &row, "", fixtures::at(2));
        self.put(LogBatch { audit: vec![closed], sessions_updated: vec![row.clone()], ..LogBatch::default() }).await;
        row
    }
    pub async fn put(&self, batch: LogBatch) {
        self.store.node(authority()).log(batch).await.unwrap();
    }
    pub async fn verify(&self) -> Verification {
        verify_store(&self.store, authority(), &self.recordings(), &self.checkpoint_file(), &self.keys(), &mut |_| {}).await.unwrap()
    }
    /// Stops the server, changes the database behind its back, starts it again.
    pub async fn behind_its_back(&mut self, statements: &[&str]) {
        self.stop().await;
        let c = rusqlite::Connection::open(self.database()).unwrap();
        for s in statements {
            c.execute_batch(s).unwrap();
            assert!(c.changes() > 0 || s.starts_with("PRAGMA"), "{s}");
        }
        c.close().unwrap();
        self.store = open(&self.dir).await;
    }
    pub async fn stop(&self) {
        self.store.node(authority()).close().await;
    }
    pub async fn start(&mut self) {
        self.store = open(&self.dir).await;
    }
}

async fn open(dir: &TempDir) -> Store {
    let url = format!("sqlite://{}", dir.path().join("rampart.db").display());
    store_sql::open(&url, store_sql::Options::default()).await.unwrap()
}
