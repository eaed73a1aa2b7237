//! Audit: what happened, provably.
//!
//! * [`events`]: typed constructors for everything that goes into the chain; [`Auditor`] writes them.
//! * [`fields`]: which field of which object is public, sensitive or secret; unclassified is secret. [`diff`] shows a
//!   change without ever showing a secret.
//! * [`Checkpointer`]: signs the head of the node's chain every 1,000 entries or 60 seconds, into the database and into
//!   a file outside of it, so that an old copy of the database is found out.
//! * [`verify_chain`], [`verify_store`]: find and name what was changed, dropped, reordered, truncated or replayed, in
//!   the chain and in the recordings it refers to.
//! * [`bundle`]: evidence for somebody else's machine, verified there without a server.
//!
//! # Invariants
//! * Each node has one chain; entries are numbered from 1 without gaps, each hashed with its predecessor.
//! * A secret never enters an event: [`diff`] masks by class, and what has no class is secret.

mod auditor;
pub mod bundle;
mod checkpoint;
mod diff;
pub mod events;
pub mod fields;
mod key;
mod verify;

pub use auditor::Auditor;
pub use checkpoint::{CheckpointError, Checkpointer, read_checkpoints, sign_checkpoint};
pub use diff::{MASK, diff, mask};
pub use events::By;
pub use fields::FieldClass;
pub use key::{KeyError, NodeKey};
pub use verify::{Broken, ChainSummary, ChainVerifier, Progress, Summary, Tamper, Verification, VerifyError, verify_chain, verify_store};
