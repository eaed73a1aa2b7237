//! A clock that stands still until it is told to move.

use std::sync::atomic::{AtomicI64, Ordering};

use model::{Clock, Time};

/// Starts at 2026-01-01T00:00:00Z. Shared by reference or in an `Arc`.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl Default for ManualClock {
    fn default() -> Self {
        Self::at(crate::fixtures::start())
    }
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: Time) -> Self {
        Self(AtomicI64::new(now.timestamp_micros()))
    }
    /// Sets it.
    pub fn set(&self, now: Time) {
        self.0.store(now.timestamp_micros(), Ordering::SeqCst);
    }
    /// Moves it on.
    pub fn advance(&self, by: std::time::Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time::from_timestamp_micros(self.0.load(Ordering::SeqCst)).unwrap_or_default()
    }
}
