//! Tables of the logs.

use model::{AuditEntry, AuditEvent, Command, LoginLog, OperateLog, PasswordChangeLog, RiskLevel, SessionRow};
use serde::Serialize;
use serde_json::Value;
use store::{Result, StoreError};

use crate::db::{Cells, Val, args, json, word};

/// A log's table.
#[derive(Debug)]
pub(crate) struct LogTable {
    /// Name, as in [`model::Listable::TABLE`].
    pub(crate) name: &'static str,
    /// Columns in the order of `read`.
    pub(crate) columns: &'static str,
    /// When it happened.
    pub(crate) at: &'static str,
    /// What makes an order total.
    pub(crate) last: &'static [&'static str],
    /// Condition with one `?` that a row of an organization meets.
    pub(crate) reach: &'static str,
    /// The row in its JSON form.
    pub(crate) read: fn(&mut Cells) -> Result<Value>,
}

const SESSION: &str = "id,org_id,user_id,user_name,asset_id,asset_name,account_id,account_name,protocol,kind,login_from,remote_addr,node_id,decision_id,connection_id,state,is_success,end_reason,end_fault,exit_code,recording,recording_hash,recording_size,command_amount,bytes_in,bytes_out,date_start,date_end,date_alive,comment";
const COMMAND: &str = "id,org_id,session_id,user_name,asset_name,account_name,remote_addr,input,output,risk_level,happened_at,offset_ms,duration_ms";
const LOGIN: &str = "id,username,user_id,login_type,ip,user_agent,mfa,backend,reason,status,happened_at";
const OPERATE: &str = "id,org_id,user_name,action,resource_type,resource,resource_id,diff_before,diff_after,remote_addr,happened_at";
const PASSWORD: &str = "id,user_name,change_by,remote_addr,happened_at";
const AUDIT: &str = "node_id,seq,event,prev_hash,hash";
const MEMBER: &str = "t.user_id IN (SELECT user_id FROM role_bindings WHERE org_id = ?)";

static TABLES: [LogTable; 6] = [
    LogTable { name: "sessions", columns: SESSION, at: "date_start", last: &["id"], reach: "t.org_id = ?", read: |c| to_json(session(c)) },
    LogTable { name: "commands", columns: COMMAND, at: "happened_at", last: &["id"], reach: "t.org_id = ?", read: |c| to_json(command(c)) },
    LogTable { name: "login_logs", columns: LOGIN, at: "happened_at", last: &["id"], reach: MEMBER, read: |c| to_json(login(c)) },
    LogTable { name: "operate_logs", columns: OPERATE, at: "happened_at", last: &["id"], reach: "t.org_id = ?", read: |c| to_json(operate(c)) },
    LogTable { name: "password_change_logs", columns: PASSWORD, at: "happened_at", last: &["id"], reach: MEMBER, read: |c| to_json(password(c)) },
    LogTable { name: "audit_entries", columns: AUDIT, at: "happened_at", last: &["seq", "node_id"], reach: "t.org_id = ?", read: |c| to_json(audit_entry(c)) },
];

impl LogTable {
    /// By name.
    pub(crate) fn named(name: &str) -> Option<&'static LogTable> {
        TABLES.iter().find(|t| t.name == name)
    }
    /// Columns of session rows.
    pub(crate) const SESSION: &'static str = SESSION;
    /// Columns of audit rows.
    pub(crate) const AUDIT: &'static str = AUDIT;
    /// Columns that [`session_values`] fills.
    pub(crate) const SESSION_WRITE: [&'static str; 2] = [SESSION, ",is_finished"];
    /// Columns that [`command_values`] fills.
    pub(crate) const COMMAND: &'static str = COMMAND;
    /// Columns that [`login_values`] fills.
    pub(crate) const LOGIN: &'static str = LOGIN;
    /// Columns that [`operate_values`] fills.
    pub(crate) const OPERATE: &'static str = OPERATE;
}

fn to_json<T: Serialize>(row: Result<T>) -> Result<Value> {
    serde_json::to_value(row?).map_err(|e| StoreError::Corrupt(e.to_string()))
}

pub(crate) fn session(c: &mut Cells) -> Result<SessionRow> {
    Ok(SessionRow {
        id: c.id()?,
        org: c.id()?,
        user_id: c.id()?,
        user: c.text()?,
        asset_id: c.id()?,
        asset: c.text()?,
        account_id: c.opt_id()?,
        account: c.text()?,
        protocol: c.text()?,
        kind: c.word()?,
        login_from: c.word()?,
        remote_addr: c.text()?,
        node_id: c.text()?,
        decision_id: c.text()?,
        connection_id: c.text()?,
        state: c.word()?,
        is_success: c.bool()?,
        end_reason: c.opt_word()?,
        end_fault: c.opt_word()?,
        exit_code: c.opt_int()?,
        recording: c.opt_text()?,
        recording_hash: c.opt_text()?,
        recording_size: c.int()?,
        command_amount: c.int()?,
        bytes_in: c.int()?,
        bytes_out: c.int()?,
        date_start: c.time()?,
        date_end: c.opt_time()?,
        date_alive: c.time()?,
        comment: c.text()?,
    })
}

