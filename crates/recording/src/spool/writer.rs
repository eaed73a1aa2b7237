//! The writer threads: compress, hash, append.

use std::{
    fs::File,
    io::{self, IoSlice, Write},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
};

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::{
    Inner,
    pending::{Pending, Sealed},
};
use crate::{
    End, EndSummary, Finished, RecordError, Signer,
    frame::{FLAG_KEYFRAME, FLAG_ZSTD, FrameHead, HASH_LEN, Hash, SegmentKind, frame_hash},
};

/// Work for a writer.
pub(crate) enum Job {
    /// Append.
    Segment(Arc<Shared>, Sealed),
    /// Append the signed head.
    Close { shared: Arc<Shared>, end: EndSummary, path: String, reply: oneshot::Sender<Result<(Finished, Arc<File>), RecordError>> },
    /// Answer when everything before is done.
    Barrier(oneshot::Sender<()>),
}

/// What recorder, flusher and writer share of one recording.
pub(crate) struct Shared {
    session: Uuid,
    pub(crate) pending: Mutex<Pending>,
    /// Only the writer takes this lock for longer than an instant.
    pub(crate) file: Mutex<FileState>,
    pub(crate) jobs: mpsc::Sender<Job>,
    /// Segments in the queue.
    pub(crate) queued: AtomicUsize,
    pub(crate) dirty: AtomicBool,
    pub(crate) size: AtomicU64,
    pub(crate) failed: watch::Sender<bool>,
    reason: Mutex<Option<String>>,
}

impl Shared {
    pub(crate) fn new(session: Uuid, file: FileState, jobs: mpsc::Sender<Job>) -> Self {
        let size = file.offset;
        Self {
            session,
            pending: Mutex::default(),
            file: Mutex::new(file),
            jobs,
            queued: AtomicUsize::new(0),
            dirty: AtomicBool::new(false),
            size: AtomicU64::new(size),
            failed: watch::Sender::new(false),
            reason: Mutex::new(None),
        }
    }
    pub(crate) fn pending_len(&self) -> usize {
        self.pending.lock().len
    }
    /// Queues what is pending; `false` if there was nothing.
    pub(crate) fn seal_pending(self: &Arc<Self>, permits: u32) -> Result<bool, RecordError> {
        // INVARIANT: sent under the lock, so that the flusher and the recorder cannot swap two segments.
        let mut pending = self.pending.lock();
        if pending.is_empty() {
            return Ok(false);
        }
        let sealed = pending.seal(permits);
        self.send(sealed).map(|()| true)
    }
    /// Queues a segment; the pending lock is held by the caller.
    pub(crate) fn send(self: &Arc<Self>, sealed: Sealed) -> Result<(), RecordError> {
        self.queued.fetch_add(1, Ordering::AcqRel);
        self.jobs.send(Job::Segment(self.clone(), sealed)).map_err(|_| RecordError::Closed)
    }
    pub(crate) fn check(&self) -> Result<(), RecordError> {
        if *self.failed.borrow() { Err(RecordError::Disk(self.reason.lock().clone().unwrap_or_default())) } else { Ok(()) }
    }
    pub(crate) fn fail(&self, why: &str) {
        *self.reason.lock() = Some(why.to_owned());
        self.failed.send_replace(true);
    }
}

/// Where a file stands. Changed by its writer only.
pub(crate) struct FileState {
    file: Arc<File>,
    pub(crate) offset: u64,
    previous: Hash,
    next: u64,
    last_us: u64,
    /// Large segments to store as they are without trying to compress, after several that did not shrink.
    raw_left: u8,
    raw_seen: u8,
}

