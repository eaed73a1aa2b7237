//! Evidence: the audit chain, sessions, commands and logs.

use model::{AuditEntry, AuditEvent, OperateLog, PasswordChangeLog, SessionRow, SessionState, User};
use serde_json::Value;
use store::{LogBatch, Result, StoreError};

use super::Tx;
use crate::{
    db::{Link, Val, args, marks, micros, word},
    read,
    rows::{AUDIT_WRITE, LogTable, audit_values, command_values, login_values, operate_values, session_values},
};

/// Several batches as one, in order.
pub(super) fn join(batches: &[&LogBatch]) -> LogBatch {
    let mut all = LogBatch::default();
    for b in batches {
        all.audit.extend_from_slice(&b.audit);
        all.logins.extend_from_slice(&b.logins);
        all.operate.extend_from_slice(&b.operate);
        all.commands.extend_from_slice(&b.commands);
        all.sessions_opened.extend_from_slice(&b.sessions_opened);
        all.sessions_updated.extend_from_slice(&b.sessions_updated);
    }
    all
}

/// Applies a batch.
pub(super) async fn apply(tx: &mut Tx, batch: LogBatch) -> Result<Vec<AuditEntry>> {
    let LogBatch { audit, logins, operate, commands, sessions_opened, sessions_updated } = batch;
    let [columns, more] = LogTable::SESSION_WRITE;
    tx.link.insert_many("sessions", &format!("{columns}{more}"), sessions_opened.iter().map(session_values).collect()).await.map_err(twice("session"))?;
    for s in &sessions_updated {
        update_session(&mut tx.link, s).await?;
    }
    tx.link.insert_many("login_logs", LogTable::LOGIN, logins.iter().map(login_values).collect()).await.map_err(twice("login log row"))?;
    operate_rows(&mut tx.link, &operate).await?;
    tx.link.insert_many("commands", LogTable::COMMAND, commands.iter().map(command_values).collect()).await.map_err(twice("command"))?;
    chain(tx, audit).await
}

/// An id that exists already is the only conflict that log tables know.
fn twice(what: &'static str) -> impl Fn(StoreError) -> StoreError {
    move |e| if matches!(e, StoreError::Conflict(_)) { StoreError::Conflict(what.to_owned()) } else { e }
}

/// Appends events to this node's chain.
pub(super) async fn chain(tx: &mut Tx, events: Vec<AuditEvent>) -> Result<Vec<AuditEntry>> {
    let entries: Vec<AuditEntry> = events.into_iter().map(|e| tx.head.link(storable(e))).collect();
    let stored = tx.link.insert_many("audit_entries", AUDIT_WRITE, entries.iter().map(audit_values).collect()).await;
    match stored {
        Ok(()) => Ok(entries),
        // somebody else wrote to this chain: a second server with the same node id. Start over from what is stored.
        Err(StoreError::Conflict(_)) => Err(StoreError::Unavailable(format!("another process writes the audit chain of node `{}`", tx.head.node_id))),
        Err(e) => Err(e),
    }
}

/// The event as it will be read back, so that its hash can be checked for ever: times in microseconds, and numbers as
/// JSON text gives them again.
fn storable(mut event: AuditEvent) -> AuditEvent {
    event.at = micros(event.at);
    if has_float(&event.data) {
        for _ in 0..3 {
            match serde_json::from_str::<Value>(&event.data.to_string()) {
                Ok(again) if again != event.data => event.data = again,
                _ => break,
            }
        }
    }
    event
}

fn has_float(v: &Value) -> bool {
    match v {
        Value::Number(n) => n.is_f64(),
        Value::Array(a) => a.iter().any(has_float),
        Value::Object(o) => o.values().any(has_float),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// Changes a session's row along its life cycle.
async fn update_session(link: &mut Link, s: &SessionRow) -> Result<()> {
    let before: Vec<SessionState> = SessionState::ALL.into_iter().filter(|b| b.may_become(s.state) || (*b == s.state && *b != SessionState::Closed)).collect();
    let [columns, more] = LogTable::SESSION_WRITE;
    let set = format!("{columns}{more}").split(',').skip(1).map(|c| format!("{c} = ?")).collect::<Vec<_>>().join(",");
    let mut values: Vec<Val> = session_values(s).into_iter().skip(1).collect();
    values.push(s.id.into());
    values.extend(before.iter().map(|b| Val::from(word(b))));
    let sql = format!("UPDATE sessions SET {set} WHERE id = ? AND state IN ({})", marks(before.len()));
    if link.exec(&sql, values).await? > 0 {
        return Ok(());
    }
    let name = || format!("session {}", s.id);
    let Some(mut row) = link.first("SELECT state FROM sessions WHERE id = ?", args![s.id]).await? else { return Err(StoreError::Missing(name())) };
    // a late sign of life says nothing new; a second, different end is a mistake
    let late = row.word::<SessionState>()? == SessionState::Closed && (s.state != SessionState::Closed || same_end(link, s).await?);
    if late { Ok(()) } else { Err(StoreError::Stale(name())) }
}

async fn same_end(link: &mut Link, s: &SessionRow) -> Result<bool> {
    let sql = "SELECT count(*) FROM sessions WHERE id = ? AND end_reason = ? AND (recording_hash = ? OR recording_hash IS NULL)";
    Ok(link.number(sql, args![s.id, s.end_reason.as_ref().map(word), &s.recording_hash]).await? > 0)
}

/// Operate log rows.
pub(super) async fn operate_rows(link: &mut Link, rows: &[OperateLog]) -> Result<()> {
    link.insert_many("operate_logs", LogTable::OPERATE, rows.iter().map(operate_values).collect()).await.map_err(twice("operate log row"))
}

/// Password change rows. They name the person as `Name(username)`; the id is looked up, because it decides which
/// organizations see the row.
pub(super) async fn password_rows(link: &mut Link, rows: &[PasswordChangeLog]) -> Result<()> {
    let mut values = Vec::new();
    for row in rows {
        let mut user = None;
        if let Some(inner) = row.user.strip_suffix(')') {
            for (at, _) in inner.match_indices('(').collect::<Vec<_>>().into_iter().rev().take(8) {
                let username = inner.get(at + 1..).unwrap_or_default();
                user = read::user_by_username(link, username).await?.filter(|u: &User| row.user == format!("{}({})", u.name, u.username)).map(|u| u.id);
                if user.is_some() {
                    break;
                }
            }
        }
        values.push(args![row.id, user, &row.user, &row.change_by, &row.remote_addr, row.datetime]);
    }
    link.insert_many("password_change_logs", "id,user_id,user_name,change_by,remote_addr,happened_at", values).await.map_err(twice("password change row"))
}
