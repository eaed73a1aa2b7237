//! Sessions, recordings and commands.

use std::{
    io::Write,
    path::{Component, Path as FsPath, PathBuf},
};

use axum::{
    Json,
    body::{Body, Bytes},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use model::{Command as Ran, LoginFrom, Op, SessionKind, SessionRow};
use policy::action::{DownloadReplay, Lock, Myself, PlayReplay, ReadLog, ReadSession, Terminate, TerminateMany};
use recording::{Recording, export};
use serde_json::{Value, json};
use session::{Command, News};
use store::LogBatch;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    fail::Fail,
    guard::{Caller, Can, Resolve},
    labels::Labels,
    listing::{Listing, Lists},
    resource::Payload,
    resources::{choice, opt_time, time, word},
};

const FROM: &[(&str, &str)] = &[("ST", "SSH Terminal"), ("WT", "Web Terminal"), ("RT", "RDP Terminal"), ("DT", "DB Terminal"), ("VT", "VNC Terminal")];
const KINDS: &[(&str, &str)] = &[("normal", "Normal"), ("command", "Command"), ("sftp", "SFTP"), ("tunnel", "Tunnel")];
const RISKS: &[(&str, &str)] = &[("0", "Accept"), ("4", "Warning"), ("5", "Reject"), ("6", "Review reject"), ("7", "Review accept"), ("8", "Review cancel")];

pub(crate) const SESSIONS: Lists = Lists {
    filters: &[
        ("id", "id", Op::Eq),
        ("user", "user", Op::Contains),
        ("user_id", "user_id", Op::Eq),
        ("asset", "asset", Op::Contains),
        ("asset_id", "asset_id", Op::Eq),
        ("account", "account", Op::Contains),
        ("account_id", "account_id", Op::Eq),
        ("remote_addr", "remote_addr", Op::Eq),
        ("protocol", "protocol", Op::Eq),
        ("login_from", "login_from", Op::Eq),
        ("type", "kind", Op::Eq),
        ("is_finished", "is_finished", Op::Eq),
        ("is_success", "is_success", Op::Eq),
        ("end_reason", "end_reason", Op::Eq),
        ("connection_id", "connection_id", Op::Eq),
        ("date_from", "date_start", Op::Ge),
        ("date_to", "date_start", Op::Lt),
    ],
    orders: &[("date_start", "date_start"), ("date_end", "date_end"), ("user", "user"), ("asset", "asset"), ("protocol", "protocol")],
};

pub(crate) const COMMANDS: Lists = Lists {
    filters: &[
        ("id", "id", Op::Eq),
        ("user", "user", Op::Contains),
        ("asset", "asset", Op::Contains),
        ("account", "account", Op::Contains),
        ("session", "session", Op::Eq),
        ("session_id", "session", Op::Eq),
        ("user_id", "user_id", Op::Eq),
        ("asset_id", "asset_id", Op::Eq),
        ("risk_level", "risk_level", Op::Eq),
        ("input", "input", Op::Contains),
        ("date_from", "timestamp", Op::Ge),
        ("date_to", "timestamp", Op::Lt),
    ],
    orders: &[("timestamp", "timestamp"), ("user", "user"), ("asset", "asset"), ("risk_level", "risk_level")],
};

