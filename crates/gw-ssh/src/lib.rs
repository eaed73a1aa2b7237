//! The SSH gateway: russh on both legs as a man in the middle, one session per channel.

pub mod console;
pub mod menu;
