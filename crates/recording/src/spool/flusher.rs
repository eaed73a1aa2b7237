//! Two sleepers: one seals segments that have waited too long, one forces written data to the disk.

use std::{
    sync::{Arc, Weak, atomic::Ordering, mpsc},
    time::{Duration, Instant},
};

use super::{Inner, writer, writer::Shared};

/// "This segment must be sealed at `due`, if it still is the pending one."
pub(crate) struct Watch {
    pub(crate) due: Instant,
    pub(crate) generation: u64,
    pub(crate) shared: Arc<Shared>,
}

/// Segments of one recording that may wait in the queue without budget.
const UNBUDGETED: usize = 2;
/// How long to wait before looking again at a recording whose writer is behind.
const RETRY: Duration = Duration::from_millis(20);

/// Handles watches in the order of their due time, which is the order they come in.
pub(crate) fn run(watches: &mpsc::Receiver<Watch>, age: Duration) {
    let mut behind: Vec<Watch> = Vec::new();
    loop {
        let next = if behind.is_empty() { watches.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected) } else { watches.recv_timeout(RETRY) };
        match next {
            Ok(watch) => {
                sleep_until(watch.due, age, &mut behind);
                handle(watch, &mut behind);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        retry(&mut behind);
    }
}

fn sleep_until(due: Instant, age: Duration, behind: &mut Vec<Watch>) {
    loop {
        let left = due.saturating_duration_since(Instant::now()).min(age);
        if left.is_zero() {
            return;
        }
        std::thread::sleep(if behind.is_empty() { left } else { left.min(RETRY) });
        retry(behind);
    }
}

fn retry(behind: &mut Vec<Watch>) {
    for watch in std::mem::take(behind) {
        handle(watch, behind);
    }
}

fn handle(watch: Watch, behind: &mut Vec<Watch>) {
    let mut pending = watch.shared.pending.lock();
    if pending.generation != watch.generation || pending.is_empty() {
        return;
    }
    if watch.shared.queued.load(Ordering::Acquire) >= UNBUDGETED {
        drop(pending);
        behind.push(watch);
        return;
    }
    let _ = watch.shared.send(pending.seal(0));
}

/// Forces files to the disk that were written to, at most once per `every`.
pub(crate) fn sync(dirty: &mpsc::Receiver<Arc<Shared>>, spool: &Weak<Inner>, every: Duration) {
    while let Ok(first) = dirty.recv() {
        std::thread::sleep(every);
        for shared in std::iter::once(first).chain(dirty.try_iter().take(100_000)) {
            // a recording that was closed meanwhile is on the disk already
            if !shared.dirty.swap(false, Ordering::AcqRel) {
                continue;
            }
            let file = shared.file.lock().file();
            if let Err(e) = file.sync_data() {
                writer::failed(&shared, &e, spool.upgrade().as_deref());
            }
        }
    }
}
