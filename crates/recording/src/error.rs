//! What can go wrong with recordings.

use std::fmt;

/// Failures of writing and reading recordings.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The disk refused. The session that is recorded must end.
    #[error("recording storage failed: {0}")]
    Disk(String),
    /// The recorder or the spool is closed.
    #[error("the recorder is closed")]
    Closed,
    /// An event is larger than a segment may hold.
    #[error("event of {0} bytes is too large to record")]
    TooLarge(usize),
    /// The file is not a recording, or its first segment is unreadable.
    #[error("not a recording: {0}")]
    NotARecording(&'static str),
    /// A segment is damaged.
    #[error("segment {segment}: {damage}")]
    Damaged {
        /// Number of the segment, 0 = header.
        segment: u64,
        /// How.
        damage: Damage,
    },
    /// Reading failed.
    #[error("reading the recording failed: {0}")]
    Read(#[from] std::io::Error),
    /// The signing key could not be used.
    #[error("signing failed")]
    Sign,
}

/// How a segment, or what stands in its place, is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// What stands there is not a segment.
    NotASegment,
    /// A newer or encrypted format this version cannot read.
    Unsupported,
    /// Its hash does not fit: it was changed, or belongs to another recording.
    Changed,
    /// Its number is not the one that must stand here, and the right one is nowhere: it was dropped.
    Missing {
        /// The number found instead.
        found: u64,
    },
    /// Its number is not the one that must stand here; the right one comes later: order was changed.
    Reordered {
        /// The number found instead.
        found: u64,
    },
    /// The file ends inside it.
    Torn,
    /// The file ends without a signed head.
    NoHead,
    /// Bytes follow the signed head.
    TrailingBytes,
    /// The signature of the head is wrong.
    BadSignature,
    /// The head is signed by a key that is not trusted.
    UnknownKey,
    /// The head does not fit the segments before it.
    HeadMismatch,
    /// The recording is intact in itself, but is not the one that was registered: its final hash differs.
    OtherHash,
    /// The recording belongs to another session.
    OtherSession,
    /// The content cannot be decoded although its hash fits.
    Undecodable,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::NotASegment => f.write_str("what stands here is not a segment"),
            Damage::Unsupported => f.write_str("written by a newer version or encrypted"),
            Damage::Changed => f.write_str("changed, or from another recording: its hash does not fit"),
            Damage::Missing { found } => write!(f, "dropped: segment {found} stands in its place"),
            Damage::Reordered { found } => write!(f, "order changed: segment {found} stands in its place"),
            Damage::Torn => f.write_str("the file ends inside it"),
            Damage::NoHead => f.write_str("the file ends without a signed head: truncated or not closed"),
            Damage::TrailingBytes => f.write_str("bytes follow the signed head"),
            Damage::BadSignature => f.write_str("the signature of the head is wrong"),
            Damage::UnknownKey => f.write_str("the head is signed by an unknown key"),
            Damage::HeadMismatch => f.write_str("the head does not fit the segments before it"),
            Damage::OtherHash => f.write_str("the final hash is not the registered one"),
            Damage::OtherSession => f.write_str("the recording belongs to another session"),
            Damage::Undecodable => f.write_str("the content cannot be decoded"),
        }
    }
}
