//! Verifies everything a store and its data directory hold, also while the server runs.

use std::{collections::HashMap, io, path::Path};

use model::{Checkpoint, Order, Query, SessionRow};
use policy::Authority;
use store::{Store, StoreError};

use super::{
    Broken, ChainSummary, ChainVerifier, Link, Tamper, check_checkpoints,
    recordings::{Checked, Links, check_file},
};

/// Entries read at once.
const PAGE: u64 = 1000;
/// Session rows read at once.
const ROWS: u64 = 5000;
/// How much later than its session's end a closing entry may be written.
const LATE: chrono::TimeDelta = chrono::TimeDelta::minutes(15);
/// Findings after which verification gives up: more would not be read.
const MAX_FINDINGS: usize = 1000;

/// Where verification is.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// The chain being verified.
    pub node: String,
    /// Entries verified so far, all chains.
    pub entries: u64,
    /// Recordings verified so far.
    pub recordings: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What was verified.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Each chain that is sound.
    pub chains: Vec<ChainSummary>,
    /// Entries verified.
    pub entries: u64,
    /// Recordings that are as they were recorded.
    pub recordings: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Recordings that were removed by retention.
    pub removed: u64,
    /// Sessions whose recording was never closed (its disk failed): intact as far as it goes.
    pub unsealed: Vec<String>,
    /// Session rows compared.
    pub sessions: u64,
}

/// Result of a verification.
#[derive(Debug, Clone, Default)]
pub struct Verification {
    /// What was verified.
    pub summary: Summary,
    /// Everything that is wrong; empty = the evidence is as it was written.
    pub broken: Vec<Broken>,
}

impl Verification {
    /// Nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.broken.is_empty()
    }
}

/// Why verification could not be done. (That something is wrong is a result, not an error.)
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read.
    #[error("reading evidence: {0}")]
    Io(#[from] io::Error),
}

/// Verifies every chain, the checkpoints in the database and in `checkpoints_file`, every recording a chain speaks of, and
/// the session rows. `keys` are the trusted public keys (hex); empty = any. Bounded memory but for a few dozen bytes per
/// session.
///
/// # Errors
/// [`VerifyError`] if something cannot be read.
pub async fn verify_store(
    store: &Store,
    authority: Authority,
    recordings: &Path,
    checkpoints_file: &Path,
    keys: &[String],
    progress: &mut (dyn FnMut(&Progress) + Send),
) -> Result<Verification, VerifyError> {
    // On a running server each step may only know more than the one before: the database's checkpoints, the file
    // (written before the database), the heads, the entries.
    let kept = checkpoints(store, authority).await?;
    let file = match crate::read_checkpoints(checkpoints_file) {
        Ok(list) => list,
        Err(e) if e.kind() == io::ErrorKind::InvalidData => {
            let broken = vec![Broken::entry("", 0, Tamper::CheckpointFile)];
            return Ok(Verification { broken, ..Verification::default() });
        }
        Err(e) => return Err(e.into()),
    };
    let mut run =
        Run { store, authority, recordings, keys, kept, file, out: Verification::default(), links: Links::default(), progress, at: Progress::default() };
    run.all().await?;
    Ok(run.out)
}

/// Every chain's checkpoints, as the database has them.
async fn checkpoints(store: &Store, authority: Authority) -> Result<HashMap<String, Vec<Checkpoint>>, VerifyError> {
    let db = store.node(authority);
    let mut all = HashMap::new();
    for node in db.chain_nodes().await? {
        let mut kept = db.checkpoints(&node).await?;
        // They come by time, and clocks may be set back; the file is in the order of writing.
        kept.sort_by_key(|c| (c.head.seq, c.at));
        all.insert(node, kept);
    }
    Ok(all)
}

struct Run<'a> {
    store: &'a Store,
    authority: Authority,
    recordings: &'a Path,
    keys: &'a [String],
    /// Checkpoints in the database, by chain.
    kept: HashMap<String, Vec<Checkpoint>>,
    /// Checkpoints kept outside the database.
    file: Vec<Checkpoint>,
    out: Verification,
    links: Links,
    progress: &'a mut (dyn FnMut(&Progress) + Send),
    at: Progress,
}

