//! What travels between Rampart's API and its clients: field tables (the one source for reading input, showing objects
//! and the OpenAPI document), pages, and declared state with line numbers.
//!
//! Shapes follow JumpServer v4: choices read as `{value, label}`, relations as `{id, name}`, errors as `{field: […]}` or
//! `{code, detail}`.

pub mod schema;
pub mod state;

pub use schema::{Field, Type};