pub(crate) fn session_values(s: &SessionRow) -> Vec<Val> {
    args![
        s.id,
        s.org,
        s.user_id,
        &s.user,
        s.asset_id,
        &s.asset,
        s.account_id,
        &s.account,
        &s.protocol,
        word(&s.kind),
        word(&s.login_from),
        &s.remote_addr,
        &s.node_id,
        &s.decision_id,
        &s.connection_id,
        word(&s.state),
        s.is_success,
        s.end_reason.as_ref().map(word),
        s.end_fault.as_ref().map(word),
        s.exit_code,
        &s.recording,
        &s.recording_hash,
        s.recording_size,
        s.command_amount,
        s.bytes_in,
        s.bytes_out,
        s.date_start,
        s.date_end,
        s.date_alive,
        &s.comment,
        s.is_finished()
    ]
}

fn command(c: &mut Cells) -> Result<Command> {
    Ok(Command {
        id: c.id()?,
        org: c.id()?,
        session: c.id()?,
        user: c.text()?,
        asset: c.text()?,
        account: c.text()?,
        remote_addr: c.text()?,
        input: c.text()?,
        output: c.text()?,
        risk_level: risk(c.int()?),
        timestamp: c.time()?,
        offset_ms: c.int()?,
        duration_ms: c.opt_int()?,
    })
}

pub(crate) fn command_values(c: &Command) -> Vec<Val> {
    args![
        c.id, c.org, c.session, &c.user, &c.asset, &c.account, &c.remote_addr, &c.input, &c.output, c.risk_level as i64, c.timestamp, c.offset_ms,
        c.duration_ms
    ]
}

fn risk(n: i64) -> RiskLevel {
    use RiskLevel::{Accept, Reject, ReviewAccept, ReviewCancel, ReviewReject, Warning};
    [Warning, Reject, ReviewReject, ReviewAccept, ReviewCancel].into_iter().find(|r| *r as i64 == n).unwrap_or(Accept)
}

fn login(c: &mut Cells) -> Result<LoginLog> {
    Ok(LoginLog {
        id: c.id()?,
        username: c.text()?,
        user_id: c.opt_id()?,
        login_type: c.word()?,
        ip: c.text()?,
        user_agent: c.text()?,
        mfa: c.word()?,
        backend: c.text()?,
        reason: c.text()?,
        status: c.bool()?,
        datetime: c.time()?,
    })
}

pub(crate) fn login_values(l: &LoginLog) -> Vec<Val> {
    args![l.id, &l.username, l.user_id, word(&l.login_type), &l.ip, &l.user_agent, word(&l.mfa), &l.backend, &l.reason, l.status, l.datetime]
}

fn operate(c: &mut Cells) -> Result<OperateLog> {
    Ok(OperateLog {
        id: c.id()?,
        org: c.opt_id()?,
        user: c.text()?,
        action: c.text()?,
        resource_type: c.text()?,
        resource: c.text()?,
        resource_id: c.text()?,
        before: c.json()?,
        after: c.json()?,
        remote_addr: c.text()?,
        datetime: c.time()?,
    })
}

pub(crate) fn operate_values(o: &OperateLog) -> Vec<Val> {
    args![o.id, o.org, &o.user, &o.action, &o.resource_type, &o.resource, &o.resource_id, json(&o.before), json(&o.after), &o.remote_addr, o.datetime]
}

fn password(c: &mut Cells) -> Result<PasswordChangeLog> {
    Ok(PasswordChangeLog { id: c.id()?, user: c.text()?, change_by: c.text()?, remote_addr: c.text()?, datetime: c.time()? })
}

pub(crate) fn audit_entry(c: &mut Cells) -> Result<AuditEntry> {
    Ok(AuditEntry { node_id: c.text()?, seq: c.int()?, event: c.json()?, prev_hash: c.text()?, hash: c.text()? })
}

/// Columns that [`audit_values`] fills.
pub(crate) const AUDIT_WRITE: &str = "node_id,seq,event,prev_hash,hash,kind,org_id,actor,actor_id,target,target_id,session_id,remote_addr,happened_at";

pub(crate) fn audit_values(e: &AuditEntry) -> Vec<Val> {
    let AuditEvent { kind, org, actor, actor_id, target, target_id, session, remote_addr, at, .. } = &e.event;
    // INVARIANT: the same text that was hashed, see `AuditEntry::digest`
    let body = serde_json::to_value(&e.event).map(|v| v.to_string()).unwrap_or_default();
    args![&e.node_id, e.seq, body, &e.prev_hash, &e.hash, kind, *org, actor, *actor_id, target, target_id, *session, remote_addr, *at]
}
