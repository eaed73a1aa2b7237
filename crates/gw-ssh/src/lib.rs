//! The SSH gateway: russh on both legs as a man in the middle, one session per channel.
//!
//! ```text
//! gateway   accept, PROXY header, room for those who have not logged in
//! handler   what the library tells about a connection; login asks the login machine
//! channel   one task a channel: listen, menu or destination, then the one path of crate `session`
//! leg       the target's side: dial ahead, host key, log in as the granted account
//! relay     both directions, tap first
//! ```
//!
//! INVARIANTS: nobody acts before the login machine gave an identity; each channel asks for its own grant and is its own
//! session with its own connection to the target, so a channel that stands still holds up no other; nothing of the person
//! reaches a target before the session's row exists.

mod admission;
mod algorithms;
mod backlog;
mod channel;
mod conn;
pub mod console;
mod environ;
pub mod exec;
mod gateway;
mod handler;
pub mod hostkeys;
mod inbox;
mod lanes;
mod leg;
mod login;
pub mod menu;
mod person;
pub mod proxy;
mod qr;
mod relay;
mod socket;
pub mod username;

pub use gateway::{Config, Gateway, listen};
pub use proxy::client_address;
