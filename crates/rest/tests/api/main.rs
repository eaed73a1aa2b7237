//! The API over a real store: shapes, rights, tenants, evidence, declared state.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod credentials;
mod house;
mod managed;
mod matrix;
mod state;
