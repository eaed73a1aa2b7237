//! Is this recording what was recorded? Names the first segment that is not.

use std::{fs::File, path::Path};

use uuid::Uuid;

use crate::{
    Damage, End, Header, RecordError, SegmentKind,
    event::EndSummary,
    frame::{Step, Walker, unpack},
    reader::read_header,
};

/// What is known about a recording from elsewhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expect<'a> {
    /// The session it must belong to.
    pub session: Option<Uuid>,
    /// The final hash (hex) as registered in the session row or the audit chain.
    pub hash: Option<&'a str>,
    /// Hex public keys that may sign; empty = any.
    pub keys: &'a [String],
}

/// Whether a recording has its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Closed in order.
    Complete,
    /// Closed by recovery or after a crash of its task.
    Interrupted,
    /// No head: being written, or its node died and it was not recovered.
    Open,
}

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Number of the segment; 0 = header.
    pub segment: u64,
    /// Where it starts in the file.
    pub offset: u64,
    /// What is wrong.
    pub damage: Damage,
}

/// Result of a verification.
#[derive(Debug, Clone)]
pub struct Report {
    /// Header, if readable.
    pub header: Option<Header>,
    /// How it ended, if it did.
    pub end: Option<EndSummary>,
    /// Hex key that signed.
    pub key: Option<String>,
    /// Intact segments, header and head included.
    pub segments: u64,
    /// Events in them, as counted in their frames.
    pub events: u64,
    /// Time of the last event in them.
    pub duration_us: u64,
    /// Bytes of the file.
    pub size: u64,
    /// Hex hash of the last intact segment.
    pub hash: String,
    /// Whether it has its end.
    pub state: State,
    /// The first thing that is wrong; `None` = everything is as recorded.
    pub broken: Option<Broken>,
}

impl Report {
    /// Nothing is wrong.
    pub fn is_intact(&self) -> bool {
        self.broken.is_none()
    }
}

/// Verifies a recording against its registered final hash. Without one, an open file is not an error.
///
/// # Errors
/// [`RecordError::Read`] if the file cannot be read at all. Everything else is in the report.
pub fn verify(path: impl AsRef<Path>, expected_hash: Option<&str>) -> Result<Report, RecordError> {
    verify_with(path, &Expect { hash: expected_hash, ..Expect::default() })
}

/// Verifies a recording against everything that is known about it. With a registered hash the head must be there.
///
/// # Errors
/// As [`verify`].
pub fn verify_with(path: impl AsRef<Path>, expect: &Expect<'_>) -> Result<Report, RecordError> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    verify_in(file, 0, size, expect)
}

/// Verifies a recording that lies inside a larger file, from `base` on for `size` bytes.
///
/// # Errors
/// As [`verify`].
pub fn verify_in(file: File, base: u64, size: u64, expect: &Expect<'_>) -> Result<Report, RecordError> {
    let mut report =
        Report { header: None, end: None, key: None, segments: 0, events: 0, duration_us: 0, size, hash: String::new(), state: State::Open, broken: None };
    let mut walker = match Walker::start_in(file, base, Some(size)) {
        Ok(walker) => walker,
        Err(RecordError::Read(e)) => return Err(e.into()),
        Err(_) => return Ok(report.broken_at(0, 0, Damage::NotASegment)),
    };
    let offset = walker.pos;
    match read_header(&mut walker) {
        Ok(header) => {
            report.segments = 1;
            report.hash = hex::encode(walker.hash);
            let other = expect.session.is_some_and(|s| s != header.session);
            report.header = Some(header);
            if other {
                return Ok(report.broken_at(0, offset, Damage::OtherSession));
            }
        }
        Err(RecordError::Read(e)) => return Err(e.into()),
        Err(RecordError::Damaged { damage, .. }) => {
            let damage = place(&walker, damage)?;
            return Ok(report.broken_at(0, offset, damage));
        }
        Err(_) => return Ok(report.broken_at(0, offset, if size > offset { Damage::Torn } else { Damage::NoHead })),
    }
    walk(&mut walker, report, expect)
}

fn walk(walker: &mut Walker, mut report: Report, expect: &Expect<'_>) -> Result<Report, RecordError> {
    loop {
        let (number, offset, previous) = (walker.next, walker.pos, walker.hash);
        match walker.step()? {
            Step::Frame(head) => {
                report.segments = walker.next;
                report.events += u64::from(head.events);
                report.duration_us = head.end_us;
                report.hash = hex::encode(walker.hash);
                match head.kind {
                    SegmentKind::Events => {}
                    SegmentKind::Header => return Ok(report.broken_at(number, offset, Damage::NotASegment)),
                    SegmentKind::Head => {
                        let Some(end) = unpack(&head, walker.payload()).ok().and_then(|c| End::decode(&c)) else {
                            return Ok(report.broken_at(number, offset, Damage::Undecodable));
                        };
                        let damage = check_head(&end, &report, number, &hex::encode(previous), expect);
                        report.state = if end.summary.reason == "interrupted" { State::Interrupted } else { State::Complete };
                        report.end = Some(end.summary);
                        report.key = Some(end.key);
                        if let Some(damage) = damage {
                            return Ok(report.broken_at(number, offset, damage));
                        }
                        if report.size > walker.pos {
                            return Ok(report.broken_at(walker.next, walker.pos, Damage::TrailingBytes));
                        }
                        return Ok(report);
                    }
                }
            }
            Step::Damaged(damage) => {
                let damage = place(walker, damage)?;
                return Ok(report.broken_at(number, offset, damage));
            }
            Step::Incomplete => return Ok(report.broken_at(number, offset, Damage::Torn)),
            Step::End if expect.hash.is_some() => return Ok(report.broken_at(number, offset, Damage::NoHead)),
            Step::End => return Ok(report),
        }
    }
}

fn check_head(end: &End, report: &Report, number: u64, previous: &str, expect: &Expect<'_>) -> Option<Damage> {
    let session = report.header.as_ref().map(|h| h.session);
    let fits = Some(end.session) == session && end.segments == number && end.previous == previous && end.duration_us == report.duration_us;
    if !end.signature_ok {
        Some(Damage::BadSignature)
    } else if !fits {
        Some(Damage::HeadMismatch)
    } else if !expect.keys.is_empty() && !expect.keys.iter().any(|k| k.eq_ignore_ascii_case(&end.key)) {
        Some(Damage::UnknownKey)
    } else if expect.hash.is_some_and(|h| !h.eq_ignore_ascii_case(&report.hash)) {
        Some(Damage::OtherHash)
    } else {
        None
    }
}

/// Tells a dropped segment from a moved one: looks whether the missing number stands anywhere later.
fn place(walker: &Walker, damage: Damage) -> Result<Damage, RecordError> {
    let Damage::Missing { found } = damage else { return Ok(damage) };
    let mut pos = walker.pos;
    while let Some(Ok(head)) = walker.peek(pos)? {
        if head.number == walker.next {
            return Ok(Damage::Reordered { found });
        }
        pos += head.frame_len();
    }
    Ok(Damage::Missing { found })
}

impl Report {
    fn broken_at(mut self, segment: u64, offset: u64, damage: Damage) -> Self {
        self.broken = Some(Broken { segment, offset, damage });
        self
    }
}
