//! Recordings: one container for every protocol.
//!
//! A recording is an append-only file of *segments*. Each segment is framed, length-prefixed, compressed when that
//! helps, carries its time range and the BLAKE3 hash over its predecessor's hash and itself; the first segment
//! describes the session, the last one is a *head* signed by the node. So any change to a closed recording is found
//! and named, a torn tail costs at most the last segment, and a player can jump without reading what lies before.
//!
//! * Writing: [`Spool`] (one per node) → [`Spool::open`] → [`Recorder::push`] … [`Recorder::close`].
//! * Reading: [`Recording`] (segments, events, index, seek, files still being written), [`Player`].
//! * Proving: [`verify`], and [`recover`] for the files of a node that died.
//! * Handing out: [`export`] (asciicast v2, plain text, JSON lines).
//!
//! # Invariants
//! * What [`Recorder::push`] accepted is in the file at most one second later, or [`Recorder::failed`] turns true.
//! * Nothing is dropped: a full queue makes `push` wait.
//! * A reader bounds every length before it allocates; damaged input is an error, never a panic.
//! * An idle recording owns no buffer, no compressor and no thread.

mod error;
mod event;
pub mod export;
mod frame;
mod player;
mod reader;
mod recover;
mod sign;
mod spool;
mod verify;

pub use error::{Damage, RecordError};
pub use event::{End, EndSummary, Event, Finished, Header};
pub use frame::{FLAG_ENCRYPTED, FLAG_KEYFRAME, FLAG_ZSTD, MAX_SEGMENT, SegmentKind};
pub use player::Player;
pub use reader::{Index, Recording, Segment, SegmentInfo};
pub use recover::{Recovered, recover};
pub use sign::{Ed25519Signer, Signer, check_signature};
pub use spool::{Recorder, Spool, SpoolOptions, find, relative_path};
pub use verify::{Broken, Expect, Report, State, verify, verify_in, verify_with};
