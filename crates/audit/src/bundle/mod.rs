//! Evidence for somebody else's machine: one `.tar` file that verifies without the server.
//!
//! ```text
//! manifest.json                 format, time, keys, and size + BLAKE3 of every other file
//! sessions.jsonl                the session rows
//! chain/<n>.jsonl               the chain of node n (numbered), from `start` on
//! checkpoints/<n>.jsonl         its signed checkpoints
//! recordings/YYYY-MM-DD/<id>.rec
//! ```
//! A bundle of everything has each chain from its first entry. A bundle of some sessions has the part from the
//! checkpoint before their first entry to the checkpoint after their last one; entries of others in between are
//! needed for the proof and are included, so a bundle is for people who may read the audit log.
//!
//! Who verifies should know the node's public key from elsewhere: without it, the result says only that the bundle is
//! consistent and by which keys it was signed.

mod check;
mod write;

use std::{collections::BTreeMap, io};

use model::{ChainHead, Time};
use serde::{Deserialize, Serialize};
use store::StoreError;

pub use check::{BundleReport, verify};
pub use write::{Export, write};

const FORMAT: &str = "rampart-evidence-v1";
/// Entries handled at once.
const PAGE: u64 = 1000;

/// Failures of bundles.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Reading or writing failed.
    #[error("bundle: {0}")]
    Io(#[from] io::Error),
    /// The file is not a bundle.
    #[error("not an evidence bundle: {0}")]
    NotABundle(&'static str),
    /// There is no checkpoint after the last entry: sign one first.
    #[error("the chain of {0} is not signed to its end")]
    Unsigned(String),
    /// A session to export does not exist.
    #[error("session {0} does not exist")]
    NoSession(String),
}

/// What a bundle holds. `files` names every other file with size and BLAKE3.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// `rampart-evidence-v1`.
    pub format: String,
    /// When it was made.
    pub created: Time,
    /// Public keys of the nodes (hex), as the bundle says.
    pub keys: Vec<String>,
    /// Where each chain starts: the state before its first entry.
    pub chains: Vec<ChainHead>,
    /// Path → size, hash.
    pub files: BTreeMap<String, FileInfo>,
}

/// One file of a bundle.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileInfo {
    /// Bytes.
    pub size: u64,
    /// Hex BLAKE3.
    pub blake3: String,
}
