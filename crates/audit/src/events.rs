//! Everything that is audited, by kind. `docs/audit-events.md` lists the kinds and their data.

use model::{AuditEvent, Id, Kind, LoginLog, OperateLog, Org, Record, SessionRow, Time, User};
use policy::Identity;
use serde_json::{Value, json};

use crate::diff::diff;

/// Who did something, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// `Name(username)`, `System`, or what somebody who is not signed in called himself.
    pub actor: String,
    /// The person, if proved.
    pub actor_id: Option<Id<User>>,
    /// Client address.
    pub remote_addr: String,
}

impl By {
    /// A proved person.
    pub fn person(who: &Identity) -> Self {
        Self { actor: who.display().to_owned(), actor_id: Some(who.user()), remote_addr: who.client().to_owned() }
    }
    /// The node itself.
    pub fn system() -> Self {
        Self { actor: "System".into(), actor_id: None, remote_addr: String::new() }
    }
    /// Somebody who claims a name.
    pub fn stranger(username: &str, remote_addr: &str) -> Self {
        Self { actor: username.chars().take(128).collect(), actor_id: None, remote_addr: remote_addr.to_owned() }
    }
    /// An event of this actor, with empty target and data.
    pub fn event(&self, kind: &str, at: Time) -> AuditEvent {
        AuditEvent {
            kind: kind.to_owned(),
            org: None,
            actor: self.actor.clone(),
            actor_id: self.actor_id,
            target: String::new(),
            target_id: String::new(),
            session: None,
            remote_addr: self.remote_addr.clone(),
            at,
            data: Value::Null,
        }
    }
}

/// The kinds, so that writers and readers spell them alike.
pub mod kind {
    #![allow(missing_docs, reason = "docs/audit-events.md says what each means")]
    pub const LOGIN_SUCCESS: &str = "login.success";
    pub const LOGIN_FAILED: &str = "login.failed";
    pub const LOGIN_LOCKED: &str = "login.locked";
    pub const LOGOUT: &str = "login.logout";
    pub const SESSION_OPEN: &str = "session.open";
    pub const SESSION_CLOSE: &str = "session.close";
    pub const SESSION_DENIED: &str = "session.denied";
    pub const SESSION_REFUSED: &str = "session.refused";
    pub const SESSION_KILL: &str = "session.kill";
    pub const SESSION_REMOVED: &str = "session.removed";
    pub const REPLAY_VIEW: &str = "replay.view";
    pub const REPLAY_DOWNLOAD: &str = "replay.download";
    pub const RECORDING_REMOVED: &str = "recording.removed";
    pub const SECRET_REVEAL: &str = "secret.reveal";
    pub const EVIDENCE_EXPORT: &str = "evidence.export";
    pub const ACCESS_DENIED: &str = "access.denied";
    pub const NODE_START: &str = "node.start";
    pub const NODE_STOP: &str = "node.stop";
}

/// An attempt to sign in, from its row.
pub fn login(by: &By, row: &LoginLog) -> AuditEvent {
    let mut e = by.event(if row.status { kind::LOGIN_SUCCESS } else { kind::LOGIN_FAILED }, row.datetime);
    e.target.clone_from(&row.username);
    e.target_id = row.user_id.map(|u| u.to_string()).unwrap_or_default();
    e.data = json!({ "type": row.login_type, "backend": row.backend, "mfa": row.mfa, "reason": row.reason, "user_agent": row.user_agent });
    e
}

/// An account or address was locked after failures.
pub fn login_locked(by: &By, scope: &str, value: &str, failures: u32, at: Time) -> AuditEvent {
    let mut e = by.event(kind::LOGIN_LOCKED, at);
    e.target = value.to_owned();
    e.data = json!({ "scope": scope, "failures": failures });
    e
}

fn about_session(by: &By, kind: &str, row: &SessionRow, at: Time) -> AuditEvent {
    let mut e = by.event(kind, at);
    e.org = Some(row.org);
    e.target.clone_from(&row.asset);
    e.target_id = row.asset_id.to_string();
    e.session = Some(row.id);
    e
}

/// A session was opened. `extra` adds to the data (rules, obligations).
pub fn session_open(by: &By, row: &SessionRow, extra: Value, at: Time) -> AuditEvent {
    let mut e = about_session(by, kind::SESSION_OPEN, row, at);
    e.data = json!({
        "account": row.account, "protocol": row.protocol, "kind": row.kind, "login_from": row.login_from,
        "decision": row.decision_id, "connection": row.connection_id,
    });
    if let (Some(data), Value::Object(extra)) = (e.data.as_object_mut(), extra) {
        data.extend(extra);
    }
    e
}

/// A session was closed. Links the recording: path, final hash, size.
pub fn session_close(by: &By, row: &SessionRow, detail: &str, at: Time) -> AuditEvent {
    let mut e = about_session(by, kind::SESSION_CLOSE, row, at);
    e.data = json!({
        "reason": row.end_reason, "fault": row.end_fault, "detail": detail, "exit_code": row.exit_code,
        "bytes_in": row.bytes_in, "bytes_out": row.bytes_out, "commands": row.command_amount,
        "recording": row.recording, "recording_hash": row.recording_hash, "recording_size": row.recording_size,
    });
    e
}

