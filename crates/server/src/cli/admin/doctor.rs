//! `rampart admin doctor`: everything that can be checked about a node without changing it.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use audit::NodeKey;
use model::{Clock as _, SystemClock};
use serde_json::json;
use vault::MasterKey;

use super::super::{
    ApiClient, DoctorArgs, Done, Failure, Output, client,
    local::{self, Local, bytes},
    out, say,
};

/// Files looked at.
const MAX_FILES: usize = 1_000_000;
/// Below this much free space recordings are in danger.
const LEAST_FREE: u64 = 1 << 30;
/// How far ahead of this machine's clock an entry may be.
const AHEAD_SECONDS: i64 = 60;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    Warning,
    Wrong,
}

struct Finding {
    check: &'static str,
    state: State,
    text: String,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, check: &'static str, text: impl Into<String>) {
        self.0.push(Finding { check, state: State::Ok, text: text.into() });
    }
    fn warn(&mut self, check: &'static str, text: impl Into<String>) {
        self.0.push(Finding { check, state: State::Warning, text: text.into() });
    }
    fn wrong(&mut self, check: &'static str, text: impl Into<String>) {
        self.0.push(Finding { check, state: State::Wrong, text: text.into() });
    }
}

/// Looks and says.
pub async fn run(args: DoctorArgs) -> Done {
    let data = client::required(&args.data)?;
    let mut found = Findings::default();
    let running = tokio::net::UnixStream::connect(data.join("rampart.sock")).await.is_ok();
    node(&data, running, &mut found).await;
    permissions(&data, &mut found);
    space(&data, &mut found);
    match Local::open(&data).await {
        Ok(local) => {
            keys(&local, running, &mut found).await;
            database(&local, &mut found).await;
            evidence(&local, &mut found).await;
            sessions(&local, running, &mut found).await;
            clock(&local, &mut found).await;
            local.close().await;
        }
        Err(e) => found.wrong("database", e.text()),
    }
    let wrong = found.0.iter().filter(|f| f.state == State::Wrong).count();
    match args.output {
        Output::Json => {
            let word = |s| match s {
                State::Ok => "ok",
                State::Warning => "warning",
                State::Wrong => "wrong",
            };
            let checks: Vec<_> = found.0.iter().map(|f| json!({"check": f.check, "state": word(f.state), "text": f.text})).collect();
            out::json(&json!({"ok": wrong == 0, "checks": checks}))?;
        }
        Output::Table => {
            let lines: Vec<String> = found
                .0
                .iter()
                .map(|f| {
                    let state = match f.state {
                        State::Ok => say("cli.doctor_ok", &[]),
                        State::Warning => say("cli.doctor_warning", &[]),
                        State::Wrong => say("cli.doctor_wrong", &[]),
                    };
                    format!("{}  {}  {}", terminal::pad(&state, 8), terminal::pad(f.check, 12), terminal::safe(&f.text))
                })
                .collect();
            out::lines(&lines);
        }
    }
    if wrong == 0 { Ok(()) } else { Err(Failure::failed(local::count("cli.doctor_problems", wrong))) }
}

async fn node(data: &Path, running: bool, found: &mut Findings) {
    if !running {
        found.ok("node", say("cli.node_stopped", &[]));
        return;
    }
    let asked = match ApiClient::at(data).await {
        Ok(client) => client.try_json(http::Method::GET, "/readyz", None).await,
        Err(e) => Err(e),
    };
    match asked {
        Ok((status, _)) if status.is_success() => found.ok("node", say("cli.node_ready", &[])),
        Ok((status, answer)) => found.wrong("node", say("cli.node_not_ready", &[("status", status.as_str()), ("detail", &answer.to_string())])),
        Err(e) => found.wrong("node", e.text()),
    }
}

/// Nobody but the owner may look into the directory, and everything in it belongs to one user.
fn permissions(data: &Path, found: &mut Findings) {
    let owner = std::fs::metadata(data).map(|m| m.uid()).unwrap_or_default();
    let mut folders = vec![data.to_path_buf()];
    let (mut looked_at, mut wrong) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        let look = |path: PathBuf, is_dir: bool, wrong: &mut Vec<String>| {
            let Ok(meta) = std::fs::symlink_metadata(&path) else { return };
            if meta.file_type().is_symlink() {
                return;
            }
            if meta.mode() & 0o007 != 0 || (meta.mode() & 0o070 != 0 && !is_dir && path.starts_with(data.join("keys"))) {
                wrong.push(say("cli.open_to_others", &[("file", &path.display().to_string()), ("mode", &format!("{:o}", meta.mode() & 0o777))]));
            } else if meta.uid() != owner {
                wrong.push(say("cli.other_owner", &[("file", &path.display().to_string())]));
            }
        };
        look(folder.clone(), true, &mut wrong);
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            looked_at += 1;
            if looked_at > MAX_FILES {
                break;
            }
            match entry.file_type() {
                Ok(t) if t.is_dir() => folders.push(entry.path()),
                Ok(_) => look(entry.path(), false, &mut wrong),
                Err(_) => {}
            }
        }
    }
    if wrong.is_empty() {
        found.ok("permissions", local::count("cli.files_private", looked_at));
    }
    let more = wrong.len().saturating_sub(10);
    wrong.truncate(10);
    wrong.into_iter().for_each(|w| found.wrong("permissions", w));
    if more > 0 {
        found.wrong("permissions", local::count("cli.more_broken", more));
    }
}

