//! Real shells and programs on real pseudo-terminals: what the tracker recognises against what really ran.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod bash;
mod others;
mod pty;
