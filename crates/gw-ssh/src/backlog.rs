//! What one side sent and the other has not taken yet, bounded, without ever holding up a connection.
//!
//! The SSH library opens a channel's window again as soon as bytes arrive, whether anybody took them or not, and stops the
//! whole connection when a channel's own queue is full. Two full directions would then wait for each other for ever: the
//! window that one of them needs is announced behind the data of the other. So the library's queues are always emptied
//! into a [`Backlog`], and the flow is held back where it is still possible: while a backlog is too long, its connection's
//! [`Throttle`] makes the library announce windows of two bytes ([`Throttle::window`]) and the socket read only now and
//! then. Window announcements of the other direction still get through; data arrives at a few hundred bytes a second.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The window of a channel that flows.
pub const WINDOW: u32 = 2 * 1024 * 1024;
/// The window of a channel that must not: the smallest the library announces by itself.
const TRICKLE: u32 = 2;
/// From here on the sender is held back.
const HIGH: usize = 512 * 1024;
/// From here on it is let go again.
const LOW: usize = 256 * 1024;
/// Nothing more is taken beyond this, whatever follows: only a peer that ignores windows gets here.
const HARD: usize = 6 * 1024 * 1024;
/// What an item costs beyond its bytes, so that many tiny ones are bounded too.
pub const OVERHEAD: usize = 128;

/// Whether a connection's senders are held back. Shared by its socket, its library and its backlogs.
#[derive(Debug, Default)]
pub struct Throttle(AtomicUsize);

impl Throttle {
    /// Some backlog of this connection is too long.
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
    /// The window to announce from now on.
    pub fn window(&self) -> u32 {
        if self.is_on() { TRICKLE } else { WINDOW }
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
    holding: AtomicBool,
}

impl<T> Drop for Backlog<T> {
    fn drop(&mut self) {
        if *self.holding.get_mut() {
            self.throttle.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<T: Item> Backlog<T> {
    /// Empty, on a connection with this throttle.
    pub fn new(throttle: Arc<Throttle>) -> Self {
        Self {
            state: Mutex::new(State { items: VecDeque::new(), used: 0 }),
            filled: Notify::new(),
            emptied: Notify::new(),
            throttle,
            holding: AtomicBool::new(false),
        }
    }

    fn cost(item: &T) -> usize {
        item.weight() + OVERHEAD
    }

    fn level(&self, used: usize) {
        if used > HIGH && !self.holding.swap(true, Ordering::Relaxed) {
            self.throttle.0.fetch_add(1, Ordering::Relaxed);
        } else if used < LOW && self.holding.swap(false, Ordering::Relaxed) {
            self.throttle.0.fetch_sub(1, Ordering::Relaxed);
        }
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
        let added = item.weight();
        // Joining only pays when much waits already: then items are tiny.
        let rest = match state.items.back_mut() {
            Some(last) if self.holding.load(Ordering::Relaxed) => last.join(item),
            _ => Some(item),
        };
        match rest {
            Some(item) => {
                state.used += added + OVERHEAD;
                state.items.push_back(item);
            }
            None => state.used += added,
        }
        self.level(state.used);
    }

    /// Puts an item back to be taken first.
    pub fn put_back(&self, item: T) {
        {
            let mut state = self.state.lock();
            state.used += Self::cost(&item);
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
                    state.used = state.used.saturating_sub(Self::cost(item));
                    if state.items.is_empty() {
                        state.used = 0;
                        if state.items.capacity() > 32 {
                            state.items = VecDeque::new();
                        }
                    }
                    self.level(state.used);
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
    async fn a_long_backlog_holds_its_connection_back_until_it_is_short_again() {
        let throttle = Arc::new(Throttle::default());
        let backlog = Backlog::new(throttle.clone());

        for _ in 0..9 {
            backlog.give(Block(vec![0; 64 * 1024])).await;
        }
        assert!(throttle.is_on());
        assert_eq!(throttle.window(), TRICKLE);

        for _ in 0..6 {
            backlog.take().await;
        }
        assert!(!throttle.is_on());
        assert_eq!(throttle.window(), WINDOW);
    }

    #[tokio::test]
    async fn a_dropped_backlog_lets_go() {
        let throttle = Arc::new(Throttle::default());
        let backlog = Backlog::new(throttle.clone());
        backlog.give(Block(vec![0; HIGH])).await;
        assert!(throttle.is_on());

        drop(backlog);

        assert!(!throttle.is_on());
    }

    #[tokio::test]
    async fn a_peer_that_ignores_windows_is_stopped_and_tiny_items_are_joined() {
        let backlog = Backlog::new(Arc::default());
        backlog.give(Block(vec![0; HIGH + 1])).await;
        let mut given = 0usize;
        while tokio::time::timeout(Duration::from_millis(20), backlog.give(Block(vec![1; 64]))).await.is_ok() {
            given += 64;
        }
        assert!(backlog.used() <= HARD);
        assert!(given > HARD / 2, "{given}");

        assert_eq!(backlog.take().await.0.len(), HIGH + 1);
        let mut taken = 0;
        while taken < given {
            taken += backlog.take().await.0.len();
        }
        assert_eq!(taken, given);
        assert_eq!(backlog.used(), 0);
    }
}
