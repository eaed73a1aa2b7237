//! The recordings that a chain speaks of.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use model::AuditEntry;
use recording::{Damage, Expect, Report, State};
use serde_json::Value;
use uuid::Uuid;

use super::{Broken, Tamper};
use crate::events::kind;

/// What a closing entry says about a session and its recording.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) node: String,
    pub(crate) seq: i64,
    pub(crate) session: Uuid,
    /// Path and final hash; the hash is missing if the recording could not be closed.
    pub(crate) recording: Option<(String, Option<String>)>,
    pub(crate) size: Option<u64>,
}

impl Link {
    pub(crate) fn broken(&self, what: Tamper) -> Broken {
        Broken::entry(&self.node, self.seq, what)
    }
    /// Whether the path is one that the spool makes for this session: a path from a database is not trusted.
    pub(crate) fn path_is_ours(&self, path: &str) -> bool {
        let Some((day, file)) = path.split_once('/') else { return false };
        let day_ok = day.len() == 10 && day.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
        day_ok && file == format!("{}.rec", self.session)
    }
}

/// Gathers what entries say, over all chains.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// Closed sessions: who said so, and the registered hash.
    pub(crate) closed: HashMap<Uuid, (String, i64, Option<String>)>,
    /// Sessions whose file was not found.
    pub(crate) missing: HashMap<Uuid, Link>,
    /// Recordings removed by an entry; rows removed by an entry.
    recordings_removed: Vec<Uuid>,
    rows_removed: Vec<Uuid>,
}

impl Links {
    /// Notes what an entry says; a closing entry gives a link to check.
    pub(crate) fn note(&mut self, e: &AuditEntry) -> Option<Link> {
        let session = e.event.session?.uuid();
        match e.event.kind.as_str() {
            kind::RECORDING_REMOVED => self.recordings_removed.push(session),
            kind::SESSION_REMOVED => self.rows_removed.push(session),
            kind::SESSION_CLOSE => {
                let text = |name: &str| e.event.data.get(name).and_then(Value::as_str).filter(|s| !s.is_empty()).map(str::to_owned);
                let hash = text("recording_hash");
                self.closed.insert(session, (e.node_id.clone(), e.seq, hash.clone()));
                let size = e.event.data.get("recording_size").and_then(Value::as_u64);
                return Some(Link { node: e.node_id.clone(), seq: e.seq, session, recording: text("recording").map(|path| (path, hash)), size });
            }
            _ => {}
        }
        None
    }
    /// Files that are missing without an entry that says why, in the order of the chain.
    pub(crate) fn unexplained(&mut self) -> Vec<Broken> {
        for session in &self.recordings_removed {
            self.missing.remove(session);
        }
        let mut left: Vec<_> =
            self.missing.values().filter_map(|l| l.recording.as_ref().map(|(path, _)| l.broken(Tamper::RecordingMissing { path: path.clone() }))).collect();
        left.sort_by(|a, b| (&a.node, a.seq).cmp(&(&b.node, b.seq)));
        left
    }
    pub(crate) fn row_was_removed(&self, session: &Uuid) -> bool {
        self.rows_removed.contains(session)
    }
    pub(crate) fn removed(&self) -> u64 {
        self.recordings_removed.len() as u64
    }
}

/// Result of checking one recording.
pub(crate) enum Checked {
    /// Intact and registered; its size.
    Sound(u64),
    /// Intact as far as it goes, but never closed.
    Unsealed,
    /// The file is not there.
    Missing,
    /// It is not what was recorded.
    Broken(Tamper),
}

/// Checks the file of a link.
pub(crate) fn check_file(link: &Link, directory: &Path, keys: &[String]) -> std::io::Result<Option<Checked>> {
    let Some((path, hash)) = &link.recording else { return Ok(None) };
    if !link.path_is_ours(path) {
        return Ok(Some(Checked::Broken(Tamper::RecordingPath)));
    }
    let file: PathBuf = directory.join(path);
    let expect = Expect { session: Some(link.session), hash: hash.as_deref(), keys };
    match recording::verify_with(&file, &expect) {
        Ok(report) => Ok(Some(describe(link, path, &report))),
        Err(recording::RecordError::Read(e)) if e.kind() == std::io::ErrorKind::NotFound => Ok(Some(Checked::Missing)),
        Err(recording::RecordError::Read(e)) => Err(e),
        Err(e) => Err(std::io::Error::other(e)),
    }
}

/// What a report means for a link.
pub(crate) fn describe(link: &Link, path: &str, report: &Report) -> Checked {
    let sealed = matches!(&link.recording, Some((_, Some(_))));
    match &report.broken {
        // A recording that was never closed may end anywhere.
        Some(b) if !sealed && b.damage == Damage::Torn => Checked::Unsealed,
        Some(b) => Checked::Broken(Tamper::Recording { path: path.to_owned(), segment: b.segment, damage: b.damage.clone() }),
        None if !sealed || report.state == State::Open => Checked::Unsealed,
        None if link.size.is_some_and(|s| s != report.size) => {
            Checked::Broken(Tamper::Recording { path: path.to_owned(), segment: report.segments, damage: Damage::OtherHash })
        }
        None => Checked::Sound(report.size),
    }
}
