//! The recorder that a session's tap task owns.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::{
    Spool,
    flusher::Watch,
    writer::{Job, Shared},
};
use crate::{
    EndSummary, Event, Finished, RecordError,
    event::{MAX_KEYFRAME, tag},
};

/// Largest piece of a stream in one event; longer ones are split, which changes nothing for the reader.
const MAX_PIECE: usize = 128 * 1024;

/// Records one session. Owned by one task; dropping it without [`Recorder::close`] closes the recording as
/// `interrupted`.
pub struct Recorder {
    spool: Spool,
    shared: Arc<Shared>,
    path: String,
    size: (u16, u16),
    /// Time and amount of output at the last keyframe.
    keyframe_at: u64,
    now: u64,
    output: u64,
    output_at_keyframe: u64,
    bytes: u64,
    closed: bool,
}

impl Recorder {
    pub(super) fn new(spool: Spool, shared: Arc<Shared>, path: String, size: (u16, u16)) -> Self {
        Self { spool, shared, path, size, keyframe_at: 0, now: 0, output: 0, output_at_keyframe: 0, bytes: 0, closed: false }
    }

    /// Records `event` at `at_us` microseconds after the start of the session. Waits while the writers are behind.
    /// Cancel safe: an event is either recorded or not begun.
    ///
    /// # Errors
    /// [`RecordError::Disk`] once the storage failed: the session must end. [`RecordError::TooLarge`] for a note
    /// above 256 KiB, which is not recorded.
    pub async fn push(&mut self, at_us: u64, event: Event) -> Result<(), RecordError> {
        self.shared.check()?;
        if self.shared.pending_len() >= self.segment_bytes() {
            // A former push was cancelled while it waited.
            self.seal().await?;
        }
        self.now = self.now.max(at_us);
        match &event {
            Event::Output(b) | Event::Stderr(b) => {
                self.output += b.len() as u64;
                self.bytes += b.len() as u64;
            }
            Event::Input(b) => self.bytes += b.len() as u64,
            Event::Resize { cols, rows } => self.size = (*cols, *rows),
            _ => {}
        }
        if let Event::Keyframe(screen) = event {
            return self.keyframe(at_us, screen).await;
        }
        let (tag, mut body) = event.encode()?;
        while body.len() > MAX_PIECE {
            self.append(at_us, tag, body.split_to(MAX_PIECE)).await?;
        }
        self.append(at_us, tag, body).await
    }

    /// Whether a keyframe is due. Ask after output, only for sessions with a terminal.
    pub fn wants_keyframe(&self) -> bool {
        let options = &self.spool.inner.options;
        let fresh = self.output - self.output_at_keyframe;
        let waited = self.now.saturating_sub(self.keyframe_at);
        fresh >= options.keyframe_bytes || (fresh >= 4096 && u128::from(waited) >= options.keyframe_every.as_micros())
    }

    /// Turns true when the storage failed.
    pub fn failed(&self) -> watch::Receiver<bool> {
        self.shared.failed.subscribe()
    }

    /// Path relative to the recordings directory.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Stream bytes recorded so far, uncompressed.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of the file so far.
    pub fn size(&self) -> u64 {
        self.shared.size.load(Ordering::Relaxed)
    }

    /// Seals what is pending now, without waiting for its age; for live viewers.
    ///
    /// # Errors
    /// As [`Recorder::push`].
    pub async fn flush(&mut self) -> Result<(), RecordError> {
        self.shared.check()?;
        self.seal().await
    }

    /// Writes the signed head and forces everything to the disk.
    ///
    /// # Errors
    /// [`RecordError::Disk`] if that fails: what was written before stays readable, and [`crate::recover`] can close it.
    pub async fn close(mut self, end: EndSummary) -> Result<Finished, RecordError> {
        self.shared.check()?;
        self.seal().await?;
        self.closed = true;
        let (reply, answer) = oneshot::channel();
        let job = Job::Close { shared: self.shared.clone(), end, path: self.path.clone(), reply };
        self.shared.jobs.send(job).map_err(|_| RecordError::Closed)?;
        let (finished, file) = answer.await.map_err(|_| RecordError::Closed)??;
        let synced = tokio::task::spawn_blocking(move || file.sync_data()).await.map_err(|_| RecordError::Closed)?;
        synced.map_err(|e| self.spool.inner.note_failure(&e.to_string()))?;
        Ok(finished)
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    fn segment_bytes(&self) -> usize {
        self.spool.inner.options.segment_bytes
    }

    async fn append(&mut self, at_us: u64, tag: u8, body: Bytes) -> Result<(), RecordError> {
        let len = {
            let mut pending = self.shared.pending.lock();
            self.watch(pending.is_empty(), pending.generation);
            pending.add(at_us, tag, body);
            pending.len
        };
        if len >= self.segment_bytes() { self.seal().await } else { Ok(()) }
    }

    /// A screen starts its own segment, so that a player finds it without decompressing anything before it.
    async fn keyframe(&mut self, at_us: u64, screen: Vec<u8>) -> Result<(), RecordError> {
        self.keyframe_at = self.now;
        self.output_at_keyframe = self.output;
        if screen.len() > MAX_KEYFRAME {
            return Ok(());
        }
        let (cols, rows) = self.size;
        let (resize, size) = Event::Resize { cols, rows }.encode()?;
        self.seal().await?;
        let mut pending = self.shared.pending.lock();
        self.watch(true, pending.generation);
        pending.mark_keyframe();
        pending.add(at_us, resize, size);
        pending.add(at_us, tag::KEYFRAME, screen.into());
        Ok(())
    }

    /// Asks the flusher to look after a segment that begins now.
    fn watch(&self, begins: bool, generation: u64) {
        if begins {
            let due = Instant::now() + self.spool.inner.options.segment_age;
            let _ = self.spool.inner.flusher.send(Watch { due, generation, shared: self.shared.clone() });
        }
    }

    async fn seal(&self) -> Result<(), RecordError> {
        let len = self.shared.pending_len();
        if len == 0 {
            return Ok(());
        }
        let kib = u32::try_from(len.div_ceil(1024)).unwrap_or(u32::MAX).min(2048);
        let permit = self.spool.inner.budget.acquire_many(kib).await.map_err(|_| RecordError::Closed)?;
        if self.shared.seal_pending(kib)? {
            // Given back by the writer.
            permit.forget();
        }
        Ok(())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if self.closed || self.shared.check().is_err() {
            return;
        }
        // The task ended without closing (a panic, an abort). What it saw is evidence all the same.
        let _ = self.shared.seal_pending(0);
        let end = EndSummary { reason: "interrupted".into(), ..EndSummary::default() };
        let (reply, _) = oneshot::channel();
        let _ = self.shared.jobs.send(Job::Close { shared: self.shared.clone(), end, path: std::mem::take(&mut self.path), reply });
    }
}
