//! What one side sent and the other has not taken yet, bounded, without ever holding up a connection.
//!
//! The SSH library opens a channel's window again as soon as bytes arrive, whether anybody took them or not, and stops the
//! whole connection when a channel's own queue is full. Two full directions would then wait for each other for ever: the
//! window that one of them needs is announced behind the data of the other. So the library's queues are always emptied
//! into a [`Backlog`], and the flow is held back where it is still possible: the more waits, the smaller the windows that a
//! connection's [`Throttle`] makes the library announce, down to two bytes. At that point the socket also reads only now
//! and then. Window announcements of the other direction still get through; data arrives at a few hundred bytes a second.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The window of a channel whose bytes are taken as they come.
pub const WINDOW: u32 = 2 * 1024 * 1024;
/// The smallest window the library announces by itself.
const TRICKLE: u32 = 2;
/// Bytes of all channels of a connection that wait before windows are as small as can be. What was announced before may
/// come on top: half as much again.
const LIMIT: usize = 2 * 1024 * 1024;
/// A connection is read slowly after it was at its limit for so long; a moment of it is ordinary life.
const SLOW_AFTER: Duration = Duration::from_millis(50);
/// Nothing more is taken beyond this, whatever follows: only a peer that ignores windows gets here.
const HARD: usize = 5 * 1024 * 1024;
/// Neighbours are joined when more than this waits: then they are tiny.
const JOIN_ABOVE: usize = 512 * 1024;
/// What an item costs beyond its bytes, so that many tiny ones are bounded too.
pub const OVERHEAD: usize = 128;

/// How much of a connection waits. Shared by its socket, its library and its backlogs.
#[derive(Debug)]
pub struct Throttle {
    waiting: AtomicUsize,
    /// Milliseconds after `start` when the limit was reached, plus one; zero while it is not.
    since: AtomicU64,
    start: Instant,
    reader: Mutex<Option<Waker>>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { waiting: AtomicUsize::new(0), since: AtomicU64::new(0), start: Instant::now(), reader: Mutex::new(None) }
    }
}

impl Throttle {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }
    fn add(&self, bytes: usize) {
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        if before < LIMIT && before + bytes >= LIMIT {
            self.since.store(self.now(), Ordering::Relaxed);
        }
    }
    fn sub(&self, bytes: usize) {
        let before = self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        if before >= LIMIT && before.saturating_sub(bytes) < LIMIT {
            self.since.store(0, Ordering::Relaxed);
            if let Some(reader) = self.reader.lock().take() {
                reader.wake();
            }
        }
    }
    /// Whether the connection should be read only now and then.
    pub fn is_slow(&self) -> bool {
        let since = self.since.load(Ordering::Relaxed);
        since != 0 && u128::from(self.now().saturating_sub(since)) >= SLOW_AFTER.as_millis()
    }
    /// Who waits slowly is woken when there is room again.
    pub fn wake_when_room(&self, reader: &Waker) {
        *self.reader.lock() = Some(reader.clone());
    }
    /// The window to announce from now on.
    pub fn window(&self) -> u32 {
        let room = LIMIT.saturating_sub(self.waiting.load(Ordering::Relaxed));
        u32::try_from(room).unwrap_or(WINDOW).clamp(TRICKLE, WINDOW)
    }
}

/// Something that waits.
pub trait Item: Sized {
    /// Bytes it holds.
    fn weight(&self) -> usize;
    /// Takes a following item in, or gives it back. Only small neighbours are worth it.
    fn join(&mut self, next: Self) -> Option<Self>;
}

struct State<T> {
    items: VecDeque<T>,
    used: usize,
}

/// See the module. One giver, one taker at a time.
pub struct Backlog<T> {
    state: Mutex<State<T>>,
    filled: Notify,
    emptied: Notify,
    throttle: Arc<Throttle>,
}

impl<T> Drop for Backlog<T> {
    fn drop(&mut self) {
        self.throttle.sub(self.state.get_mut().used);
    }
}

impl<T: Item> Backlog<T> {
    /// Empty, on a connection with this throttle.
    pub fn new(throttle: Arc<Throttle>) -> Self {
        Self { state: Mutex::new(State { items: VecDeque::new(), used: 0 }), filled: Notify::new(), emptied: Notify::new(), throttle }
    }

