//! Time as an argument.

use chrono::{DateTime, Utc};

/// A moment, always UTC. Stored with microseconds.
pub type Time = DateTime<Utc>;

/// Where "now" comes from. Code that decides or records takes one, so that tests can stand at midnight.
pub trait Clock: Send + Sync {
    /// The current moment.
    fn now(&self) -> Time;
}

/// The wall clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
    fn now(&self) -> Time {
        Utc::now()
    }
}
