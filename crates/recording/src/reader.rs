//! The reading side: segments and events in order, an index for jumping, files that still grow.

use std::{fs::File, path::Path};

use bytes::Bytes;

use crate::{
    Damage, End, Event, FLAG_KEYFRAME, Header, Player, RecordError,
    event::Events,
    frame::{SegmentKind, Step, Walker, unpack},
};

/// A recording that is being read. Memory: one segment.
pub struct Recording {
    walker: Walker,
    header: Header,
    end: Option<End>,
    torn: bool,
    first: u64,
    events: Option<Events>,
}

/// One segment of events.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Where it lies and what it is.
    pub info: SegmentInfo,
    content: Bytes,
}

impl Segment {
    /// Its events with their times in microseconds.
    pub fn events(&self) -> impl Iterator<Item = Result<(u64, Event), RecordError>> + use<> {
        let number = self.info.number;
        Events::new(self.content.clone(), self.info.start_us).map(move |e| e.map_err(|damage| RecordError::Damaged { segment: number, damage }))
    }
}

/// Where a segment lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number; 0 is the header, events start at 1.
    pub number: u64,
    /// Offset of its frame in the file.
    pub offset: u64,
    /// Time of its first event, microseconds.
    pub start_us: u64,
    /// Time of its last event.
    pub end_us: u64,
    /// Events in it.
    pub events: u32,
    /// Bytes of its content.
    pub length: u32,
    /// Whether it starts with a keyframe.
    pub keyframe: bool,
}

/// The segments of a recording, found by reading frame headers only. Not verified.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// Event segments in order.
    pub segments: Vec<SegmentInfo>,
    /// Time of the last event.
    pub duration_us: u64,
    /// Whether the file has a head.
    pub closed: bool,
    /// Whether it ends inside a segment.
    pub torn: bool,
}

impl Index {
    /// The segment to start from in order to show the moment `at_us`: the last keyframe at or before it, else the first.
    pub fn start_for(&self, at_us: u64) -> Option<&SegmentInfo> {
        let until = self.segments.partition_point(|s| s.start_us <= at_us);
        let before = self.segments.get(..until).unwrap_or_default();
        before.iter().rfind(|s| s.keyframe).or(self.segments.first())
    }
}

