//! The writing side: one spool per node, one recorder per session.
//!
//! Threads, none of them per session: a few writers (compress, hash, append), one flusher (seals what has waited
//! too long), one syncer (`fdatasync` every few seconds). They sleep when nothing is recorded.
//!
//! Bytes travel: tap task → pending segment of the recorder → queue of a writer → file. A recorder always uses the
//! same writer, and a segment is put into the queue while its pending lock is held, so order is kept whoever seals.
//! Memory is bounded by a byte budget that full segments must get before they may queue.

mod flusher;
mod pending;
mod recorder;
mod writer;

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use chrono::DateTime;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

pub use recorder::Recorder;
pub(crate) use writer::FileState;
use writer::{Job, Shared};

use crate::{
    Header, RecordError, Signer,
    frame::{FILE_MAGIC, SegmentKind},
};

/// How a spool works.
#[derive(Clone)]
pub struct SpoolOptions {
    /// Signs the heads.
    pub signer: Arc<dyn Signer>,
    /// Content size at which a segment is sealed.
    pub segment_bytes: usize,
    /// Age at which a segment is sealed even if nothing follows.
    pub segment_age: Duration,
    /// How often written data is forced to the disk.
    pub sync_every: Duration,
    /// Whether opening waits until the header has reached the disk. Off: until the kernel has it, which survives
    /// the death of the process; the disk has it [`Self::sync_every`] later.
    pub sync_open: bool,
    /// Time between keyframes, while there is output.
    pub keyframe_every: Duration,
    /// Output between keyframes.
    pub keyframe_bytes: u64,
    /// Bytes that may wait for the writers, all sessions together.
    pub queue_bytes: usize,
    /// Writer threads; 0 = by the number of cores.
    pub writers: usize,
}

impl SpoolOptions {
    /// The usual values.
    pub fn new(signer: Arc<dyn Signer>) -> Self {
        Self {
            signer,
            segment_bytes: 256 * 1024,
            segment_age: Duration::from_millis(500),
            sync_every: Duration::from_secs(3),
            sync_open: false,
            keyframe_every: Duration::from_secs(10),
            keyframe_bytes: 512 * 1024,
            queue_bytes: 16 * 1024 * 1024,
            writers: 0,
        }
    }
}

/// Writes the recordings of one node. Cheap to clone.
#[derive(Clone)]
pub struct Spool {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    dir: PathBuf,
    options: SpoolOptions,
    /// Free bytes of the queue, in KiB.
    budget: Semaphore,
    writers: Vec<mpsc::Sender<Job>>,
    next_writer: AtomicUsize,
    flusher: mpsc::Sender<flusher::Watch>,
    syncer: mpsc::Sender<Arc<Shared>>,
    /// Whose threads open and sync files: the runtime that started the spool, not the one of each session's gateway.
    runtime: tokio::runtime::Handle,
    closed: AtomicBool,
    /// Recordings that failed since the start.
    failures: AtomicU64,
    last_failure: Mutex<Option<String>>,
}

