//! Closes the recordings of a node that died.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::{
    End, EndSummary, Finished, Header, RecordError, SegmentKind, Signer,
    frame::{Step, Walker, unpack},
    reader::read_header,
    spool::FileState,
};

/// What recovery found and did.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// Whose session it is.
    pub header: Header,
    /// Path relative to the recordings directory.
    pub path: String,
    /// Hex hash of the last segment, the head.
    pub hash: String,
    /// Bytes of the file.
    pub size: u64,
    /// Time of the last event.
    pub duration_us: u64,
    /// Segments, header and head included.
    pub segments: u64,
    /// How it ended.
    pub summary: EndSummary,
    /// The head was already there: the node died between closing the recording and closing the row.
    pub was_closed: bool,
}

/// Appends a signed `interrupted` head after the last intact segment, so that the recording plays and verifies.
///
/// Bytes after that segment (an unfinished write, at worst a damaged middle) are not destroyed: they are moved to
/// `<file>.torn` beside it and their number is noted in the head. The caller must be the only one with this file.
///
/// # Errors
/// The file is not a recording, cannot be read, or cannot be written.
pub fn recover(path: impl AsRef<Path>, signer: &dyn Signer) -> Result<Recovered, RecordError> {
    let path = path.as_ref();
    let file = OpenOptions::new().read(true).append(true).open(path)?;
    let mut walker = Walker::start(file.try_clone()?)?;
    let header = read_header(&mut walker)?;
    let relative = crate::relative_path(header.session, header.started_at);
    let mut last_us = 0;
    while let Step::Frame(head) = walker.step()? {
        last_us = head.end_us;
        if head.kind == SegmentKind::Head {
            let end = unpack(&head, walker.payload()).ok().and_then(|c| End::decode(&c));
            let end = end.ok_or(RecordError::NotARecording("its head cannot be read"))?;
            let finished = Finished { path: relative, hash: hex::encode(walker.hash), size: walker.pos, duration_us: last_us, segments: walker.next };
            return Ok(Recovered::new(header, finished, end.summary, true));
        }
    }
    let torn_bytes = file.metadata()?.len().saturating_sub(walker.pos);
    if torn_bytes > 0 {
        set_aside(&file, path, walker.pos)?;
    }
    let mut state = FileState::resume(file, walker.pos, walker.hash, walker.next, last_us);
    let summary = EndSummary { reason: "interrupted".into(), torn_bytes, ..EndSummary::default() };
    let written = state.write_head(header.session, summary.clone(), relative, signer);
    let finished = written.map_err(|e| RecordError::Disk(e.to_string()))?;
    state.file().sync_data()?;
    Ok(Recovered::new(header, finished, summary, false))
}

impl Recovered {
    fn new(header: Header, f: Finished, summary: EndSummary, was_closed: bool) -> Self {
        Self { header, path: f.path, hash: f.hash, size: f.size, duration_us: f.duration_us, segments: f.segments, summary, was_closed }
    }
}

/// Moves everything from `from` on into a file beside it.
fn set_aside(file: &File, path: &Path, from: u64) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".torn");
    // A former recovery that died between copying and cutting left one: write it again.
    let mut aside = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(PathBuf::from(name))?;
    let mut tail = file.try_clone()?;
    io::Seek::seek(&mut tail, io::SeekFrom::Start(from))?;
    io::copy(&mut tail, &mut aside)?;
    aside.sync_all()?;
    file.set_len(from)
}