    fn cost(item: &T) -> usize {
        item.weight() + OVERHEAD
    }

    /// Appends an item; waits only at the hard end.
    pub async fn give(&self, item: T) {
        loop {
            {
                let mut state = self.state.lock();
                if state.items.is_empty() || state.used + Self::cost(&item) <= HARD {
                    self.append(&mut state, item);
                    break;
                }
            }
            self.emptied.notified().await;
        }
        self.filled.notify_one();
    }

    fn append(&self, state: &mut State<T>, item: T) {
        let mut added = item.weight();
        let rest = match state.items.back_mut() {
            Some(last) if state.used > JOIN_ABOVE => last.join(item),
            _ => Some(item),
        };
        if let Some(item) = rest {
            added += OVERHEAD;
            state.items.push_back(item);
        }
        state.used += added;
        self.throttle.add(added);
    }

    /// Puts an item back to be taken first.
    pub fn put_back(&self, item: T) {
        {
            let mut state = self.state.lock();
            let cost = Self::cost(&item);
            state.used += cost;
            self.throttle.add(cost);
            state.items.push_front(item);
        }
        self.filled.notify_one();
    }

    /// Takes the next item; waits for one. Cancel-safe.
    pub async fn take(&self) -> T {
        loop {
            let next = {
                let mut state = self.state.lock();
                let next = state.items.pop_front();
                if let Some(item) = &next {
                    let cost = Self::cost(item);
                    state.used = state.used.saturating_sub(cost);
                    self.throttle.sub(cost);
                    if state.items.is_empty() && state.items.capacity() > 32 {
                        state.items = VecDeque::new();
                    }
                }
                next
            };
            match next {
                Some(item) => {
                    self.emptied.notify_one();
                    return item;
                }
                None => self.filled.notified().await,
            }
        }
    }

    /// Bytes that wait.
    #[cfg(test)]
    pub fn used(&self) -> usize {
        self.state.lock().used
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Block(Vec<u8>);
    impl Item for Block {
        fn weight(&self) -> usize {
            self.0.len()
        }
        fn join(&mut self, next: Self) -> Option<Self> {
            if self.0.len() + next.0.len() > 1024 {
                return Some(next);
            }
            self.0.extend(next.0);
            None
        }
    }

    #[tokio::test]
    async fn windows_shrink_as_the_backlog_grows_and_open_again() {
        let throttle = Arc::new(Throttle::default());
        let backlog = Backlog::new(throttle.clone());
        assert_eq!(throttle.window(), WINDOW);

        let mut last = throttle.window();
        for _ in 0..31 {
            backlog.give(Block(vec![0; 64 * 1024])).await;
            assert!(throttle.window() < last);
            last = throttle.window();
        }
        assert!(!throttle.is_slow());
        backlog.give(Block(vec![0; 64 * 1024])).await;
        assert_eq!(throttle.window(), TRICKLE);
        tokio::time::sleep(SLOW_AFTER * 2).await;
        assert!(throttle.is_slow());

        for _ in 0..32 {
            backlog.take().await;
        }
        assert!(!throttle.is_slow());
        assert_eq!(throttle.window(), WINDOW);
    }

    #[tokio::test]
    async fn a_dropped_backlog_lets_go() {
        let throttle = Arc::new(Throttle::default());
        let backlog = Backlog::new(throttle.clone());
        backlog.give(Block(vec![0; LIMIT])).await;
        assert_eq!(throttle.window(), TRICKLE);

        drop(backlog);

        assert_eq!(throttle.window(), WINDOW);
    }

    #[tokio::test]
    async fn a_peer_that_ignores_windows_is_stopped_and_tiny_items_are_joined() {
        let backlog = Backlog::new(Arc::default());
        backlog.give(Block(vec![0; JOIN_ABOVE + 1])).await;
        let mut given = 0usize;
        while tokio::time::timeout(Duration::from_millis(20), backlog.give(Block(vec![1; 64]))).await.is_ok() {
            given += 64;
        }
        assert!(backlog.used() <= HARD);
        assert!(given > HARD / 2, "{given}");

        assert_eq!(backlog.take().await.0.len(), JOIN_ABOVE + 1);
        let mut taken = 0;
        while taken < given {
            taken += backlog.take().await.0.len();
        }
        assert_eq!(taken, given);
        assert_eq!(backlog.used(), 0);
    }
}