impl Run<'_> {
    async fn all(&mut self) -> Result<(), VerifyError> {
        let nodes = self.store.node(self.authority).chain_nodes().await?;
        for c in &self.file {
            let known = nodes.contains(&c.head.node_id) || self.out.broken.iter().any(|b| b.node == c.head.node_id);
            if !known {
                self.out.broken.push(Broken::entry(&c.head.node_id, c.head.seq, Tamper::ChainMissing));
            }
        }
        for node in &nodes {
            if let Err(broken) = self.chain(node).await? {
                self.out.broken.push(broken);
            }
        }
        let chains_sound = self.out.broken.iter().all(|b| matches!(b.what, Tamper::Recording { .. } | Tamper::RecordingPath));
        let unexplained = self.links.unexplained();
        self.out.summary.removed = self.links.removed();
        self.out.broken.extend(unexplained);
        // With a broken chain, every row after the break would be reported again.
        if chains_sound {
            self.rows().await?;
        }
        self.out.broken.truncate(MAX_FINDINGS);
        Ok(())
    }

    async fn chain(&mut self, node: &str) -> Result<Result<(), Broken>, VerifyError> {
        let db = self.store.node(self.authority);
        let kept = self.kept.remove(node).unwrap_or_default();
        let head = db.chain_head(node).await?;
        let filed: Vec<Checkpoint> = self.file.iter().filter(|c| c.head.node_id == node).cloned().collect();
        if let Err(broken) =
            check_checkpoints(node, &kept, self.keys).and_then(|()| check_checkpoints(node, &filed, self.keys)).and_then(|()| self.compare(node, &kept, &filed))
        {
            return Ok(Err(broken));
        }
        let mut all = kept.clone();
        all.extend(filed.into_iter().filter(|c| !kept.contains(c)));
        let mut chain = ChainVerifier::new(node, &all, Some(&head));
        self.at.node = node.to_owned();
        let mut last = 0;
        loop {
            let page = db.chain(node, last, PAGE).await?;
            if page.is_empty() {
                break;
            }
            for entry in &page {
                if let Err(broken) = chain.push(entry) {
                    return Ok(Err(broken));
                }
                last = entry.seq;
                self.at.entries += 1;
                if let Some(link) = self.links.note(entry) {
                    self.recording(link).await?;
                }
            }
            self.out.summary.entries = self.at.entries;
            (self.progress)(&self.at);
        }
        let stands_at = last;
        let old_copy = head.seq == last && kept.iter().all(|c| c.head.seq <= last);
        Ok(match chain.finish() {
            Ok(summary) => {
                self.out.summary.chains.push(summary);
                Ok(())
            }
            // The database agrees with itself, only the file outside of it knows more.
            Err(b) if old_copy => Err(Broken { what: Tamper::Replayed { stands_at }, ..b }),
            Err(b) => Err(b),
        })
    }

    /// The file is written before the database: it must know every checkpoint of this node that the database has.
    fn compare(&self, node: &str, kept: &[Checkpoint], filed: &[Checkpoint]) -> Result<(), Broken> {
        // A cluster's database also has the chains of nodes whose files are elsewhere.
        if filed.is_empty() && !self.file.is_empty() {
            return Ok(());
        }
        let Some(lost) = kept.iter().find(|c| !filed.contains(c)) else { return Ok(()) };
        Err(Broken::entry(node, lost.head.seq, Tamper::CheckpointFile))
    }

    async fn recording(&mut self, link: Link) -> Result<(), VerifyError> {
        let (directory, keys) = (self.recordings.to_owned(), self.keys.to_vec());
        let task = tokio::task::spawn_blocking(move || check_file(&link, &directory, &keys).map(|checked| (link, checked)));
        let (link, checked) = task.await.map_err(io::Error::other)??;
        match checked {
            None => return Ok(()),
            Some(Checked::Sound(bytes)) => {
                self.out.summary.recordings += 1;
                self.out.summary.bytes += bytes;
            }
            Some(Checked::Unsealed) => self.out.summary.unsealed.push(link.session.to_string()),
            Some(Checked::Missing) => {
                self.links.missing.insert(link.session, link);
            }
            Some(Checked::Broken(what)) => self.out.broken.push(link.broken(what)),
        }
        self.at.recordings += 1;
        self.at.bytes = self.out.summary.bytes;
        (self.progress)(&self.at);
        Ok(())
    }

    /// Every session row against its closing entry. Rows are read after the chains, so each closed session has one.
    async fn rows(&mut self) -> Result<(), VerifyError> {
        let mut offset = 0;
        loop {
            let mut query = Query::all().page(offset, ROWS);
            query.order = vec![Order { field: "date_start".into(), desc: false }];
            let rows = self.store.read(self.authority.every_org()).logs::<SessionRow>(&query).await?.rows;
            let read = rows.len() as u64;
            for row in &rows {
                self.row(row);
            }
            if read < ROWS {
                break;
            }
            offset += read;
        }
        self.rows_left();
        Ok(())
    }

    fn row(&mut self, row: &SessionRow) {
        self.out.summary.sessions += 1;
        let session = row.id.to_string();
        let broken = match self.links.closed.remove(&row.id.uuid()) {
            Some((node, seq, hash)) => {
                let same = row.is_finished() && row.recording_hash == hash;
                (!same).then(|| Broken::entry(&node, seq, Tamper::SessionRow { session }))
            }
            None if self.must_be_closed_by_entry(row) => Some(Broken::entry(&row.node_id, 0, Tamper::SessionMissing { session })),
            None => None,
        };
        self.out.broken.extend(broken);
    }

    /// Whether the row was closed so long before the end of its chain that its entry must have been read.
    fn must_be_closed_by_entry(&self, row: &SessionRow) -> bool {
        let last = self.out.summary.chains.iter().find(|c| c.node == row.node_id).and_then(|c| c.last_at);
        matches!((row.date_end, last), (Some(end), Some(last)) if row.is_finished() && last - end > LATE)
    }

    /// Closing entries whose row was not seen.
    fn rows_left(&mut self) {
        let left = std::mem::take(&mut self.links.closed);
        for (session, (node, seq, _)) in left {
            if !self.links.row_was_removed(&session) {
                self.out.broken.push(Broken::entry(&node, seq, Tamper::SessionMissing { session: session.to_string() }));
            }
        }
    }
}
