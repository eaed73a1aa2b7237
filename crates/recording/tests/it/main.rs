//! Recordings as their users see them: written, read, cut, changed, exported.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod export;
mod fuzz;
mod support;
mod tamper;
mod write;
