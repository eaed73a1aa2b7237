//! Logs for people, and the audit chain for proof (jb §6.1; architecture §6).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Id, MfaLevel, Org, SessionRow, Time, User};

/// How somebody signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LoginType {
    /// Browser or API.
    #[serde(rename = "W")]
    Web,
    /// SSH.
    #[serde(rename = "T")]
    Terminal,
    /// Local administrator on the node.
    #[serde(rename = "L")]
    Local,
}

/// One attempt to sign in, successful or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginLog {
    /// Id.
    pub id: Id<LoginLog>,
    /// As typed, cut to 128 characters.
    pub username: String,
    /// The person, if one was found.
    pub user_id: Option<Id<User>>,
    /// Door.
    pub login_type: LoginType,
    /// Client address.
    pub ip: String,
    /// Client program.
    pub user_agent: String,
    /// Whether a second factor took part.
    pub mfa: MfaLevel,
    /// `password`, `publickey`, `token`, …
    pub backend: String,
    /// Stable reason code, empty on success.
    pub reason: String,
    /// Success.
    pub status: bool,
    /// When.
    pub datetime: Time,
}

/// One change, view or export of an object by a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperateLog {
    /// Id.
    pub id: Id<OperateLog>,
    /// Organization; `None` for global objects.
    pub org: Option<Id<Org>>,
    /// `Name(username)`.
    pub user: String,
    /// `create`, `update`, `delete`, `view`, `export`, …
    pub action: String,
    /// `asset`, `user`, …
    pub resource_type: String,
    /// Its name.
    pub resource: String,
    /// Its id.
    pub resource_id: String,
    /// Changed fields before; secret fields read `******`.
    pub before: Value,
    /// Changed fields after; secret fields read `******`.
    pub after: Value,
    /// Client address.
    pub remote_addr: String,
    /// When.
    pub datetime: Time,
}

/// A password was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordChangeLog {
    /// Id.
    pub id: Id<PasswordChangeLog>,
    /// Whose.
    pub user: String,
    /// By whom.
    pub change_by: String,
    /// Client address.
    pub remote_addr: String,
    /// When.
    pub datetime: Time,
}

/// How dangerous a command was judged; the numbers are JumpServer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub enum RiskLevel {
    /// Nothing known against it.
    #[default]
    Accept = 0,
    /// Warned.
    Warning = 4,
    /// Refused by rule.
    Reject = 5,
    /// Refused by a reviewer.
    ReviewReject = 6,
    /// Allowed by a reviewer.
    ReviewAccept = 7,
    /// Review cancelled.
    ReviewCancel = 8,
}

/// One command somebody ran, as recognised from the screen or taken from an exec request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Id.
    pub id: Id<Command>,
    /// Owner of the session.
    pub org: Id<Org>,
    /// In which session.
    pub session: Id<SessionRow>,
    /// `Name(username)`.
    pub user: String,
    /// `name(address)`.
    pub asset: String,
    /// `name(username)`.
    pub account: String,
    /// Client address.
    pub remote_addr: String,
    /// The full text.
    pub input: String,
    /// Its output, cleaned of control sequences, at most 100 KiB; the recording has all of it.
    pub output: String,
    /// Judgement.
    pub risk_level: RiskLevel,
    /// When Enter was pressed.
    pub timestamp: Time,
    /// The same, in milliseconds since the start of the recording.
    pub offset_ms: i64,
    /// Milliseconds until the next prompt, if one was seen.
    pub duration_ms: Option<i64>,
}

/// Something that must be provable later: the draft of an audit entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// `session.open`, `login.failed`, `asset.update`, …
    pub kind: String,
    /// Organization; `None` for the installation.
    pub org: Option<Id<Org>>,
    /// `Name(username)` or `System`.
    pub actor: String,
    /// The actor's id, if a person.
    pub actor_id: Option<Id<User>>,
    /// What it was done to, as shown to people.
    pub target: String,
    /// Its id.
    pub target_id: String,
    /// Session it belongs to.
    pub session: Option<Id<SessionRow>>,
    /// Client address.
    pub remote_addr: String,
    /// When.
    pub at: Time,
    /// Typed details; secret fields never enter.
    pub data: Value,
}

/// An audit event in its place in a node's hash chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Which node's chain.
    pub node_id: String,
    /// Place in the chain, from 1, without gaps.
    pub seq: i64,
    /// The event.
    pub event: AuditEvent,
    /// Hash of the entry before; 64 zeros for the first.
    pub prev_hash: String,
    /// `BLAKE3(prev_hash ‖ node ‖ seq ‖ canonical JSON of the event)`, lower-case hex.
    pub hash: String,
}

/// The last link of a node's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// Which node's chain.
    pub node_id: String,
    /// Place of the last entry; 0 = empty.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
}

impl ChainHead {
    /// The head of an empty chain.
    pub fn empty(node_id: &str) -> Self {
        Self { node_id: node_id.to_owned(), seq: 0, hash: "0".repeat(64) }
    }

    /// Appends `event`: the entry to store, with `self` moved on to it.
    pub fn link(&mut self, event: AuditEvent) -> AuditEntry {
        let seq = self.seq + 1;
        let hash = AuditEntry::digest(&self.hash, &self.node_id, seq, &event);
        let entry = AuditEntry { node_id: self.node_id.clone(), seq, event, prev_hash: std::mem::replace(&mut self.hash, hash.clone()), hash };
        self.seq = seq;
        entry
    }
}

impl AuditEntry {
    /// The hash that the entry at (`node_id`, `seq`) with `event` must have after `prev_hash`.
    ///
    /// The event is hashed as JSON with sorted keys (serde_json's map is ordered) and each part is preceded by
    /// its length, so that no two different entries have the same input.
    pub fn digest(prev_hash: &str, node_id: &str, seq: i64, event: &AuditEvent) -> String {
        let body = serde_json::to_value(event).map(|v| v.to_string()).unwrap_or_default();
        let mut h = blake3::Hasher::new_derive_key("rampart audit entry v1");
        for part in [prev_hash.as_bytes(), node_id.as_bytes(), &seq.to_be_bytes(), body.as_bytes()] {
            h.update(&(part.len() as u64).to_be_bytes());
            h.update(part);
        }
        h.finalize().to_hex().to_string()
    }
}

/// A signed statement: "at this time the chain of this node stood here".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The head that is signed.
    pub head: ChainHead,
    /// When.
    pub at: Time,
    /// Hex Ed25519 public key of the node.
    pub key: String,
    /// Hex Ed25519 signature over `rampart-checkpoint-v1\n<node>\n<seq>\n<hash>\n<unix µs>`.
    pub signature: String,
}