impl Spool {
    /// Starts the threads. `dir` is made if it is missing (0700). Must be called on a runtime.
    ///
    /// # Errors
    /// The directory or a thread cannot be made.
    pub fn start(dir: PathBuf, options: SpoolOptions) -> Result<Spool, RecordError> {
        private_dir(&dir).map_err(disk)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = if options.writers == 0 { cores.clamp(1, 4) } else { options.writers.min(64) };
        let queue_kib = (options.queue_bytes / 1024).max(2048);
        let (flusher, watches) = mpsc::channel();
        let (syncer, dirty) = mpsc::channel();
        let (writers, jobs): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel()).unzip();
        let age = options.segment_age;
        let sync_every = options.sync_every;
        let inner = Arc::new(Inner {
            dir,
            options,
            budget: Semaphore::new(queue_kib.min(Semaphore::MAX_PERMITS)),
            writers,
            next_writer: AtomicUsize::new(0),
            flusher,
            syncer,
            runtime: tokio::runtime::Handle::try_current().map_err(|e| disk(io::Error::other(e)))?,
            closed: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            last_failure: Mutex::new(None),
        });
        // Threads hold the spool weakly: they end when its last handle goes.
        for (n, jobs) in jobs.into_iter().enumerate() {
            let (weak, signer) = (Arc::downgrade(&inner), inner.options.signer.clone());
            thread(&format!("rec-write-{n}"), move || writer::run(&jobs, &weak, &*signer))?;
        }
        thread("rec-flush", move || flusher::run(&watches, age))?;
        let weak = Arc::downgrade(&inner);
        thread("rec-sync", move || flusher::sync(&dirty, &weak, sync_every))?;
        Ok(Spool { inner })
    }

    /// Begins a recording: the file exists and holds the header segment when this returns.
    ///
    /// # Errors
    /// [`RecordError::Disk`] if the file cannot be made or written; [`RecordError::Closed`] after shutdown.
    pub async fn open(&self, mut header: Header) -> Result<Recorder, RecordError> {
        if self.inner.closed.load(Ordering::Acquire) {
            return Err(RecordError::Closed);
        }
        header.key = self.inner.options.signer.public_key().to_owned();
        let path = relative_path(header.session, header.started_at);
        let inner = self.inner.clone();
        let size = (header.cols, header.rows);
        let made = self.inner.runtime.spawn_blocking(move || create(&inner, &header).map(|file| (file, header, path)));
        let opened = made.await.map_err(|_| RecordError::Closed)?;
        let (file, header, path) = opened.map_err(|e| self.inner.note_failure(&e.to_string()))?;
        let n = self.inner.next_writer.fetch_add(1, Ordering::Relaxed) % self.inner.writers.len().max(1);
        let jobs = self.inner.writers.get(n).ok_or(RecordError::Closed)?.clone();
        let shared = Arc::new(Shared::new(header.session, file, jobs));
        writer::mark_dirty(&shared, Some(&self.inner));
        Ok(Recorder::new(self.clone(), shared, path, size))
    }

    /// The directory of the recordings.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// How many recordings failed since the start, and the last reason. For readiness and alarms.
    pub fn failures(&self) -> (u64, Option<String>) {
        (self.inner.failures.load(Ordering::Relaxed), self.inner.last_failure.lock().clone())
    }

    /// Refuses new recordings and waits until everything queued is written. Recordings should be closed before.
    pub async fn shutdown(&self) {
        self.inner.closed.store(true, Ordering::Release);
        for jobs in &self.inner.writers {
            let (done, wait) = oneshot::channel();
            if jobs.send(Job::Barrier(done)).is_ok() {
                let _ = wait.await;
            }
        }
    }
}

/// Scheduling priority of the writers.
const WRITER_NICE: i32 = 5;

impl Inner {
    fn note_failure(&self, why: &str) -> RecordError {
        self.failures.fetch_add(1, Ordering::Relaxed);
        *self.last_failure.lock() = Some(why.to_owned());
        tracing::error!(error = why, "recording storage failed");
        RecordError::Disk(why.to_owned())
    }
}

/// `YYYY-MM-DD/<session>.rec`, the day in UTC. Made of an id and a number only: nothing from outside enters.
pub fn relative_path(session: uuid::Uuid, started_at_us: i64) -> String {
    let day = DateTime::from_timestamp_micros(started_at_us).unwrap_or_default().format("%Y-%m-%d");
    format!("{day}/{session}.rec")
}

/// The recording of a session that began around that time, if there is one: its path relative to `dir`.
pub fn find(dir: &Path, session: uuid::Uuid, started_at_us: i64) -> Option<String> {
    const DAY_US: i64 = 24 * 3600 * 1_000_000;
    [started_at_us, started_at_us.saturating_add(DAY_US)].into_iter().map(|at| relative_path(session, at)).find(|path| dir.join(path).is_file())
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), RecordError> {
    let run = move || {
        // On Linux this is the thread alone. Whoever types goes before the packing of somebody else's output; a writer that
        // falls behind holds its own session back, so nothing is lost by it.
        let _ = rustix::process::setpriority_process(None, WRITER_NICE);
        run();
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop).map_err(disk)
}

fn disk(e: io::Error) -> RecordError {
    RecordError::Disk(e.to_string())
}

