//! What a person's channel brings, in order, bounded in bytes.
//!
//! Everything is taken off the library's queue at once and waits in a [`Backlog`] for whoever serves the channel: the
//! setup, the menu, a prompt, a relay. A person who leaves is noticed at once, whatever still waits.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::{Bytes, BytesMut};
use russh::{ChannelMsg, ChannelReadHalf, Pty, Sig};
use tokio::sync::Notify;

use crate::backlog::{Backlog, Item, Throttle};

/// Neighbours are joined up to this many bytes.
const JOINED: usize = 16 * 1024;
/// Longest terminal name.
const MAX_TERM: usize = 256;
/// Longest exec line and subsystem name.
const MAX_LINE: usize = 256 * 1024;

/// A terminal as the client described it (RFC 4254 §6.2), passed on as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PtyRequest {
    /// Name of the terminal.
    pub term: String,
    /// Size in characters and pixels.
    pub size: Size,
    /// Modes.
    pub modes: Vec<(Pty, u32)>,
}

/// A window's size: columns, rows, pixels wide, pixels high.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub cols: u32,
    /// Rows.
    pub rows: u32,
    /// Pixels wide.
    pub wide: u32,
    /// Pixels high.
    pub high: u32,
}

impl Size {
    /// As a screen that can exist.
    pub fn screen(self) -> (u16, u16) {
        crate::console::clamp(u16::try_from(self.cols).unwrap_or(u16::MAX), u16::try_from(self.rows).unwrap_or(u16::MAX))
    }
}

/// What a person's client did on the channel.
#[derive(Debug, Clone)]
pub enum Event {
    /// Asked for a terminal.
    Pty(PtyRequest),
    /// Set a variable.
    Env(String, String),
    /// Asked for a shell.
    Shell,
    /// Asked to run a command line.
    Exec(Bytes),
    /// Asked for a subsystem.
    Subsystem(String),
    /// Asked for something that was refused already: its name for people.
    Refused(&'static str),
    /// Sent input.
    Data(Bytes),
    /// Will send no more input.
    Eof,
    /// Resized the window.
    Resize(Size),
    /// Sent a signal.
    Signal(Sig),
}

/// Two small pieces as one; the second comes back if they are too large together.
pub fn join_bytes(first: &mut Bytes, second: Bytes) -> Option<Bytes> {
    if first.len() + second.len() > JOINED {
        return Some(second);
    }
    let mut joined = BytesMut::with_capacity(first.len() + second.len());
    joined.extend_from_slice(first);
    joined.extend_from_slice(&second);
    *first = joined.freeze();
    None
}

impl Item for Event {
    fn weight(&self) -> usize {
        match self {
            Event::Data(b) | Event::Exec(b) => b.len(),
            Event::Env(n, v) => n.len() + v.len(),
            Event::Pty(p) => p.term.len() + p.modes.len() * 8,
            Event::Subsystem(n) => n.len(),
            _ => 0,
        }
    }
    fn join(&mut self, next: Self) -> Option<Self> {
        match (self, next) {
            (Event::Data(first), Event::Data(second)) => join_bytes(first, second).map(Event::Data),
            (_, next) => Some(next),
        }
    }
}

impl Event {
    fn of(message: ChannelMsg) -> Option<Event> {
        Some(match message {
            ChannelMsg::Data { data } => Event::Data(data),
            ChannelMsg::Eof => Event::Eof,
            ChannelMsg::WindowChange { col_width: cols, row_height: rows, pix_width: wide, pix_height: high } => Event::Resize(Size { cols, rows, wide, high }),
            ChannelMsg::Signal { signal } => Event::Signal(signal),
            ChannelMsg::RequestPty { mut term, col_width: cols, row_height: rows, pix_width: wide, pix_height: high, mut terminal_modes, .. } => {
                if term.len() > MAX_TERM {
                    term = String::from("dumb");
                }
                // Codes the library does not know come as padding.
                terminal_modes.retain(|(code, _)| *code != Pty::TTY_OP_END);
                Event::Pty(PtyRequest { term, size: Size { cols, rows, wide, high }, modes: terminal_modes })
            }
            ChannelMsg::SetEnv { variable_name, variable_value, .. } => Event::Env(variable_name, variable_value),
            ChannelMsg::RequestShell { .. } => Event::Shell,
            ChannelMsg::Exec { command, .. } if command.len() <= MAX_LINE => Event::Exec(command.into()),
            ChannelMsg::RequestSubsystem { name, .. } if name.len() <= MAX_LINE => Event::Subsystem(name),
            ChannelMsg::RequestX11 { .. } => Event::Refused("X11 forwarding"),
            ChannelMsg::AgentForward { .. } => Event::Refused("agent forwarding"),
            _ => return None,
        })
    }
}

/// See the module. One pump, one reader at a time.
pub struct Inbox {
    events: Backlog<Event>,
    is_gone: AtomicBool,
    gone: Notify,
}

impl Inbox {
    /// For a channel of the connection with this throttle.
    pub fn new(throttle: Arc<Throttle>) -> Self {
        Self { events: Backlog::new(throttle), is_gone: AtomicBool::new(false), gone: Notify::new() }
    }

    /// Moves everything from the library's queue; ready when the person left or closed the channel.
    pub async fn pump(&self, mut from: ChannelReadHalf) {
        while let Some(message) = from.wait().await {
            if matches!(message, ChannelMsg::Close) {
                break;
            }
            if let Some(event) = Event::of(message) {
                self.events.give(event).await;
            }
        }
        self.leave();
    }

    fn leave(&self) {
        self.is_gone.store(true, Ordering::Release);
        self.gone.notify_waiters();
    }

    /// Ready when the person is gone; whatever still waits is of no use then.
    pub async fn gone(&self) {
        let notified = self.gone.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if !self.is_gone.load(Ordering::Acquire) {
            notified.await;
        }
    }

    /// Whether the person is gone.
    pub fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    /// Puts input back to be read first: it was typed ahead of what comes next.
    pub fn put_back(&self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.events.put_back(Event::Data(bytes));
        }
    }

    /// Says again that no more input will come, behind what still waits.
    pub async fn end_of_input(&self) {
        self.events.give(Event::Eof).await;
    }

    /// Takes the next event; waits for one, for ever if the person is gone. Cancel-safe.
    pub async fn take(&self) -> Event {
        self.events.take().await
    }

    /// Takes the next event, `None` when the person is gone.
    pub async fn next(&self) -> Option<Event> {
        tokio::select! {
            biased;
            event = self.take() => Some(event),
            () = self.gone() => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn who_waits_learns_that_the_person_left() {
        let inbox = Arc::new(Inbox::new(Arc::default()));
        let waiter = tokio::spawn({
            let inbox = inbox.clone();
            async move { inbox.next().await }
        });
        tokio::time::sleep(Duration::from_millis(10)).await;

        inbox.leave();

        assert!(matches!(waiter.await, Ok(None)));
        inbox.gone().await;
    }

    #[tokio::test]
    async fn typed_ahead_input_is_read_first() {
        let inbox = Inbox::new(Arc::default());
        inbox.end_of_input().await;
        inbox.put_back(Bytes::from_static(b"ls\n"));

        assert!(matches!(inbox.next().await, Some(Event::Data(b)) if &b[..] == b"ls\n"));
        assert!(matches!(inbox.next().await, Some(Event::Eof)));
    }
}