fn space(data: &Path, found: &mut Findings) {
    match rustix::fs::statvfs(data) {
        Ok(s) => {
            let (free, all) = (s.f_bavail.saturating_mul(s.f_frsize), s.f_blocks.saturating_mul(s.f_frsize).max(1));
            let text = say("cli.space", &[("free", &bytes(free)), ("all", &bytes(all))]);
            if free < LEAST_FREE.min(all / 20) {
                found.wrong("disk", text);
            } else if free < LEAST_FREE || free < all / 20 {
                found.warn("disk", text);
            } else {
                found.ok("disk", text);
            }
        }
        Err(e) => found.wrong("disk", e.to_string()),
    }
}

async fn keys(local: &Local, running: bool, found: &mut Findings) {
    let master = match (&local.secrets.master_key, &local.secrets.master_key_file) {
        (Some(text), _) => MasterKey::from_text(text.expose()),
        (None, Some(path)) => MasterKey::load(path),
        (None, None) => MasterKey::load(local.data.join("keys/master.key")),
    };
    match master {
        Err(e) => found.wrong("keys", e.to_string()),
        // Whether it opens the data keys is what counts; the running node proved it at its start.
        Ok(key) if running => found.ok("keys", say("cli.master_key", &[("id", &key.id())])),
        Ok(key) => {
            let id = key.id();
            match local.node().key_material().await {
                Ok(stored) if stored.is_empty() => found.ok("keys", say("cli.master_key", &[("id", &id)])),
                Ok(_) => match vault::Vault::open_store(local.store.clone(), local.authority, key).await {
                    Ok(_) => found.ok("keys", say("cli.master_key", &[("id", &id)])),
                    Err(e) => found.wrong("keys", e.to_string()),
                },
                Err(e) => found.wrong("keys", e.to_string()),
            }
        }
    }
    match NodeKey::load(&local.data.join("keys/audit.key")) {
        Ok(key) => found.ok("keys", say("cli.audit_key", &[("key", recording::Signer::public_key(&key))])),
        Err(e) => found.wrong("keys", e.to_string()),
    }
}

async fn database(local: &Local, found: &mut Findings) {
    match local.node().check().await {
        Ok(problems) if problems.is_empty() => found.ok("database", say("cli.database_fine", &[])),
        Ok(problems) => problems.into_iter().take(10).for_each(|p| found.wrong("database", p)),
        Err(e) => found.wrong("database", e.to_string()),
    }
}

async fn evidence(local: &Local, found: &mut Findings) {
    let keys = match local.trusted().await {
        Ok(keys) => keys,
        Err(e) => return found.wrong("evidence", e.text()),
    };
    let checkpoints = local.data.join("audit/checkpoints.jsonl");
    match audit::verify_store(&local.store, local.authority, &local.data.join("recordings"), &checkpoints, &keys, &mut |_| ()).await {
        Ok(v) if v.is_sound() => {
            let s = &v.summary;
            found.ok(
                "evidence",
                say("cli.evidence", &[("entries", &s.entries.to_string()), ("recordings", &s.recordings.to_string()), ("size", &bytes(s.bytes))]),
            );
            s.unsealed.iter().take(10).for_each(|id| found.warn("evidence", say("cli.unsealed", &[("id", id)])));
        }
        Ok(v) => v.broken.iter().take(10).for_each(|b| found.wrong("evidence", b.to_string())),
        Err(e) => found.wrong("evidence", e.to_string()),
    }
}

async fn sessions(local: &Local, running: bool, found: &mut Findings) {
    match local.node().open_sessions(None).await {
        Ok(open) if open.is_empty() || running => found.ok("sessions", local::count("cli.open_sessions", open.len())),
        Ok(open) => found.warn("sessions", local::count("cli.left_open", open.len())),
        Err(e) => found.wrong("sessions", e.to_string()),
    }
}

/// A clock that went back would let expired permissions live again.
async fn clock(local: &Local, found: &mut Findings) {
    let now = SystemClock.now();
    let mut newest = None;
    for node in local.node().chain_nodes().await.unwrap_or_default() {
        let Ok(head) = local.node().chain_head(&node).await else { continue };
        let last = local.node().chain(&node, head.seq.saturating_sub(1), 1).await.unwrap_or_default();
        newest = newest.max(last.last().map(|e| e.event.at));
    }
    match newest {
        Some(at) if (at - now).num_seconds() > AHEAD_SECONDS => {
            found.wrong("clock", say("cli.clock_behind", &[("now", &now.to_rfc3339()), ("entry", &at.to_rfc3339())]))
        }
        _ => found.ok("clock", now.to_rfc3339()),
    }
}