fn private_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn create(inner: &Inner, header: &Header) -> io::Result<FileState> {
    let path = inner.dir.join(relative_path(header.session, header.started_at));
    let day = path.parent().unwrap_or(&inner.dir);
    let new_day = !day.exists();
    private_dir(day)?;
    let file = fs::OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(&path)?;
    let content = serde_json::to_vec(header)?;
    io::Write::write_all(&mut &file, FILE_MAGIC)?;
    let mut state = FileState::new(file, FILE_MAGIC.len() as u64);
    let written = state.write_frame(SegmentKind::Header, 0, (0, 0), content.len(), 0, &[&content]);
    let synced = written.and_then(|()| if inner.options.sync_open { sync_new(&state, day, &inner.dir, new_day) } else { Ok(()) });
    if let Err(e) = synced {
        // Nothing was recorded: an unusable file must not look like evidence.
        let _ = fs::remove_file(&path);
        return Err(e);
    }
    Ok(state)
}

fn sync_new(state: &FileState, day: &Path, dir: &Path, new_day: bool) -> io::Result<()> {
    state.file().sync_data()?;
    fs::File::open(day)?.sync_all()?;
    if new_day {
        fs::File::open(dir)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{sync::Arc, time::Duration};

    use bytes::Bytes;

    use super::*;
    use crate::{Ed25519Signer, EndSummary, Event, Recording};

    fn spool(dir: &Path) -> Spool {
        let mut options = SpoolOptions::new(Arc::new(Ed25519Signer::from_seed(&[1; 32]).unwrap()));
        options.segment_age = Duration::from_millis(20);
        Spool::start(dir.join("r"), options).unwrap()
    }

    /// From here on every write of this recording ends as on a full disk.
    fn fill_disk(r: &Recorder) {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        r.shared().file.lock().replace_file(full);
    }

    #[tokio::test]
    async fn a_full_disk_ends_the_recording_and_keeps_what_was_there() {
        let dir = tempfile::TempDir::new().unwrap();
        let spool = spool(dir.path());
        let mut r = spool.open(Header::default()).await.unwrap();
        let mut failed = r.failed();
        r.push(1, Event::Output(Bytes::from_static(b"kept"))).await.unwrap();
        r.flush().await.unwrap();
        let path = spool.dir().join(r.path());
        while Recording::open(&path).unwrap().next_event().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }

        fill_disk(&r);
        r.push(2, Event::Output(Bytes::from_static(b"lost"))).await.unwrap();
        tokio::time::timeout(Duration::from_secs(5), failed.wait_for(|f| *f)).await.unwrap().unwrap();

        assert!(matches!(r.push(3, Event::Output(Bytes::new())).await, Err(RecordError::Disk(_))));
        assert!(matches!(r.close(EndSummary::default()).await, Err(RecordError::Disk(_))));
        assert_eq!(spool.failures().0, 1);
        let events: Vec<_> = Recording::open(&path).unwrap().events().map(|e| e.unwrap().1).collect();
        assert_eq!(events, [Event::Output(Bytes::from_static(b"kept"))]);
        // Other recordings are not concerned, and nothing of the shared budget was lost.
        let other = spool.open(Header { session: uuid::Uuid::from_u128(2), ..Header::default() }).await.unwrap();
        other.close(EndSummary::default()).await.unwrap();
        spool.shutdown().await;
        assert_eq!(spool.inner.budget.available_permits(), 16 * 1024);
    }

    #[tokio::test]
    async fn an_idle_recording_owns_no_buffer() {
        let dir = tempfile::TempDir::new().unwrap();
        let spool = spool(dir.path());
        let mut r = spool.open(Header::default()).await.unwrap();
        r.push(1, Event::Output(Bytes::from(vec![b'x'; 1500]))).await.unwrap();
        let released = async {
            while r.shared().pending.lock().capacity() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), released).await.unwrap();
    }

    #[tokio::test]
    async fn opening_on_a_read_only_place_is_refused() {
        let dir = tempfile::TempDir::new().unwrap();
        let spool = spool(dir.path());
        // A file where the day's folder must be.
        fs::write(spool.dir().join("1970-01-01"), b"").unwrap();
        assert!(matches!(spool.open(Header::default()).await, Err(RecordError::Disk(_))));
        assert_eq!(spool.failures().0, 1);
    }
}
