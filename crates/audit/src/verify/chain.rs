//! One node's chain against its hashes, its checkpoints and its head. Streaming: memory is the checkpoints.

use std::collections::{HashSet, VecDeque};

use model::{AuditEntry, ChainHead, Checkpoint, Time};

use super::{Broken, Tamper};
use crate::checkpoint::message;

/// How far away a swapped entry is looked for, to name it.
const NEIGHBOURS: i64 = 1000;

/// What a sound chain amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainSummary {
    /// Whose chain.
    pub node: String,
    /// Entries verified.
    pub entries: u64,
    /// Place of the last entry.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
    /// Time of the last entry.
    pub last_at: Option<Time>,
    /// Checkpoints that fit.
    pub checkpoints: u64,
    /// Place up to which the chain is signed; entries after it are only hashed.
    pub signed_to: i64,
    /// Keys that signed.
    pub keys: Vec<String>,
}

/// Verifies a chain entry by entry.
pub struct ChainVerifier {
    node: String,
    next: i64,
    hash: String,
    /// Known states, by place, not yet reached.
    known: VecDeque<(ChainHead, Source)>,
    summary: ChainSummary,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Checkpoint,
    Head,
}

/// Signatures, keys and order of a list of checkpoints as it was kept. `keys` empty = any key.
pub(crate) fn check_checkpoints(node: &str, list: &[Checkpoint], keys: &[String]) -> Result<(), Broken> {
    let mut seen = HashSet::new();
    let mut last = 0;
    for c in list {
        let broken = |what| Err(Broken::entry(node, c.head.seq, what));
        if c.head.node_id != node {
            return broken(Tamper::Foreign);
        }
        if !recording::check_signature(&c.key, &message(&c.head, c.at), &c.signature) {
            return broken(Tamper::CheckpointSignature);
        }
        if !keys.is_empty() && !keys.iter().any(|k| k.eq_ignore_ascii_case(&c.key)) {
            return broken(Tamper::CheckpointKey);
        }
        if c.head.seq < last || !seen.insert(c.signature.as_str()) {
            return broken(Tamper::CheckpointReplayed);
        }
        last = c.head.seq;
    }
    Ok(())
}

impl ChainVerifier {
    /// For the chain of `node` from its beginning. Checkpoints must have passed their own check.
    pub(crate) fn new(node: &str, checkpoints: &[Checkpoint], head: Option<&ChainHead>) -> Self {
        Self::from(&ChainHead::empty(node), checkpoints, head)
    }
    /// For the chain after `start`.
    pub(crate) fn from(start: &ChainHead, checkpoints: &[Checkpoint], head: Option<&ChainHead>) -> Self {
        let node = &start.node_id;
        let signed = checkpoints.iter().map(|c| (c.head.clone(), Source::Checkpoint));
        let mut known: Vec<_> = signed.chain(head.map(|h| (h.clone(), Source::Head))).filter(|(h, _)| h.seq > start.seq).collect();
        known.sort_by_key(|(h, _)| h.seq);
        let mut keys: Vec<String> = checkpoints.iter().map(|c| c.key.clone()).collect();
        keys.sort();
        keys.dedup();
        let summary = ChainSummary {
            node: node.clone(),
            entries: 0,
            seq: start.seq,
            hash: start.hash.clone(),
            last_at: None,
            checkpoints: 0,
            signed_to: checkpoints.iter().filter(|c| c.head.seq <= start.seq).map(|c| c.head.seq).max().unwrap_or(0),
            keys,
        };
        Self { node: node.clone(), next: start.seq + 1, hash: start.hash.clone(), known: known.into(), summary }
    }

    /// The next entry.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn push(&mut self, e: &AuditEntry) -> Result<(), Broken> {
        let broken = |what| Err(Broken::entry(&self.node, self.next, what));
        if e.node_id != self.node {
            return broken(Tamper::Foreign);
        }
        if e.seq != self.next {
            let what = if e.seq > self.next { Tamper::Dropped { found: e.seq } } else { Tamper::Reordered { found: e.seq } };
            return broken(what);
        }
        let digest = AuditEntry::digest(&self.hash, &self.node, e.seq, &e.event);
        if e.hash != digest || e.prev_hash != self.hash {
            return broken(self.name_change(e));
        }
        self.hash = digest;
        while let Some((head, source)) = self.known.pop_front_if(|(h, _)| h.seq == e.seq) {
            if head.hash != self.hash {
                return broken(if source == Source::Checkpoint { Tamper::Rewritten } else { Tamper::HeadDiffers });
            }
            if source == Source::Checkpoint {
                self.summary.checkpoints += 1;
                self.summary.signed_to = e.seq;
            }
        }
        self.next += 1;
        self.summary.entries += 1;
        self.summary.seq = e.seq;
        self.summary.hash.clone_from(&self.hash);
        self.summary.last_at = Some(e.event.at);
        Ok(())
    }

    /// An entry whose number fits but whose hash does not: was it another entry of this chain, renumbered?
    fn name_change(&self, e: &AuditEntry) -> Tamper {
        let own_place = |seq: &i64| *seq != e.seq && AuditEntry::digest(&e.prev_hash, &self.node, *seq, &e.event) == e.hash;
        let near = (1..=NEIGHBOURS).flat_map(|d| [e.seq + d, e.seq - d]).find(own_place);
        near.map_or(Tamper::Changed, |found| Tamper::Reordered { found })
    }

    /// No more entries.
    ///
    /// # Errors
    /// [`Tamper::Truncated`] if a checkpoint or the head lies beyond the last entry.
    pub fn finish(self) -> Result<ChainSummary, Broken> {
        match self.known.back() {
            Some((head, _)) => Err(Broken::entry(&self.node, self.next, Tamper::Truncated { known: head.seq })),
            None => Ok(self.summary),
        }
    }
}

/// Verifies a whole chain: every hash, every checkpoint (signature by one of `keys`, any if empty; order; hash), and that
/// it reaches the head and the last checkpoint. Checkpoints come in the order in which they were kept.
///
/// # Errors
/// The first place that is wrong.
pub fn verify_chain(
    node: &str,
    entries: impl IntoIterator<Item = AuditEntry>,
    checkpoints: &[Checkpoint],
    head: Option<&ChainHead>,
    keys: &[String],
) -> Result<ChainSummary, Broken> {
    check_checkpoints(node, checkpoints, keys)?;
    let mut chain = ChainVerifier::new(node, checkpoints, head);
    let mut entries = entries.into_iter();
    while let Some(e) = entries.next() {
        if let Err(mut broken) = chain.push(&e) {
            // Dropped, or only moved further back?
            if matches!(broken.what, Tamper::Dropped { .. }) && entries.any(|later| later.seq == broken.seq) {
                broken.what = Tamper::Reordered { found: e.seq };
            }
            return Err(broken);
        }
    }
    chain.finish()
}