async fn show(caller: &Caller, rows: Vec<SessionRow>) -> Result<Vec<Value>, Fail> {
    let mut labels = Labels::default();
    labels.learn::<model::Org>(caller, rows.iter().map(|s| s.org)).await?;
    let may_end = |s: &SessionRow| caller.may_in(s.org, "terminal.terminate_session");
    Ok(rows
        .into_iter()
        .map(|s| {
            let finished = s.is_finished();
            let interactive = s.kind == SessionKind::Normal;
            json!({
                "id": s.id, "user": s.user, "user_id": s.user_id, "asset": s.asset, "asset_id": s.asset_id, "account": s.account, "account_id": s.account_id,
                "protocol": s.protocol, "type": choice(&word(&s.kind), KINDS), "login_from": choice(&word::<LoginFrom>(&s.login_from), FROM),
                "remote_addr": s.remote_addr, "is_success": s.is_success, "is_finished": finished, "is_locked": false, "state": s.state,
                "has_replay": s.recording.is_some(), "has_command": s.command_amount > 0, "command_amount": s.command_amount,
                "can_replay": s.recording.is_some(), "can_join": !finished && interactive, "can_terminate": !finished && may_end(&s),
                "date_start": time(s.date_start), "date_end": opt_time(s.date_end), "date_last_active": time(s.date_alive),
                "duration": s.date_end.map_or(0, |e| (e - s.date_start).num_seconds().max(0)), "end_reason": s.end_reason, "end_fault": s.end_fault,
                "error_reason": s.end_reason.filter(|_| !s.is_success).map(|r| json!({"value": r, "label": r.as_str()})), "exit_code": s.exit_code,
                "replay_size": s.recording_size, "recording_hash": s.recording_hash, "bytes_in": s.bytes_in, "bytes_out": s.bytes_out, "terminal_display": s.node_id,
                "terminal": {"id": s.node_id, "name": s.node_id}, "decision_id": s.decision_id, "connection_id": s.connection_id, "comment": s.comment,
                "org_id": s.org, "org_name": labels.name(s.org),
            })
        })
        .collect())
}

/// `GET /api/v1/terminal/sessions/`
pub(crate) async fn sessions(can: Can<ReadLog<SessionRow>>, listing: Listing) -> Result<Response, Fail> {
    let query = listing.query(&SESSIONS)?;
    let page = can.caller.log_reader().logs::<SessionRow>(&query).await?;
    let rows = show(&can.caller, page.rows).await?;
    Ok(listing.answer(&query, page.count, rows))
}

/// `GET /api/v1/terminal/my-sessions/`
pub(crate) async fn my_sessions(can: Can<Myself>, listing: Listing) -> Result<Response, Fail> {
    let mut query = listing.query(&SESSIONS)?;
    query.filters.push(model::Filter::eq("user_id", can.caller.who.user()));
    let every = can.caller.app.store().read(can.caller.app.authority().every_org());
    let page = every.logs::<SessionRow>(&query).await?;
    let rows = show(&can.caller, page.rows).await?;
    Ok(listing.answer(&query, page.count, rows))
}

/// `GET /api/v1/terminal/sessions/{id}/`
pub(crate) async fn session(can: Can<ReadSession>) -> Result<Json<Value>, Fail> {
    let rows = show(&can.caller, vec![can.granted.on().clone()]).await?;
    Ok(Json(rows.into_iter().next().unwrap_or_default()))
}

fn show_command(c: &Ran) -> Value {
    json!({
        "id": c.id, "user": c.user, "asset": c.asset, "account": c.account, "session": c.session, "remote_addr": c.remote_addr, "input": c.input, "output": c.output,
        "risk_level": {"value": c.risk_level as i64, "label": RISKS.iter().find(|(v, _)| *v == (c.risk_level as i64).to_string()).map(|(_, l)| *l)},
        "timestamp": c.timestamp.timestamp(), "timestamp_display": time(c.timestamp), "offset_ms": c.offset_ms, "duration_ms": c.duration_ms, "org_id": c.org,
    })
}

/// `GET /api/v1/terminal/commands/`
pub(crate) async fn commands(can: Can<ReadLog<Ran>>, listing: Listing) -> Result<Response, Fail> {
    let query = listing.query(&COMMANDS)?;
    let page = can.caller.log_reader().logs::<Ran>(&query).await?;
    Ok(listing.answer(&query, page.count, page.rows.iter().map(show_command).collect()))
}

/// `GET /api/v1/terminal/commands/{id}/`
pub(crate) async fn command(can: Can<ReadLog<Ran>>, axum::extract::Path(id): axum::extract::Path<String>) -> Result<Json<Value>, Fail> {
    let id = id.parse().map_err(|_| Fail::missing())?;
    let row = can.caller.log_reader().log::<Ran>(id).await?.ok_or_else(Fail::missing)?;
    Ok(Json(show_command(&row)))
}