impl FileState {
    /// An empty recording.
    pub(crate) fn new(file: File, offset: u64) -> Self {
        Self::resume(file, offset, [0; HASH_LEN], 0, 0)
    }
    /// A recording that ends intact after segment `next - 1`.
    pub(crate) fn resume(file: File, offset: u64, previous: Hash, next: u64, last_us: u64) -> Self {
        Self { file: Arc::new(file), offset, previous, next, last_us, raw_left: 0, raw_seen: 0 }
    }
    pub(crate) fn file(&self) -> Arc<File> {
        self.file.clone()
    }
    #[cfg(test)]
    pub(crate) fn replace_file(&mut self, file: File) {
        self.file = Arc::new(file);
    }
    /// Appends a frame. If that fails, the part that was written is taken away again.
    pub(crate) fn write_frame(&mut self, kind: SegmentKind, flags: u16, time: (u64, u64), length: usize, events: u32, parts: &[&[u8]]) -> io::Result<()> {
        let stored: usize = parts.iter().map(|p| p.len()).sum();
        let narrow = |n: usize| u32::try_from(n).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
        let head = FrameHead { kind, flags, number: self.next, start_us: time.0, end_us: time.1, stored: narrow(stored)?, length: narrow(length)?, events };
        let raw = head.encode();
        let hash = frame_hash(&self.previous, &raw, parts.iter().copied());
        let mut slices = Vec::with_capacity(parts.len() + 2);
        slices.push(IoSlice::new(&raw));
        slices.extend(parts.iter().map(|p| IoSlice::new(p)));
        slices.push(IoSlice::new(&hash));
        if let Err(e) = write_all_vectored(&self.file, &mut slices) {
            let _ = self.file.set_len(self.offset);
            return Err(e);
        }
        self.offset += head.frame_len();
        self.previous = hash;
        self.next += 1;
        self.last_us = time.1;
        Ok(())
    }
    /// Appends the signed head.
    pub(crate) fn write_head(&mut self, session: Uuid, summary: EndSummary, path: String, signer: &dyn Signer) -> io::Result<Finished> {
        let duration_us = self.last_us;
        let previous = hex::encode(self.previous);
        let end = End { session, summary, segments: self.next, duration_us, previous, key: String::new(), signature_ok: false };
        let content = end.encode(signer);
        self.write_frame(SegmentKind::Head, 0, (duration_us, duration_us), content.len(), 0, &[&content])?;
        Ok(Finished { path, hash: hex::encode(self.previous), size: self.offset, duration_us, segments: self.next })
    }
}

