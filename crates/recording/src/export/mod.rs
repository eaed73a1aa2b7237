//! Recordings in the formats of others.

mod asciicast;
mod jsonl;
mod text;
mod utf8;

pub use asciicast::{AsciicastOptions, asciicast};
pub use jsonl::jsonl;
pub use text::{Stripper, text};