/// Sends a command to a live session, wherever it runs, after the audit entry is safe.
async fn control(caller: &Caller, row: &SessionRow, command: Command, event: model::AuditEvent) -> Result<(), Fail> {
    caller.app.node().log(LogBatch { audit: vec![event], ..Default::default() }).await?;
    caller.app.bus().publish(News::Control(row.id, command));
    Ok(())
}

/// `POST /api/v1/terminal/tasks/kill-session/`: a list of ids (or `{ids}`).
pub(crate) async fn kill(can: Can<TerminateMany>, body: Payload) -> Result<Json<Value>, Fail> {
    let caller = &can.caller;
    let ids = match &body.0 {
        Value::Array(a) => a.clone(),
        other => other.get("ids").or_else(|| other.get("sessions")).and_then(Value::as_array).cloned().ok_or_else(|| Fail::bad("api.not_list"))?,
    };
    if ids.len() > 1000 {
        return Err(Fail::bad("api.not_list"));
    }
    let mut found = Vec::new();
    for id in &ids {
        let row = SessionRow::resolve(caller, id.as_str().unwrap_or_default()).await?.ok_or_else(Fail::missing)?;
        found.push(caller.decide::<Terminate>(row).ok_or_else(Fail::forbidden)?.into_on());
    }
    let mut done = Vec::new();
    for row in found.iter().filter(|r| !r.is_finished()) {
        let event = audit::events::session_killed(&caller.by(), row, caller.app.now());
        control(caller, row, Command::Kill(caller.who.display().to_owned()), event).await?;
        done.push(row.id);
    }
    Ok(Json(json!({"ok": done})))
}

