//! What happened on a terminal: the screen as the person saw it, the commands that were really run, and the
//! input with secrets masked.
//!
//! Pure: bytes and times go in, events come out; no I/O, no clock. All memory is bounded whatever the target or
//! the person sends. Commands are read from the *screen* at the moment when the line was handed to the shell, as
//! only the screen knows what history, completion and line editing made of the keys; the keys tell when a person
//! asked for it, so that output alone never makes a command.

mod capture;
mod echo;
mod grid;
mod history;
mod keys;
mod line;
mod parser;
mod prompt;
mod screen;
mod style;
mod text;
mod tracker;

pub use capture::OUTPUT_MAX;
pub use echo::MASK;
pub use screen::Screen;
pub use text::{clean, pad, safe, truncate, width};
pub use tracker::{Tracked, Tracker};
