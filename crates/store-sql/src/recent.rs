//! Answers that stay right until an object changes.
//!
//! People connect to the same target again and again, and programs do it many times a second. The facts of their
//! decision are a dozen small reads; the revision is one. So facts are kept with the revision they were read at, and
//! used only while the database says that no unit of work changed an object since, on whatever node. Nothing that
//! depends on the time of day is kept: rules are kept with their dates, not with a verdict.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::atomic::{AtomicI64, Ordering},
};

use parking_lot::Mutex;
use store::{AttemptKey, Result};

use crate::{db::Db, read};

/// What is known of the database without asking it. Only while no other process writes to it.
#[derive(Debug)]
pub(crate) struct Known {
    revision: AtomicI64,
    /// Grows with each failed attempt that is counted.
    failures: AtomicI64,
}

/// The writer lost its connection: what it was about to commit may or may not have happened.
const DOUBT: i64 = -1;

impl Known {
    /// At this revision.
    pub(crate) fn at(revision: i64) -> Self {
        Self { revision: AtomicI64::new(revision), failures: AtomicI64::new(0) }
    }
    /// The revision, unless it is in doubt.
    fn revision(&self) -> Option<i64> {
        Some(self.revision.load(Ordering::Acquire)).filter(|r| *r != DOUBT)
    }
    /// The writer has committed.
    pub(crate) fn committed(&self, revision: i64) {
        self.revision.store(revision, Ordering::Release);
    }
    /// The writer does not know.
    pub(crate) fn doubt(&self) {
        self.revision.store(DOUBT, Ordering::Release);
        self.failed();
    }
    /// A failed attempt was counted.
    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::AcqRel);
    }
    fn failures(&self) -> i64 {
        self.failures.load(Ordering::Acquire)
    }
}

/// Names and addresses that nothing was counted against since the last failure of anybody: the usual case, asked several
/// times in each login.
#[derive(Debug, Default)]
pub(crate) struct Blameless {
    keys: Mutex<(i64, HashSet<(AttemptKey, i64)>)>,
}

impl Blameless {
    /// The place to keep an answer that is read from now on.
    pub(crate) fn now(known: &Known) -> i64 {
        known.failures()
    }
    /// Whether nothing is counted against `key.0` within the last `key.1` seconds.
    pub(crate) fn is(&self, known: &Known, key: &(AttemptKey, i64)) -> bool {
        let keys = self.keys.lock();
        keys.0 == known.failures() && keys.1.contains(key)
    }
    /// Nothing was, at `since`.
    pub(crate) fn keep(&self, since: i64, key: (AttemptKey, i64)) {
        let mut keys = self.keys.lock();
        if keys.0 > since {
            return;
        }
        if keys.0 < since || keys.1.len() >= KEPT {
            *keys = (since, HashSet::new());
        }
        keys.1.insert(key);
    }
}

/// Answers kept at most; then all are forgotten, because the next ones are as likely to be asked for.
const KEPT: usize = 1024;

/// Answers of one kind of question.
pub(crate) struct Recent<K, V> {
    kept: Mutex<Kept<K, V>>,
}

struct Kept<K, V> {
    /// What all of `answers` are true of.
    revision: i64,
    answers: HashMap<K, V>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { kept: Mutex::new(Kept { revision: 0, answers: HashMap::new() }) }
    }
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    /// The kept answer to `key`, if nothing changed since.
    pub(crate) async fn find(&self, db: &Db, known: Option<&Known>, key: &K) -> Result<Option<V>> {
        let now = match known.and_then(Known::revision) {
            Some(revision) => revision,
            None => read::revision(&mut db.read().await?).await?,
        };
        let kept = self.kept.lock();
        Ok(if kept.revision == now { kept.answers.get(key).cloned() } else { None })
    }

    /// Keeps an answer. `revision` must come from the snapshot that it was read in.
    pub(crate) fn keep(&self, revision: i64, key: K, answer: V) {
        let mut kept = self.kept.lock();
        if revision < kept.revision {
            return;
        }
        if revision > kept.revision || kept.answers.len() >= KEPT {
            kept.answers.clear();
            kept.revision = revision;
        }
        kept.answers.insert(key, answer);
    }
}
