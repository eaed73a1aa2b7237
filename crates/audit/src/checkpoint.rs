//! Signed checkpoints: in the database, and in a file that a copy of the database does not bring back.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use model::{ChainHead, Checkpoint, Clock, Time};
use policy::Authority;
use recording::Signer;
use store::Store;
use tokio::sync::{Mutex, Notify, oneshot};

use crate::{NodeKey, Tamper, verify::Broken};

/// Entries after which a checkpoint is due.
const EVERY_ENTRIES: i64 = 1000;
/// Time after which one is due if there are new entries.
const EVERY: Duration = Duration::from_secs(60);
/// How often the chain is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Longest line of a checkpoint file.
const MAX_LINE: u64 = 4096;

/// Failures of checkpointing.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// The file failed.
    #[error("checkpoint file: {0}")]
    File(#[from] io::Error),
    /// The chain in the database is not the one that was signed last: an old or changed database.
    #[error("{0}")]
    Broken(Broken),
}

/// The bytes that are signed; see [`Checkpoint::signature`].
pub(crate) fn message(head: &ChainHead, at: Time) -> Vec<u8> {
    format!("rampart-checkpoint-v1\n{}\n{}\n{}\n{}", head.node_id, head.seq, head.hash, at.timestamp_micros()).into_bytes()
}

/// Signs a head. The time is cut to microseconds, as it is stored.
pub fn sign_checkpoint(key: &NodeKey, head: ChainHead, at: Time) -> Checkpoint {
    let at = Time::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at);
    let signature = key.sign(&message(&head, at));
    Checkpoint { head, at, key: key.public_key().to_owned(), signature }
}

/// Reads a checkpoint file. A last line that is not complete (the node died while writing) is left out; any other
/// line that is not a checkpoint is an error.
///
/// # Errors
/// The file cannot be read or holds something else. A file that does not exist is empty.
pub fn read_checkpoints(path: &Path) -> io::Result<Vec<Checkpoint>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut reader = BufReader::new(file);
    let mut all = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let n = io::Read::take(&mut reader, MAX_LINE).read_until(b'\n', &mut line)?;
        if n == 0 {
            return Ok(all);
        }
        match serde_json::from_slice(&line) {
            Ok(c) => all.push(c),
            Err(_) if !line.ends_with(b"\n") && (n as u64) < MAX_LINE => return Ok(all),
            Err(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, format!("line {} is not a checkpoint", all.len() + 1))),
        }
    }
}