impl Recording {
    /// Opens a recording and reads its header.
    ///
    /// # Errors
    /// [`RecordError::NotARecording`]; or the file cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RecordError> {
        let mut walker = Walker::start(File::open(path)?)?;
        let header = read_header(&mut walker)?;
        let first = walker.pos;
        Ok(Self { walker, header, end: None, torn: false, first, events: None })
    }

    /// Whose session it is.
    pub fn header(&self) -> &Header {
        &self.header
    }
    /// The signed head, once it was reached.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }
    /// Whether the last read met a segment that is not complete: the file is being written, or its node died.
    pub fn torn(&self) -> bool {
        self.torn
    }

    /// The next segment of events; `None` at the end of the file. On a file that is still being written call it
    /// again later, until [`Recording::end`] is there.
    ///
    /// # Errors
    /// [`RecordError::Damaged`] at the first segment whose hash, place or form is wrong. It does not get past it.
    pub fn next_segment(&mut self) -> Result<Option<Segment>, RecordError> {
        let segment = self.walker.next;
        if self.end.is_some() {
            return Ok(None);
        }
        let offset = self.walker.pos;
        let damaged = |damage| RecordError::Damaged { segment, damage };
        match self.walker.step()? {
            Step::End => self.torn = false,
            Step::Incomplete => self.torn = true,
            Step::Damaged(damage) => return Err(damaged(damage)),
            Step::Frame(head) => {
                self.torn = false;
                let content = unpack(&head, self.walker.payload()).map_err(damaged)?;
                match head.kind {
                    SegmentKind::Header => return Err(damaged(Damage::NotASegment)),
                    SegmentKind::Head => self.end = Some(End::decode(&content).ok_or(damaged(Damage::Undecodable))?),
                    SegmentKind::Events => return Ok(Some(Segment { info: info(&head, offset), content })),
                }
            }
        }
        Ok(None)
    }

    /// The next event and its time in microseconds; `None` as in [`Recording::next_segment`].
    ///
    /// # Errors
    /// As [`Recording::next_segment`].
    pub fn next_event(&mut self) -> Result<Option<(u64, Event)>, RecordError> {
        loop {
            if let Some(item) = self.events.as_mut().and_then(Iterator::next) {
                let segment = self.walker.next.saturating_sub(1);
                return item.map(Some).map_err(|damage| RecordError::Damaged { segment, damage });
            }
            match self.next_segment()? {
                Some(s) => self.events = Some(Events::new(s.content, s.info.start_us)),
                None => {
                    self.events = None;
                    return Ok(None);
                }
            }
        }
    }

    /// All remaining events.
    pub fn events(&mut self) -> impl Iterator<Item = Result<(u64, Event), RecordError>> + '_ {
        let mut failed = false;
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let item = self.next_event().transpose();
            failed = matches!(item, Some(Err(_)));
            item
        })
    }

    /// Finds all segments without reading or decompressing their content. Stops quietly at damage, which reading
    /// and [`crate::verify`] report.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn index(&self) -> Result<Index, RecordError> {
        let mut index = Index::default();
        let mut pos = self.first;
        let len = self.walker.len()?;
        while pos < len {
            let Some(Ok(head)) = self.walker.peek(pos)? else {
                index.torn = true;
                break;
            };
            if pos + head.frame_len() > len {
                index.torn = true;
                break;
            }
            match head.kind {
                SegmentKind::Events => index.segments.push(info(&head, pos)),
                SegmentKind::Head => index.closed = true,
                SegmentKind::Header => break,
            }
            index.duration_us = index.duration_us.max(head.end_us);
            pos += head.frame_len();
        }
        Ok(index)
    }

    /// Goes to a segment of the index. What follows is checked against the stored hash of the segment before it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn jump(&mut self, to: &SegmentInfo) -> Result<(), RecordError> {
        let mut hash = [0u8; crate::frame::HASH_LEN];
        let at = to.offset.saturating_sub(hash.len() as u64);
        self.walker.read(&mut hash, at)?;
        self.walker.jump(to.offset, to.number, hash);
        self.end = None;
        self.torn = false;
        self.events = None;
        Ok(())
    }

    /// Goes to the last keyframe at or before `at_us`; see [`Player`] for what to show.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn seek(&mut self, at_us: u64) -> Result<(), RecordError> {
        let index = self.index()?;
        if let Some(to) = index.start_for(at_us).copied() {
            self.jump(&to)?;
        }
        Ok(())
    }

    /// Plays from the moment `at_us` on.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn play(mut self, at_us: u64) -> Result<Player, RecordError> {
        self.seek(at_us)?;
        Ok(Player::new(self))
    }
}

fn info(head: &crate::frame::FrameHead, offset: u64) -> SegmentInfo {
    let keyframe = head.flags & FLAG_KEYFRAME != 0;
    SegmentInfo { number: head.number, offset, start_us: head.start_us, end_us: head.end_us, events: head.events, length: head.length, keyframe }
}

/// Reads segment 0.
pub(crate) fn read_header(walker: &mut Walker) -> Result<Header, RecordError> {
    let head = match walker.step()? {
        Step::Frame(head) if head.kind == SegmentKind::Header => head,
        Step::Frame(_) => return Err(RecordError::NotARecording("its first segment is not a header")),
        Step::End | Step::Incomplete => return Err(RecordError::NotARecording("its header is not complete")),
        Step::Damaged(damage) => return Err(RecordError::Damaged { segment: 0, damage }),
    };
    let content = unpack(&head, walker.payload()).map_err(|damage| RecordError::Damaged { segment: 0, damage })?;
    serde_json::from_slice(&content).map_err(|_| RecordError::Damaged { segment: 0, damage: Damage::Undecodable })
}
