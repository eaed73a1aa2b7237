//! Logs for people, the audit chain, and its verification and export.

use axum::{
    Json,
    body::Body,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use model::{AuditEntry, Id, LoginLog, MessagePair, Op, OperateLog, PasswordChangeLog, SessionRow};
use policy::action::{ExportEvidence, ReadLog, VerifyAudit};
use serde_json::{Value, json};
use store::LogBatch;

use crate::{
    fail::Fail,
    guard::{Can, Resolve},
    labels::Labels,
    listing::{Listing, Lists},
    resource::Payload,
    resources::{
        choice, time,
        users::{MFA, mfa_number},
        word,
    },
};

const TYPES: &[(&str, &str)] = &[("W", "Web"), ("T", "Terminal"), ("L", "Local")];

pub(crate) const LOGINS: Lists = Lists {
    filters: &[
        ("id", "id", Op::Eq),
        ("username", "username", Op::Eq),
        ("ip", "ip", Op::Eq),
        ("type", "type", Op::Eq),
        ("status", "status", Op::Eq),
        ("mfa", "mfa", Op::Eq),
        ("backend", "backend", Op::Eq),
        ("reason", "reason", Op::Eq),
        ("date_from", "datetime", Op::Ge),
        ("date_to", "datetime", Op::Lt),
    ],
    orders: &[("datetime", "datetime"), ("username", "username"), ("ip", "ip")],
};
pub(crate) const OPERATES: Lists = Lists {
    filters: &[
        ("id", "id", Op::Eq),
        ("user", "user", Op::Contains),
        ("action", "action", Op::Eq),
        ("resource_type", "resource_type", Op::Eq),
        ("resource", "resource", Op::Contains),
        ("resource_id", "resource_id", Op::Eq),
        ("remote_addr", "remote_addr", Op::Eq),
        ("date_from", "datetime", Op::Ge),
        ("date_to", "datetime", Op::Lt),
    ],
    orders: &[("datetime", "datetime"), ("user", "user"), ("resource_type", "resource_type")],
};
pub(crate) const PASSWORDS: Lists = Lists {
    filters: &[
        ("id", "id", Op::Eq),
        ("user", "user", Op::Contains),
        ("change_by", "change_by", Op::Contains),
        ("remote_addr", "remote_addr", Op::Eq),
        ("date_from", "datetime", Op::Ge),
        ("date_to", "datetime", Op::Lt),
    ],
    orders: &[("datetime", "datetime"), ("user", "user")],
};
pub(crate) const ENTRIES: Lists = Lists {
    filters: &[
        ("node_id", "node_id", Op::Eq),
        ("seq", "seq", Op::Eq),
        ("seq__gte", "seq", Op::Ge),
        ("kind", "kind", Op::Eq),
        ("kind__startswith", "kind", Op::StartsWith),
        ("actor", "actor", Op::Contains),
        ("actor_id", "actor_id", Op::Eq),
        ("target", "target", Op::Contains),
        ("target_id", "target_id", Op::Eq),
        ("session", "session", Op::Eq),
        ("remote_addr", "remote_addr", Op::Eq),
        ("date_from", "at", Op::Ge),
        ("date_to", "at", Op::Lt),
    ],
    orders: &[("seq", "seq"), ("at", "at"), ("kind", "kind")],
};

/// `GET /api/v1/audits/login-logs/`
pub(crate) async fn logins(can: Can<ReadLog<LoginLog>>, listing: Listing) -> Result<Response, Fail> {
    let query = listing.query(&LOGINS)?;
    let lang = can.caller.lang;
    let page = can.caller.log_reader().logs::<LoginLog>(&query).await?;
    let rows = page.rows.iter().map(|l| {
        let mfa = mfa_number(l.mfa);
        let reason = if l.reason.is_empty() { String::new() } else { messages::text(lang, &l.reason, &[]) };
        json!({
            "id": l.id, "username": l.username, "user_id": l.user_id, "type": choice(&word(&l.login_type), TYPES), "ip": l.ip, "city": "", "user_agent": l.user_agent,
            "mfa": {"value": mfa, "label": MFA.iter().find(|(v, _)| *v == mfa.to_string()).map(|(_, x)| *x)}, "backend": l.backend, "backend_display": l.backend,
            "reason": l.reason, "reason_display": reason, "status": {"value": l.status, "label": if l.status { "Success" } else { "Failed" }}, "datetime": time(l.datetime),
        })
    });
    let rows = rows.collect();
    Ok(listing.answer(&query, page.count, rows))
}

/// `GET /api/v1/audits/operate-logs/`
pub(crate) async fn operates(can: Can<ReadLog<OperateLog>>, listing: Listing) -> Result<Response, Fail> {
    let query = listing.query(&OPERATES)?;
    let page = can.caller.log_reader().logs::<OperateLog>(&query).await?;
    let mut labels = Labels::default();
    labels.learn::<model::Org>(&can.caller, page.rows.iter().filter_map(|o| o.org)).await?;
    let rows = page.rows.iter().map(|o| {
        json!({
            "id": o.id, "user": o.user, "action": {"value": o.action, "label": o.action}, "resource_type": o.resource_type, "resource": o.resource,
            "resource_id": o.resource_id, "before": o.before, "after": o.after, "remote_addr": o.remote_addr, "datetime": time(o.datetime),
            "org_id": o.org, "org_name": o.org.map(|x| labels.name(x)).unwrap_or_default(),
        })
    });
    let rows = rows.collect();
    Ok(listing.answer(&query, page.count, rows))
}

/// `GET /api/v1/audits/password-change-logs/`
pub(crate) async fn passwords(can: Can<ReadLog<PasswordChangeLog>>, listing: Listing) -> Result<Response, Fail> {
    let query = listing.query(&PASSWORDS)?;
    let page = can.caller.log_reader().logs::<PasswordChangeLog>(&query).await?;
    let rows =
        page.rows.iter().map(|p| json!({"id": p.id, "user": p.user, "change_by": p.change_by, "remote_addr": p.remote_addr, "datetime": time(p.datetime)}));
    Ok(listing.answer(&query, page.count, rows.collect()))
}

/// `GET /api/v1/audits/entries/`: the chain as it is kept, with its hashes.
pub(crate) async fn entries(can: Can<ReadLog<AuditEntry>>, listing: Listing) -> Result<Response, Fail> {
    let query = listing.query(&ENTRIES)?;
    let page = can.caller.log_reader().logs::<AuditEntry>(&query).await?;
    let rows = page.rows.iter().map(|e| json!({"node_id": e.node_id, "seq": e.seq, "event": e.event, "prev_hash": e.prev_hash, "hash": e.hash}));
    Ok(listing.answer(&query, page.count, rows.collect()))
}

/// `GET|POST /api/v1/audits/verify/`: checks the chains, their checkpoints and the recordings of this installation.
/// Needs a reader of the whole installation: the chain has the entries of all organizations.
pub(crate) async fn verify(can: Can<VerifyAudit>) -> Result<Json<Value>, Fail> {
    let caller = &can.caller;
    if !caller.may_everywhere("audits.view_auditentry") {
        return Err(Fail::forbidden());
    }
    let app = &caller.app;
    let checkpoints = app.data_dir().join("audit").join("checkpoints.jsonl");
    let done = audit::verify_store(app.store(), app.authority(), &app.recordings(), &checkpoints, &[], &mut |_| ()).await;
    let done = done.map_err(|e| Fail::internal(e.to_string()))?;
    let broken: Vec<Value> = done.broken.iter().map(|b| json!({"node": b.node, "seq": b.seq, "what": b.what.to_string(), "text": b.to_string()})).collect();
    let s = &done.summary;
    Ok(Json(json!({
        "sound": done.is_sound(), "broken": broken, "entries": s.entries, "recordings": s.recordings, "bytes": s.bytes, "removed": s.removed,
        "unsealed": s.unsealed, "sessions": s.sessions, "chains": s.chains.len(),
    })))
}

/// `POST /api/v1/audits/export/`: `{sessions: [ids]}` or everything; answers with a bundle that can be verified elsewhere.
pub(crate) async fn export(can: Can<ExportEvidence>, body: Payload) -> Result<Response, Fail> {
    let caller = &can.caller;
    if !caller.may_everywhere("audits.export_auditentry") {
        return Err(Fail::forbidden());
    }
    let app = &caller.app;
    let sessions: Option<Vec<Id<SessionRow>>> = match body.0.get("sessions") {
        None | Some(Value::Null) => None,
        Some(Value::Array(ids)) if ids.len() <= 10_000 => {
            let mut found = Vec::new();
            for id in ids {
                found.push(SessionRow::resolve(caller, id.as_str().unwrap_or_default()).await?.ok_or_else(Fail::missing)?.id);
            }
            Some(found)
        }
        Some(_) => return Err(Fail::field("sessions", MessagePair::new("api.not_list", ""))),
    };
    let event = audit::events::evidence_exported(&caller.by(), sessions.as_ref().map_or(0, Vec::len), 0, app.now());
    app.node().log(LogBatch { audit: vec![event], ..Default::default() }).await?;
    app.sign_chain().await.map_err(Fail::internal)?;
    let scratch = app.data_dir().join("tmp");
    let file = tokio::task::spawn_blocking({
        let scratch = scratch.clone();
        move || std::fs::create_dir_all(&scratch).and_then(|()| unnamed(&scratch))
    });
    let file = file.await.map_err(|e| Fail::internal(e.to_string()))?.map_err(|e| Fail::internal(e.to_string()))?;
    let out = file.try_clone().map_err(|e| Fail::internal(e.to_string()))?;
    let keys = [recording::Signer::public_key(app.node_key()).to_owned()];
    let recordings = app.recordings();
    let export = audit::bundle::Export {
        store: app.store(),
        authority: app.authority(),
        recordings: &recordings,
        sessions: sessions.as_deref(),
        keys: &keys,
        now: app.now(),
        scratch: &scratch,
    };
    audit::bundle::write(&export, out).await.map_err(|e| Fail::internal(e.to_string()))?;
    let file = tokio::task::spawn_blocking(move || {
        use std::io::Seek as _;
        let mut file = file;
        file.rewind().map(|()| file)
    });
    let file = file.await.map_err(|e| Fail::internal(e.to_string()))?.map_err(|e| Fail::internal(e.to_string()))?;
    let body = Body::from_stream(tokio_util::io::ReaderStream::with_capacity(tokio::fs::File::from_std(file), 64 * 1024));
    let mut response = body.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    response.headers_mut().insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"evidence.tar\""));
    Ok(response)
}

/// A file without a name: it goes when it is closed.
fn unnamed(dir: &std::path::Path) -> std::io::Result<std::fs::File> {
    let path = dir.join(format!("bundle-{}", uuid::Uuid::new_v4()));
    let file = std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