/// Signs the head of this node's chain regularly. Runs until [`Checkpointer::stop`].
pub struct Checkpointer {
    work: Arc<Work>,
    nudge: Arc<Notify>,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

struct Work {
    store: Store,
    authority: Authority,
    node_id: String,
    key: NodeKey,
    file: PathBuf,
    clock: Arc<dyn Clock>,
    /// Place of the last checkpoint. Held while signing: checkpoints must stand in order.
    signed: Mutex<i64>,
}

impl Checkpointer {
    /// Compares the chain with the checkpoints of former runs, signs it, and starts signing regularly.
    /// `file` is `<data>/audit/checkpoints.jsonl`.
    ///
    /// # Errors
    /// [`CheckpointError::Broken`] if the database is older than the last checkpoint or has another history.
    pub async fn start(store: Store, authority: Authority, node_id: &str, key: NodeKey, file: PathBuf, clock: Arc<dyn Clock>) -> Result<Self, CheckpointError> {
        let work = Arc::new(Work { store, authority, node_id: node_id.to_owned(), key, file, clock, signed: Mutex::new(0) });
        *work.signed.lock().await = work.compare().await?;
        work.sign_if_new().await?;
        let nudge = Arc::new(Notify::new());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(run(work.clone(), nudge.clone(), stopped));
        Ok(Self { work, nudge, stop, task })
    }
    /// Signs now, if there are new entries: before an export, after a burst.
    ///
    /// # Errors
    /// The database or the file failed.
    pub async fn sign_now(&self) -> Result<(), CheckpointError> {
        self.work.sign_if_new().await
    }
    /// Looks at the chain soon instead of at the next turn.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }
    /// Signs the last entries and ends.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

async fn run(work: Arc<Work>, nudge: Arc<Notify>, mut stopped: oneshot::Receiver<()>) {
    let mut waited = Duration::ZERO;
    loop {
        let last = tokio::select! {
            () = tokio::time::sleep(LOOK) => { waited += LOOK; false }
            () = nudge.notified() => false,
            _ = &mut stopped => true,
        };
        let signed = *work.signed.lock().await;
        let due = match work.store.node(work.authority).chain_head(&work.node_id).await {
            Ok(head) => head.seq - signed >= EVERY_ENTRIES || (head.seq > signed && (last || waited >= EVERY)),
            Err(e) => {
                tracing::warn!(error = %e, "chain head cannot be read");
                false
            }
        };
        if due {
            match work.sign_if_new().await {
                Ok(()) => waited = Duration::ZERO,
                Err(e) => tracing::error!(error = %e, "checkpoint cannot be kept"),
            }
        }
        if last {
            return;
        }
    }
}

impl Work {
    /// Signs the head unless that was done.
    async fn sign_if_new(&self) -> Result<(), CheckpointError> {
        let mut signed = self.signed.lock().await;
        let node = self.store.node(self.authority);
        let head = node.chain_head(&self.node_id).await?;
        if head.seq <= *signed {
            return Ok(());
        }
        let seq = head.seq;
        let checkpoint = sign_checkpoint(&self.key, head, self.clock.now());
        // The file first: it must never know less than the database.
        let (file, line) = (self.file.clone(), checkpoint.clone());
        let appended = tokio::task::spawn_blocking(move || append(&file, &line)).await;
        appended.map_err(io::Error::other)??;
        *signed = seq;
        node.put_checkpoint(checkpoint).await?;
        Ok(())
    }

    /// Holds the chain against the last checkpoint in the file.
    async fn compare(&self) -> Result<i64, CheckpointError> {
        let file = self.file.clone();
        let all = tokio::task::spawn_blocking(move || read_checkpoints(&file)).await.map_err(io::Error::other)??;
        let Some(last) = all.into_iter().filter(|c| c.head.node_id == self.node_id).max_by_key(|c| c.head.seq) else { return Ok(0) };
        let node = self.store.node(self.authority);
        let head = node.chain_head(&self.node_id).await?;
        let broken = |what| CheckpointError::Broken(Broken::entry(&self.node_id, last.head.seq, what));
        if head.seq < last.head.seq {
            return Err(broken(Tamper::Replayed { stands_at: head.seq }));
        }
        let entry = node.chain(&self.node_id, last.head.seq - 1, 1).await?.into_iter().next();
        if entry.is_none_or(|e| e.hash != last.head.hash) {
            return Err(broken(Tamper::Rewritten));
        }
        Ok(last.head.seq)
    }
}

fn append(path: &Path, checkpoint: &Checkpoint) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut line = serde_json::to_vec(checkpoint)?;
    line.push(b'\n');
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    cut_torn_line(&file, path)?;
    file.write_all(&line)?;
    file.sync_data()
}

/// A node that died while appending left half a line; the next one must not be glued to it.
fn cut_torn_line(file: &File, path: &Path) -> io::Result<()> {
    let len = file.metadata()?.len();
    let from = len.saturating_sub(MAX_LINE);
    let mut tail = vec![0u8; usize::try_from(len - from).unwrap_or(0)];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut tail, from)?;
    if tail.is_empty() || tail.ends_with(b"\n") {
        return Ok(());
    }
    let keep = tail.iter().rposition(|b| *b == b'\n').map_or(from, |i| from + i as u64 + 1);
    fs::OpenOptions::new().write(true).open(path)?.set_len(keep)
}
