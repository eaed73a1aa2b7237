//! Writing: one task per node applies everything, many jobs in one transaction.
//!
//! Callers put jobs into a bounded queue. The writer takes what is there, applies each job in its own savepoint, so
//! that one that fails does not spoil the others, commits once and only then answers. So a burst of small writes costs
//! a few commits, and a caller that hears `Ok` knows that his rows survive the death of the process.
//!
//! INVARIANT: only this task appends to this node's audit chain. The head moves with a job and moves back with it, so
//! `seq` has no gaps.

mod evidence;
mod guard;
mod nodes;
mod small;
mod unit;

use std::{sync::Arc, time::Duration};

use model::{AuditEntry, ChainHead};
use store::{Committed, LogBatch, Result, StoreError, UnitOfWork};
use tokio::sync::{mpsc, oneshot};

pub(crate) use nodes::make_root;
pub(crate) use small::Small;
pub(crate) use unit::insert_row;

use crate::{
    db::{Db, Dialect, Link},
    read,
    recent::Known,
};

/// Runs a future in a savepoint: its failure undoes its rows and the head. Evaluates to its result; returns from the
/// enclosing function if the connection is lost.
macro_rules! guarded {
    ($tx:expr, $do:expr) => {{
        $tx.savepoint().await?;
        let head = $tx.head.clone();
        match $do.await {
            Ok(done) => Ok(done),
            Err(StoreError::Unavailable(e)) => return Err(StoreError::Unavailable(e)),
            Err(e) => {
                $tx.head = head;
                // This leaves the savepoint in place, as good as new.
                $tx.link.batch("ROLLBACK TO SAVEPOINT job").await?;
                $tx.used = false;
                Err(e)
            }
        }
    }};
}
/// Jobs that may wait; more callers than that wait for their turn to enqueue.
const QUEUE: usize = 4096;
/// Jobs of one transaction.
const GROUP: usize = 1024;
/// A transaction that takes longer is given up; the database is as good as gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// Something to write.
pub(crate) enum Job {
    /// A unit of work.
    Commit(Box<UnitOfWork>),
    /// Evidence.
    Log(Box<LogBatch>),
    /// Bookkeeping.
    Small(Small),
}

/// What a job gave.
#[derive(Debug)]
pub(crate) enum Done {
    /// For [`Job::Commit`].
    Committed(Committed),
    /// For [`Job::Log`].
    Logged(Vec<AuditEntry>),
    /// For [`Job::Small`]: a count, or 1 and 0 for yes and no.
    Count(u32),
}

struct Asked {
    job: Job,
    answer: oneshot::Sender<Result<Done>>,
}

/// The way to the writer. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Asked>,
    /// Its end, for `close` to wait for.
    end: Arc<tokio::sync::Mutex<Option<oneshot::Receiver<()>>>>,
}

impl Writer {
    /// Starts the task, or for SQLite its thread. `link` is its first connection.
    pub(crate) fn start(db: Db, node_id: &str, link: Link, known: Option<Arc<Known>>) -> Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let state = State { db, node_id: node_id.to_owned(), link: Some(link), head: None, known };
        let (ended, end) = oneshot::channel();
        match state.db.dialect() {
            // each statement blocks: a thread of its own
            Dialect::Sqlite => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(|e| StoreError::Unavailable(e.to_string()))?;
                let thread = std::thread::Builder::new().name("db-write".to_owned());
                let run = move || {
                    runtime.block_on(run(state, jobs));
                    let _ = ended.send(());
                };
                thread.spawn(run).map_err(|e| StoreError::Unavailable(e.to_string()))?;
            }
            Dialect::Postgres => drop(tokio::spawn(async move {
                run(state, jobs).await;
                let _ = ended.send(());
            })),
        }
        Ok(Self { queue, end: Arc::new(tokio::sync::Mutex::new(Some(end))) })
    }
    /// Puts a job in and waits for its answer. Once enqueued the job is done even if the caller goes away.
    pub(crate) async fn ask(&self, job: Job) -> Result<Done> {
        let closed = || StoreError::Unavailable("the store is closed".to_owned());
        let (answer, answered) = oneshot::channel();
        self.queue.send(Asked { job, answer }).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
    /// Writes what is queued and ends.
    pub(crate) async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        if self.queue.send(Asked { job: Job::Small(Small::Close), answer }).await.is_ok() {
            let _ = answered.await;
        }
        if let Some(end) = self.end.lock().await.take() {
            let _ = end.await;
        }
    }
}

struct State {
    db: Db,
    node_id: String,
    link: Option<Link>,
    head: Option<ChainHead>,
    /// What readers of this process take for granted.
    known: Option<Arc<Known>>,
}

async fn run(mut state: State, mut jobs: mpsc::Receiver<Asked>) {
    let mut group = Vec::with_capacity(GROUP);
    loop {
        if jobs.recv_many(&mut group, GROUP).await == 0 {
            break;
        }
        let close = group.iter().position(|a| matches!(a.job, Job::Small(Small::Close)));
        let (asked, mut answers): (Vec<Job>, Vec<_>) = group.drain(..close.unwrap_or(usize::MAX).min(group.len())).map(|a| (a.job, a.answer)).unzip();
        let n = asked.len();
        let outcomes = if n == 0 { Vec::new() } else { state.transaction(asked).await };
        for (answer, outcome) in answers.drain(..).zip(outcomes) {
            let _ = answer.send(outcome);
        }
        if close.is_some() {
            jobs.close();
            break;
        }
    }
    if let Some(link) = state.link.take() {
        link.close().await;
    }
    // whoever still waits hears that the store is closed, because the answers are dropped with the queue
}

