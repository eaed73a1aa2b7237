//! The frame around a segment.
//!
//! ```text
//! file    = "RMPTREC1" frame*
//! frame   = header (48) payload (stored bytes) hash (32)
//! header  = "RSEG" version:u8 kind:u8 flags:u16 number:u64 start:u64 end:u64 stored:u32 length:u32 events:u32 0:u32
//! hash    = BLAKE3-derive("rampart recording segment v1", hash of the frame before (32, zeros at first) header payload)
//! ```
//! Integers are little endian, times are microseconds since the start of the session.

use std::{fs::File, io, os::unix::fs::FileExt};

use crate::{Damage, RecordError};

pub(crate) const FILE_MAGIC: &[u8; 8] = b"RMPTREC1";
const FRAME_MAGIC: &[u8; 4] = b"RSEG";
const VERSION: u8 = 1;
pub(crate) const HEAD_LEN: usize = 48;
pub(crate) const HASH_LEN: usize = 32;

/// Largest content of a segment, uncompressed, and largest payload.
pub const MAX_SEGMENT: usize = 1024 * 1024;
/// The payload is compressed with zstd.
pub const FLAG_ZSTD: u16 = 1;
/// The segment starts with the size and full content of the screen: a player may start here.
pub const FLAG_KEYFRAME: u16 = 2;
/// Kept for payloads encrypted to an audit key; this version neither writes nor reads them.
pub const FLAG_ENCRYPTED: u16 = 4;
const KNOWN_FLAGS: u16 = FLAG_ZSTD | FLAG_KEYFRAME;

/// Hash of a frame.
pub(crate) type Hash = [u8; HASH_LEN];

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// The description of the session; always number 0.
    Header,
    /// Events.
    Events,
    /// The signed head; always last.
    Head,
}

impl SegmentKind {
    fn from_byte(b: u8) -> Option<Self> {
        Some(match b {
            1 => SegmentKind::Header,
            2 => SegmentKind::Events,
            3 => SegmentKind::Head,
            _ => return None,
        })
    }
    fn byte(self) -> u8 {
        match self {
            SegmentKind::Header => 1,
            SegmentKind::Events => 2,
            SegmentKind::Head => 3,
        }
    }
}

/// The fields before the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub kind: SegmentKind,
    pub flags: u16,
    pub number: u64,
    pub start_us: u64,
    pub end_us: u64,
    pub stored: u32,
    pub length: u32,
    pub events: u32,
}

impl FrameHead {
    pub(crate) fn encode(&self) -> [u8; HEAD_LEN] {
        let mut out = [0u8; HEAD_LEN];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            if let Some(slot) = out.get_mut(at..at + bytes.len()) {
                slot.copy_from_slice(bytes);
            }
            at += bytes.len();
        };
        put(FRAME_MAGIC);
        put(&[VERSION, self.kind.byte()]);
        put(&self.flags.to_le_bytes());
        put(&self.number.to_le_bytes());
        put(&self.start_us.to_le_bytes());
        put(&self.end_us.to_le_bytes());
        put(&self.stored.to_le_bytes());
        put(&self.length.to_le_bytes());
        put(&self.events.to_le_bytes());
        out
    }

    /// Reads and bounds the fields.
    pub(crate) fn decode(b: &[u8; HEAD_LEN]) -> Result<Self, Damage> {
        let word = |at: usize| u64::from_le_bytes(take(b, at));
        let half = |at: usize| u32::from_le_bytes(take(b, at));
        if &take::<4>(b, 0) != FRAME_MAGIC {
            return Err(Damage::NotASegment);
        }
        let [version, kind] = take::<2>(b, 4);
        if version != VERSION {
            return Err(Damage::Unsupported);
        }
        let head = Self {
            kind: SegmentKind::from_byte(kind).ok_or(Damage::NotASegment)?,
            flags: u16::from_le_bytes(take(b, 6)),
            number: word(8),
            start_us: word(16),
            end_us: word(24),
            stored: half(32),
            length: half(36),
            events: half(40),
        };
        if head.flags & !KNOWN_FLAGS != 0 {
            return Err(Damage::Unsupported);
        }
        let too_long = head.stored as usize > MAX_SEGMENT || head.length as usize > MAX_SEGMENT;
        let raw_differs = head.flags & FLAG_ZSTD == 0 && head.stored != head.length;
        if too_long || raw_differs || head.end_us < head.start_us || half(44) != 0 {
            return Err(Damage::NotASegment);
        }
        Ok(head)
    }
    /// Bytes of the whole frame.
    pub(crate) fn frame_len(&self) -> u64 {
        (HEAD_LEN + HASH_LEN) as u64 + u64::from(self.stored)
    }
}

fn take<const N: usize>(b: &[u8; HEAD_LEN], at: usize) -> [u8; N] {
    b.get(at..at + N).and_then(|s| s.try_into().ok()).unwrap_or([0; N])
}

/// The hash of a frame whose payload comes in parts.
pub(crate) fn frame_hash<'a>(previous: &Hash, head: &[u8; HEAD_LEN], parts: impl IntoIterator<Item = &'a [u8]>) -> Hash {
    let mut h = blake3::Hasher::new_derive_key("rampart recording segment v1");
    h.update(previous);
    h.update(head);
    for p in parts {
        h.update(p);
    }
    *h.finalize().as_bytes()
}

