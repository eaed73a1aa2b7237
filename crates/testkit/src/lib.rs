//! For tests only: a clock that is moved by hand, objects with sensible values, and a private PostgreSQL.

mod clock;
pub mod fixtures;
mod postgres;

pub use clock::ManualClock;
pub use postgres::Postgres;