/// Like the unstable `Write::write_all_vectored`; the kernel takes at most 1024 pieces at once.
fn write_all_vectored(mut file: &File, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        let some = slices.get(..slices.len().min(1024)).unwrap_or_default();
        match file.write_vectored(some) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => IoSlice::advance_slices(&mut slices, n),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Compressor and buffers of one writer thread, shared by all its recordings.
struct Packer {
    zstd: Option<zstd::bulk::Compressor<'static>>,
    content: Vec<u8>,
    packed: Vec<u8>,
}

/// Below this, framing outweighs what compression saves.
const WORTH: usize = 128;
/// From this size on, a sample is compressed first.
const SAMPLED: usize = 64 * 1024;
const SAMPLE: usize = 16 * 1024;

impl Packer {
    fn new() -> Self {
        Self { zstd: zstd::bulk::Compressor::new(1).ok(), content: Vec::new(), packed: Vec::new() }
    }
    /// Compresses `self.content`; whether the result, in `self.packed`, is clearly smaller.
    fn shrink(&mut self) -> bool {
        let Some(zstd) = self.zstd.as_mut() else { return false };
        self.packed.resize(zstd::zstd_safe::compress_bound(self.content.len()), 0);
        match zstd.compress_to_buffer(&self.content, &mut self.packed) {
            Ok(n) => {
                self.packed.truncate(n);
                n + n / 16 < self.content.len()
            }
            Err(_) => false,
        }
    }
    fn gather(&mut self, chunks: &[bytes::Bytes], most: usize) {
        self.content.clear();
        for c in chunks {
            let room = most.saturating_sub(self.content.len());
            if room == 0 {
                break;
            }
            self.content.extend_from_slice(c.get(..room.min(c.len())).unwrap_or_default());
        }
    }
    /// Compresses a segment into `self.packed`, unless its content does not shrink.
    fn pack(&mut self, state: &mut FileState, sealed: &Sealed) -> bool {
        if sealed.len < WORTH {
            return false;
        }
        if sealed.len >= SAMPLED {
            if state.raw_left > 0 {
                state.raw_left -= 1;
                return false;
            }
            self.gather(&sealed.chunks, SAMPLE);
            if !self.shrink() {
                state.raw_seen = state.raw_seen.saturating_add(1).min(8);
                state.raw_left = state.raw_seen * 2;
                return false;
            }
            state.raw_seen = 0;
        }
        self.gather(&sealed.chunks, usize::MAX);
        self.shrink()
    }
    fn release(&mut self) {
        const KEEP: usize = 512 * 1024;
        self.content.clear();
        self.packed.clear();
        self.content.shrink_to(KEEP);
        self.packed.shrink_to(KEEP);
    }
}

/// A writer thread: ends when the spool and all its recorders are gone.
pub(crate) fn run(jobs: &mpsc::Receiver<Job>, spool: &Weak<Inner>, signer: &dyn Signer) {
    let mut packer = Packer::new();
    while let Ok(job) = jobs.recv() {
        let inner = spool.upgrade();
        match job {
            Job::Segment(shared, sealed) => {
                write_segment(&shared, &sealed, &mut packer, inner.as_deref());
                packer.release();
            }
            Job::Close { shared, end, path, reply } => {
                let _ = reply.send(close(&shared, end, path, signer, inner.as_deref()));
            }
            Job::Barrier(done) => {
                let _ = done.send(());
            }
        }
    }
}

fn write_segment(shared: &Arc<Shared>, sealed: &Sealed, packer: &mut Packer, inner: Option<&Inner>) {
    // After a failure nothing more is appended: a gap must not look like a whole recording.
    if shared.check().is_ok() {
        let mut state = shared.file.lock();
        let mut flags = if sealed.keyframe { FLAG_KEYFRAME } else { 0 };
        let time = (sealed.first_us, sealed.last_us);
        let written = if packer.pack(&mut state, sealed) {
            flags |= FLAG_ZSTD;
            state.write_frame(SegmentKind::Events, flags, time, sealed.len, sealed.events, &[&packer.packed])
        } else {
            // One copy within the cache is cheaper than hashing pieces: BLAKE3 is fast on long aligned input only.
            packer.gather(&sealed.chunks, usize::MAX);
            state.write_frame(SegmentKind::Events, flags, time, sealed.len, sealed.events, &[&packer.content])
        };
        shared.size.store(state.offset, Ordering::Relaxed);
        drop(state);
        match written {
            Ok(()) => mark_dirty(shared, inner),
            Err(e) => drop(failed(shared, &e, inner)),
        }
    }
    shared.queued.fetch_sub(1, Ordering::AcqRel);
    if let Some(inner) = inner {
        inner.budget.add_permits(sealed.permits as usize);
    }
}

pub(crate) fn mark_dirty(shared: &Arc<Shared>, inner: Option<&Inner>) {
    if !shared.dirty.swap(true, Ordering::AcqRel)
        && let Some(inner) = inner
    {
        let _ = inner.syncer.send(shared.clone());
    }
}

fn close(shared: &Shared, end: EndSummary, path: String, signer: &dyn Signer, inner: Option<&Inner>) -> Result<(Finished, Arc<File>), RecordError> {
    shared.check()?;
    let mut state = shared.file.lock();
    let finished = state.write_head(shared.session, end, path, signer).map_err(|e| failed(shared, &e, inner))?;
    shared.size.store(state.offset, Ordering::Relaxed);
    Ok((finished, state.file()))
}

pub(crate) fn failed(shared: &Shared, e: &io::Error, inner: Option<&Inner>) -> RecordError {
    let why = e.to_string();
    // Counted first: who is woken by the failure finds it in the figures.
    let error = inner.map_or_else(|| RecordError::Disk(why.clone()), |inner| inner.note_failure(&why));
    shared.fail(&why);
    error
}
