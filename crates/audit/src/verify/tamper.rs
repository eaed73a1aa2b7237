//! What can be wrong with evidence.

use std::fmt;

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Whose chain.
    pub node: String,
    /// At which entry; for a recording or a session row, the entry that speaks of it. 0 = none.
    pub seq: i64,
    /// What.
    pub what: Tamper,
}

impl Broken {
    pub(crate) fn entry(node: &str, seq: i64, what: Tamper) -> Self {
        Self { node: node.to_owned(), seq, what }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chain {}, entry {}: {}", self.node, self.seq, self.what)
    }
}

/// The ways evidence can be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tamper {
    /// The entry is not the one that was written.
    Changed,
    /// The entry is missing.
    Dropped {
        /// The entry that stands in its place.
        found: i64,
    },
    /// Another entry of this chain stands here, out of order.
    Reordered {
        /// That entry's own place.
        found: i64,
    },
    /// An entry of another node stands here.
    Foreign,
    /// The chain ends before a place that is known to exist.
    Truncated {
        /// The last known place.
        known: i64,
    },
    /// Everything is consistent, but older than a checkpoint outside the database: an old copy was put back.
    Replayed {
        /// Where the chain ends now.
        stands_at: i64,
    },
    /// A signed checkpoint says another hash: the chain was written anew from some earlier entry on.
    Rewritten,
    /// The stored head says another hash than the entry.
    HeadDiffers,
    /// The signature of a checkpoint is wrong.
    CheckpointSignature,
    /// A checkpoint is signed by a key that is not trusted.
    CheckpointKey,
    /// An old checkpoint was put after newer ones, or twice.
    CheckpointReplayed,
    /// The checkpoint file does not have checkpoints that the database has: it was replaced or removed.
    CheckpointFile,
    /// A chain that was signed is not there at all.
    ChainMissing,
    /// The path of a recording is not one that Rampart makes.
    RecordingPath,
    /// A recording is missing, and no entry says that it was removed.
    RecordingMissing {
        /// Its path.
        path: String,
    },
    /// A recording is damaged.
    Recording {
        /// Its path.
        path: String,
        /// The first broken segment; 0 = header.
        segment: u64,
        /// What is wrong with it.
        damage: recording::Damage,
    },
    /// A session row says something else than the entry that closed the session.
    SessionRow {
        /// The session.
        session: String,
    },
    /// A closed session has no row and no entry that says it was removed; or a closed row has no entry.
    SessionMissing {
        /// The session.
        session: String,
    },
}

impl fmt::Display for Tamper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tamper::Changed => f.write_str("changed after it was written"),
            Tamper::Dropped { found } => write!(f, "dropped: entry {found} stands in its place"),
            Tamper::Reordered { found } => write!(f, "order changed: entry {found} stands in its place"),
            Tamper::Foreign => f.write_str("belongs to the chain of another node"),
            Tamper::Truncated { known } => write!(f, "truncated: the chain must reach entry {known}"),
            Tamper::Replayed { stands_at } => write!(f, "old state put back: the chain ends at entry {stands_at}, but a later checkpoint was signed"),
            Tamper::Rewritten => f.write_str("rewritten: a signed checkpoint has another hash"),
            Tamper::HeadDiffers => f.write_str("the stored head of the chain has another hash"),
            Tamper::CheckpointSignature => f.write_str("the signature of its checkpoint is wrong"),
            Tamper::CheckpointKey => f.write_str("its checkpoint is signed by an unknown key"),
            Tamper::CheckpointReplayed => f.write_str("an old checkpoint was put in again"),
            Tamper::CheckpointFile => f.write_str("the checkpoint file lacks checkpoints: replaced or removed"),
            Tamper::ChainMissing => f.write_str("the whole chain is missing"),
            Tamper::RecordingPath => f.write_str("the path of the recording is not one that Rampart makes"),
            Tamper::RecordingMissing { path } => write!(f, "recording {path} is missing"),
            Tamper::Recording { path, segment, damage } => write!(f, "recording {path}, segment {segment}: {damage}"),
            Tamper::SessionRow { session } => write!(f, "the row of session {session} says something else"),
            Tamper::SessionMissing { session } => write!(f, "session {session} has only one of row and closing entry"),
        }
    }
}
