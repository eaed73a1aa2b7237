//! The segment that is being filled: references to large pieces, copies of small ones.

use bytes::{Bytes, BytesMut};

use crate::event::put_prefix;

/// From this size on a piece is kept by reference instead of copied.
const BY_REFERENCE: usize = 2048;

/// Events that are not written yet. Owns no memory while empty.
#[derive(Default)]
pub(crate) struct Pending {
    chunks: Vec<Bytes>,
    tail: BytesMut,
    /// Encoded bytes.
    pub(crate) len: usize,
    events: u32,
    first_us: u64,
    last_us: u64,
    keyframe: bool,
    /// Counts sealed segments, so that the flusher knows whether the one it was told of is still here.
    pub(crate) generation: u64,
}

/// A segment on its way to the file.
pub(crate) struct Sealed {
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) len: usize,
    pub(crate) events: u32,
    pub(crate) first_us: u64,
    pub(crate) last_us: u64,
    pub(crate) keyframe: bool,
    /// Queue budget to give back, KiB.
    pub(crate) permits: u32,
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.tail.capacity() + self.chunks.capacity()
    }
    /// Adds an event. Time never runs backwards inside a recording.
    pub(crate) fn add(&mut self, at_us: u64, tag: u8, body: Bytes) {
        if self.is_empty() {
            self.last_us = self.last_us.max(at_us);
            self.first_us = self.last_us;
        }
        let before = self.tail.len();
        put_prefix(&mut self.tail, tag, at_us.saturating_sub(self.last_us), body.len());
        self.len += self.tail.len() - before + body.len();
        self.last_us = self.last_us.max(at_us);
        self.events += 1;
        if body.len() >= BY_REFERENCE {
            self.chunks.push(self.tail.split().freeze());
            self.chunks.push(body);
        } else {
            self.tail.extend_from_slice(&body);
        }
    }
    /// Marks the segment as a place to start playing from; it must be empty.
    pub(crate) fn mark_keyframe(&mut self) {
        self.keyframe = true;
    }
    /// Takes everything out.
    pub(crate) fn seal(&mut self, permits: u32) -> Sealed {
        let mut old = std::mem::take(self);
        self.generation = old.generation + 1;
        self.last_us = old.last_us;
        if !old.tail.is_empty() {
            old.chunks.push(old.tail.freeze());
        }
        Sealed { chunks: old.chunks, len: old.len, events: old.events, first_us: old.first_us, last_us: old.last_us, keyframe: old.keyframe, permits }
    }
}