impl State {
    /// Applies jobs in one transaction; one outcome for each.
    async fn transaction(&mut self, jobs: Vec<Job>) -> Vec<Result<Done>> {
        let mut tries = 0;
        let error = loop {
            tries += 1;
            let mut committing = false;
            let error = match tokio::time::timeout(PATIENCE, self.attempt(&jobs, &mut committing)).await {
                Ok(Ok(outcomes)) => {
                    self.tell(&jobs, &outcomes);
                    return outcomes;
                }
                Ok(Err(e)) => e,
                Err(_) => StoreError::Unavailable("the database did not answer in time".to_owned()),
            };
            // the connection and the head are read anew
            self.link = None;
            self.head = None;
            if let Some(known) = &self.known {
                known.doubt();
            }
            // Before COMMIT nothing of it is stored: a deadlock between nodes or a lost connection is worth another try.
            // After it nobody knows, and doing it twice would be worse than saying so.
            if committing || tries == 2 {
                break error;
            }
        };
        tracing::error!(%error, jobs = jobs.len(), "a write transaction failed");
        jobs.iter().map(|_| Err(copy(&error))).collect()
    }

    /// Tells readers what changed, before anybody hears that it did.
    fn tell(&self, jobs: &[Job], outcomes: &[Result<Done>]) {
        let Some(known) = &self.known else { return };
        if jobs.iter().any(|j| matches!(j, Job::Small(Small::Failure(..)))) {
            known.failed();
        }
        let newest = outcomes.iter().filter_map(|o| if let Ok(Done::Committed(c)) = o { Some(c.revision) } else { None }).max();
        if let Some(revision) = newest {
            known.committed(revision);
        }
    }

    /// A connection with an open transaction and the savepoint of its first job, and the head as it is stored.
    async fn begin(&mut self) -> Result<Tx> {
        let begin = match self.db.dialect() {
            Dialect::Sqlite => "BEGIN IMMEDIATE; SAVEPOINT job",
            Dialect::Postgres => "BEGIN; SAVEPOINT job",
        };
        let old = self.link.take();
        let mut link = match old {
            // a connection that broke while idle is noticed here, where trying again is harmless
            Some(mut link) => match link.batch(begin).await {
                Ok(()) => link,
                Err(_) => self.fresh(begin).await?,
            },
            None => self.fresh(begin).await?,
        };
        let head = match self.head.take() {
            Some(head) => head,
            None => read::chain_head(&mut link, &self.node_id).await?,
        };
        Ok(Tx { link, head, used: false })
    }

    async fn fresh(&mut self, begin: &str) -> Result<Link> {
        self.head = None;
        let mut link = self.db.connect().await?;
        link.batch(begin).await?;
        Ok(link)
    }

    async fn attempt(&mut self, jobs: &[Job], committing: &mut bool) -> Result<Vec<Result<Done>>> {
        let mut tx = self.begin().await?;
        let mut outcomes = Vec::with_capacity(jobs.len());
        let mut jobs = jobs.iter().peekable();
        while let Some(job) = jobs.next() {
            match job {
                Job::Log(first) => {
                    let mut batches = vec![&**first];
                    while let Some(Job::Log(next)) = jobs.next_if(|j| matches!(j, Job::Log(_))) {
                        batches.push(next);
                    }
                    tx.logs(batches, &mut outcomes).await?;
                }
                Job::Commit(work) => {
                    let outcome = guarded!(tx, unit::apply(&mut tx, work)).map(Done::Committed);
                    outcomes.push(outcome);
                }
                Job::Small(small) => {
                    let outcome = guarded!(tx, small::apply(&mut tx.link, small.clone())).map(Done::Count);
                    outcomes.push(outcome);
                }
            }
        }
        *committing = true;
        tx.link.batch("COMMIT").await?;
        self.link = Some(tx.link);
        self.head = Some(tx.head);
        Ok(outcomes)
    }
}

/// An open transaction of the writer.
pub(crate) struct Tx {
    /// Its connection.
    pub(crate) link: Link,
    /// The chain as this transaction leaves it.
    pub(crate) head: ChainHead,
    /// Whether the savepoint has done work behind it that must stay.
    used: bool,
}

impl Tx {
    /// The savepoint of the next job. Control statements travel together: each trip to a database server counts when a
    /// transaction holds one small job.
    async fn savepoint(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.used, true) {
            self.link.batch("RELEASE SAVEPOINT job; SAVEPOINT job").await?;
        }
        Ok(())
    }
    /// Applies neighbouring batches as one; only if that fails, each alone.
    async fn logs(&mut self, batches: Vec<&LogBatch>, outcomes: &mut Vec<Result<Done>>) -> Result<()> {
        if batches.len() > 1 {
            let sizes: Vec<usize> = batches.iter().map(|b| b.audit.len()).collect();
            let together = evidence::join(&batches);
            let all: Result<Vec<AuditEntry>> = guarded!(self, evidence::apply(self, together));
            if let Ok(entries) = all {
                let mut entries = entries.into_iter();
                outcomes.extend(sizes.into_iter().map(|n| Ok(Done::Logged(entries.by_ref().take(n).collect()))));
                return Ok(());
            }
        }
        for batch in batches {
            let outcome: Result<Vec<AuditEntry>> = guarded!(self, evidence::apply(self, batch.clone()));
            outcomes.push(outcome.map(Done::Logged));
        }
        Ok(())
    }
}

/// The same failure for each of several callers.
fn copy(e: &StoreError) -> StoreError {
    match e {
        StoreError::Corrupt(s) => StoreError::Corrupt(s.clone()),
        StoreError::Conflict(s) => StoreError::Conflict(s.clone()),
        other => StoreError::Unavailable(match other {
            StoreError::Unavailable(s) => s.clone(),
            e => e.to_string(),
        }),
    }
}
