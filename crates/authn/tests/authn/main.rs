//! Authentication over a real database, one behaviour per test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod credentials;
mod house;
mod keys;
mod lockout;
mod login;
