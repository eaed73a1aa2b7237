//! Evidence as an auditor sees it: sound when nothing happened, and named when something did.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod bundles;
mod chains;
mod checkpoints;
mod masking;
mod stores;
mod support;
