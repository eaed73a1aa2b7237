//! Answers that stay right until an object changes.
//!
//! People connect to the same target again and again, and programs do it many times a second. The facts of their
//! decision are a dozen small reads; the revision is one. So facts are kept with the revision they were read at, and
//! used only while the database says that no unit of work changed an object since, on whatever node. Nothing that
//! depends on the time of day is kept: rules are kept with their dates, not with a verdict.

use std::{collections::HashMap, hash::Hash};

use parking_lot::Mutex;
use store::Result;

use crate::{db::Db, read};

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
    pub(crate) async fn find(&self, db: &Db, key: &K) -> Result<Option<V>> {
        let now = read::revision(&mut db.read().await?).await?;
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