/// Reads until `buf` is full or the file ends; how much was read.
fn read_at_most(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
        match file.read_at(rest, at + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// What comes next in a file.
pub(crate) enum Step {
    /// An intact frame; its payload is in [`Walker::payload`].
    Frame(FrameHead),
    /// The file ends exactly here.
    End,
    /// The file ends inside the next frame.
    Incomplete,
    /// The next frame is damaged. The walker stays before it.
    Damaged(Damage),
}

/// Walks a file frame by frame and checks the chain. Memory: one frame.
pub(crate) struct Walker {
    file: File,
    /// The part of the file that is the recording: where it starts, and its length if it is inside something larger.
    base: u64,
    len: Option<u64>,
    /// Where the next frame starts.
    pub(crate) pos: u64,
    /// Hash of the frame before.
    pub(crate) hash: Hash,
    /// Number the next frame must have.
    pub(crate) next: u64,
    payload: Vec<u8>,
}

impl Walker {
    /// Starts before the header segment.
    pub(crate) fn start(file: File) -> Result<Self, RecordError> {
        Self::start_in(file, 0, None)
    }
    /// The same for a recording inside a larger file.
    pub(crate) fn start_in(file: File, base: u64, len: Option<u64>) -> Result<Self, RecordError> {
        let walker = Self { file, base, len, pos: FILE_MAGIC.len() as u64, hash: [0; HASH_LEN], next: 0, payload: Vec::new() };
        let mut magic = [0u8; FILE_MAGIC.len()];
        let n = walker.read(&mut magic, 0)?;
        if n < magic.len() || &magic != FILE_MAGIC {
            return Err(RecordError::NotARecording("no signature at its start"));
        }
        Ok(walker)
    }
    /// Bytes of the recording now.
    pub(crate) fn len(&self) -> io::Result<u64> {
        match self.len {
            Some(len) => Ok(len),
            None => Ok(self.file.metadata()?.len().saturating_sub(self.base)),
        }
    }
    /// Reads until `buf` is full or the recording ends; how much was read.
    pub(crate) fn read(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        let most = self.len.map_or(u64::MAX, |len| len.saturating_sub(at));
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(buf.len());
        let at = self.base.saturating_add(at);
        buf.get_mut(..most).map_or(Ok(0), |part| read_at_most(&self.file, part, at))
    }
    /// Continues at a frame whose place in the chain is not known: its own hash is not checked.
    pub(crate) fn jump(&mut self, pos: u64, number: u64, previous: Hash) {
        self.pos = pos;
        self.next = number;
        self.hash = previous;
    }
    /// The stored bytes of the last frame.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }
    /// The fields of the frame at `pos`, unverified; `None` if the file ends before they do.
    pub(crate) fn peek(&self, pos: u64) -> io::Result<Option<Result<FrameHead, Damage>>> {
        let mut raw = [0u8; HEAD_LEN];
        let n = self.read(&mut raw, pos)?;
        Ok((n == HEAD_LEN).then(|| FrameHead::decode(&raw)))
    }
    /// Reads and checks the next frame. Can be called again after `End` and `Incomplete` when the file has grown.
    pub(crate) fn step(&mut self) -> io::Result<Step> {
        let mut raw = [0u8; HEAD_LEN];
        match self.read(&mut raw, self.pos)? {
            0 => return Ok(Step::End),
            HEAD_LEN => {}
            _ => return Ok(Step::Incomplete),
        }
        let head = match FrameHead::decode(&raw) {
            Ok(head) => head,
            Err(damage) => return Ok(Step::Damaged(damage)),
        };
        let stored = head.stored as usize;
        let mut buffer = std::mem::take(&mut self.payload);
        buffer.resize(stored + HASH_LEN, 0);
        let n = self.read(&mut buffer, self.pos + HEAD_LEN as u64)?;
        self.payload = buffer;
        if n < stored + HASH_LEN {
            return Ok(Step::Incomplete);
        }
        if head.number != self.next {
            return Ok(Step::Damaged(Damage::Missing { found: head.number }));
        }
        let (payload, hash) = self.payload.split_at(stored);
        let expected = frame_hash(&self.hash, &raw, [payload]);
        if hash != expected {
            return Ok(Step::Damaged(Damage::Changed));
        }
        self.payload.truncate(stored);
        self.hash = expected;
        self.pos += head.frame_len();
        self.next += 1;
        Ok(Step::Frame(head))
    }
}

/// The content of a payload.
pub(crate) fn unpack(head: &FrameHead, payload: &[u8]) -> Result<bytes::Bytes, Damage> {
    if head.flags & FLAG_ZSTD == 0 {
        return Ok(bytes::Bytes::copy_from_slice(payload));
    }
    let content = zstd::bulk::decompress(payload, head.length as usize).map_err(|_| Damage::Undecodable)?;
    if content.len() != head.length as usize {
        return Err(Damage::Undecodable);
    }
    Ok(content.into())
}