/// An administrator ended a session.
pub fn session_killed(by: &By, row: &SessionRow, at: Time) -> AuditEvent {
    let mut e = about_session(by, kind::SESSION_KILL, row, at);
    e.data = json!({ "user": row.user });
    e
}

/// Somebody watched a recording, or took it away (`download`, with the format).
pub fn replay(by: &By, row: &SessionRow, download: Option<&str>, at: Time) -> AuditEvent {
    let mut e = about_session(by, if download.is_some() { kind::REPLAY_DOWNLOAD } else { kind::REPLAY_VIEW }, row, at);
    e.data = json!({ "user": row.user, "format": download });
    e
}

/// A recording was removed by retention or by hand. Verification accepts its absence from here on.
pub fn recording_removed(by: &By, row: &SessionRow, why: &str, at: Time) -> AuditEvent {
    let mut e = about_session(by, kind::RECORDING_REMOVED, row, at);
    e.data = json!({ "recording": row.recording, "recording_hash": row.recording_hash, "why": why });
    e
}

/// A session row was removed by retention. Verification accepts its absence from here on.
pub fn session_removed(by: &By, row: &SessionRow, why: &str, at: Time) -> AuditEvent {
    let mut e = about_session(by, kind::SESSION_REMOVED, row, at);
    e.data = json!({ "why": why });
    e
}

/// A connection was refused.
pub fn session_denied(by: &By, org: Option<Id<Org>>, target: &str, reason: &str, data: Value, at: Time) -> AuditEvent {
    let mut e = by.event(kind::SESSION_DENIED, at);
    e.org = org;
    e.target = target.chars().take(256).collect();
    e.data = json!({ "reason": reason, "facts": data });
    e
}

/// An administrative act was refused.
pub fn access_denied(by: &By, org: Option<Id<Org>>, permission: &str, target: &str, at: Time) -> AuditEvent {
    let mut e = by.event(kind::ACCESS_DENIED, at);
    e.org = org;
    e.target = target.chars().take(256).collect();
    e.data = json!({ "permission": permission });
    e
}

/// Somebody was shown a stored secret.
pub fn secret_revealed(by: &By, account: &model::Account, version: i64, at: Time) -> AuditEvent {
    let mut e = by.event(kind::SECRET_REVEAL, at);
    e.org = Some(account.org);
    e.target = format!("{}({})", account.name, account.username);
    e.target_id = account.id.to_string();
    e.data = json!({ "asset": account.asset, "version": version });
    e
}

/// Evidence left the house.
pub fn evidence_exported(by: &By, sessions: usize, bytes: u64, at: Time) -> AuditEvent {
    let mut e = by.event(kind::EVIDENCE_EXPORT, at);
    e.data = json!({ "sessions": sessions, "bytes": bytes });
    e
}

/// An object was made, changed or deleted: the event and the row for people. Secret fields are masked.
/// `None` if both sides are missing.
pub fn object_changed(by: &By, before: Option<&Record>, after: Option<&Record>, at: Time) -> Option<(AuditEvent, OperateLog)> {
    let action = match (before, after) {
        (None, Some(_)) => "create",
        (Some(_), Some(_)) => "update",
        (Some(_), None) => "delete",
        (None, None) => return None,
    };
    let record = after.or(before)?;
    let (old, new) = diff(before, after);
    let mut e = by.event(&format!("{}.{action}", record.kind().resource()), at);
    e.org = record.org();
    e.target = name_of(record);
    e.target_id = record.uuid().to_string();
    e.data = json!({ "before": old, "after": new });
    let row = operate_row(by, action, record.kind(), &e, old, new);
    Some((e, row))
}

/// Objects were viewed or exported (`action`), which changes nothing.
pub fn object_seen(by: &By, action: &str, record: &Record, at: Time) -> (AuditEvent, OperateLog) {
    let mut e = by.event(&format!("{}.{action}", record.kind().resource()), at);
    e.org = record.org();
    e.target = name_of(record);
    e.target_id = record.uuid().to_string();
    let row = operate_row(by, action, record.kind(), &e, Value::Object(serde_json::Map::new()), Value::Object(serde_json::Map::new()));
    (e, row)
}

fn name_of(record: &Record) -> String {
    if record.name().is_empty() { record.uuid().to_string() } else { record.name().to_owned() }
}

fn operate_row(by: &By, action: &str, kind: Kind, e: &AuditEvent, before: Value, after: Value) -> OperateLog {
    OperateLog {
        id: Id::generate(),
        org: e.org,
        user: by.actor.clone(),
        action: action.to_owned(),
        resource_type: kind.resource().to_owned(),
        resource: e.target.clone(),
        resource_id: e.target_id.clone(),
        before,
        after,
        remote_addr: by.remote_addr.clone(),
        datetime: e.at,
    }
}