async fn hold(can: Can<Lock>, lock: bool) -> Result<StatusCode, Fail> {
    let caller = &can.caller;
    let row = can.granted.on();
    if row.is_finished() {
        return Err(Fail::bad("api.session_over").status(StatusCode::CONFLICT));
    }
    let mut event = caller.by().event(if lock { "session.lock" } else { "session.unlock" }, caller.app.now());
    event.org = Some(row.org);
    event.target.clone_from(&row.asset);
    event.target_id = row.asset_id.to_string();
    event.session = Some(row.id);
    let command = if lock { Command::Lock(caller.who.display().to_owned()) } else { Command::Unlock };
    control(caller, row, command, event).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/terminal/sessions/{id}/lock/`
pub(crate) async fn lock(can: Can<Lock>) -> Result<StatusCode, Fail> {
    hold(can, true).await
}

/// `POST /api/v1/terminal/sessions/{id}/unlock/`
pub(crate) async fn unlock(can: Can<Lock>) -> Result<StatusCode, Fail> {
    hold(can, false).await
}

/// The file of a session's recording; never outside the directory of recordings.
fn file_of(caller: &Caller, row: &SessionRow) -> Result<PathBuf, Fail> {
    let relative = row.recording.as_deref().ok_or_else(Fail::missing)?;
    let relative = FsPath::new(relative);
    if !relative.components().all(|c| matches!(c, Component::Normal(_))) {
        return Err(Fail::internal("recording path leaves its directory"));
    }
    let path = caller.app.recordings().join(relative);
    if path.is_file() { Ok(path) } else { Err(Fail::missing()) }
}

/// `GET /api/v1/terminal/sessions/{id}/replay/`: what a player needs to know.
pub(crate) async fn replay(can: Can<PlayReplay>) -> Result<Json<Value>, Fail> {
    let caller = &can.caller;
    let row = can.granted.on();
    file_of(caller, row)?;
    let base = format!("/api/v1/terminal/sessions/{}/replay", row.id);
    Ok(Json(json!({
        "type": "asciicast", "src": format!("{base}/cast/"), "download_url": format!("{base}/download/?format=cast"), "status": if row.is_finished() { "done" } else { "running" },
        "id": row.id, "user": row.user, "asset": row.asset, "account": row.account, "protocol": row.protocol, "org_id": row.org,
        "date_start": time(row.date_start), "date_end": opt_time(row.date_end), "size": row.recording_size,
    })))
}

/// `GET /api/v1/terminal/sessions/{id}/replay/cast/`: the recording for a player, audited as a view.
pub(crate) async fn play(can: Can<PlayReplay>) -> Result<Response, Fail> {
    let caller = &can.caller;
    let row = can.granted.on();
    let path = file_of(caller, row)?;
    let event = audit::events::replay(&caller.by(), row, None, caller.app.now());
    caller.app.node().log(LogBatch { audit: vec![event], ..Default::default() }).await?;
    Ok(stream(path, Form::Cast, None))
}

/// `GET /api/v1/terminal/sessions/{id}/replay/download/?format=cast|rec|text|jsonl`
pub(crate) async fn download(can: Can<DownloadReplay>, listing: Listing) -> Result<Response, Fail> {
    let caller = &can.caller;
    let row = can.granted.on();
    let form = match listing.get("format").unwrap_or("cast") {
        "cast" => Form::Cast,
        "rec" => Form::Rec,
        "text" | "txt" => Form::Text,
        "jsonl" => Form::Jsonl,
        _ => return Err(Fail::field("format", model::MessagePair::new("api.bad_choice", "").with("choices", "cast, rec, text, jsonl"))),
    };
    let path = file_of(caller, row)?;
    let event = audit::events::replay(&caller.by(), row, Some(form.extension()), caller.app.now());
    caller.app.node().log(LogBatch { audit: vec![event], ..Default::default() }).await?;
    Ok(stream(path, form, Some(format!("{}.{}", row.id, form.extension()))))
}

#[derive(Clone, Copy)]
enum Form {
    Cast,
    Rec,
    Text,
    Jsonl,
}

impl Form {
    const fn extension(self) -> &'static str {
        match self {
            Form::Cast => "cast",
            Form::Rec => "rec",
            Form::Text => "txt",
            Form::Jsonl => "jsonl",
        }
    }
    const fn content(self) -> &'static str {
        match self {
            Form::Cast => "application/x-asciicast",
            Form::Rec => "application/octet-stream",
            Form::Text => "text/plain; charset=utf-8",
            Form::Jsonl => "application/jsonl",
        }
    }
}

/// Writes into a body: a slow reader makes the writer wait, one that is gone stops it.
struct BodyWriter {
    out: mpsc::Sender<Result<Bytes, std::io::Error>>,
    buffer: Vec<u8>,
}

impl BodyWriter {
    fn send(&mut self) -> std::io::Result<()> {
        let chunk = Bytes::from(std::mem::take(&mut self.buffer));
        self.out.blocking_send(Ok(chunk)).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for BodyWriter {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.buffer.extend_from_slice(data);
        if self.buffer.len() >= 64 * 1024 {
            self.send()?;
        }
        Ok(data.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        if self.buffer.is_empty() { Ok(()) } else { self.send() }
    }
}

/// Streams a recording in a form. Reading files and decompressing happen off the async threads.
fn stream(path: PathBuf, form: Form, name: Option<String>) -> Response {
    let (tx, rx) = mpsc::channel(4);
    let gone = CancellationToken::new();
    tokio::task::spawn_blocking(move || {
        let mut out = BodyWriter { out: tx, buffer: Vec::new() };
        let result = match form {
            Form::Rec => std::fs::File::open(&path).and_then(|mut f| std::io::copy(&mut f, &mut out)).map(drop).map_err(recording::RecordError::from),
            Form::Cast => Recording::open(&path).and_then(|mut r| export::asciicast(&mut r, export::AsciicastOptions::default(), &mut out)),
            Form::Text => Recording::open(&path).and_then(|mut r| export::text(&mut r, &mut out)),
            Form::Jsonl => Recording::open(&path).and_then(|mut r| export::jsonl(&mut r, &mut out)),
        };
        if let Err(e) = result {
            tracing::warn!(error = %e, "a recording could not be read to its end");
        }
        let _ = out.flush();
        gone.cancel();
    });
    let body = Body::from_stream(futures_util::stream::unfold(rx, |mut rx| async move { rx.recv().await.map(|chunk| (chunk, rx)) }));
    let mut response = body.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(form.content()));
    if let Some(value) = name.and_then(|n| HeaderValue::from_str(&format!("attachment; filename=\"{n}\"")).ok()) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    response
}
