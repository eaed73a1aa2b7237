//! What a person's channel brings, in order, bounded in bytes.
//!
//! The SSH library stops a whole connection when one channel's own queue is full. Everything is therefore taken off that
//! queue at once and waits here for whoever serves the channel: the setup, the menu, a prompt, a relay. A target that
//! does not read its input delays the other channels of the same person only when it is behind by [`BUDGET`], and a
//! person who leaves is noticed at once.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;
use russh::{ChannelMsg, ChannelReadHalf, Pty, Sig};
use tokio::sync::Notify;

/// Bytes that may wait for one channel.
pub const BUDGET: usize = 3 * 1024 * 1024;
/// What an event costs beyond its bytes, so that many tiny ones are bounded too.
const OVERHEAD: usize = 128;
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

impl Event {
    fn cost(&self) -> usize {
        OVERHEAD
            + match self {
                Event::Data(b) | Event::Exec(b) => b.len(),
                Event::Env(n, v) => n.len() + v.len(),
                Event::Pty(p) => p.term.len() + p.modes.len() * 8,
                Event::Subsystem(n) => n.len(),
                _ => 0,
            }
    }

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

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    used: usize,
}

/// See the module. One pump, one reader at a time.
#[derive(Default)]
pub struct Inbox {
    state: Mutex<State>,
    filled: Notify,
    emptied: Notify,
    is_gone: AtomicBool,
    gone: Notify,
}

impl Inbox {
    /// Moves everything from the library's queue; ready when the person left or closed the channel.
    pub async fn pump(&self, mut from: ChannelReadHalf) {
        while let Some(message) = from.wait().await {
            if matches!(message, ChannelMsg::Close) {
                break;
            }
            if let Some(event) = Event::of(message) {
                self.give(event).await;
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

    /// Gives an event; waits while the inbox is full.
    pub async fn give(&self, event: Event) {
        let cost = event.cost();
        loop {
            {
                let mut state = self.state.lock();
                if state.events.is_empty() || state.used + cost <= BUDGET {
                    state.used += cost;
                    state.events.push_back(event);
                    break;
                }
            }
            self.emptied.notified().await;
        }
        self.filled.notify_one();
    }

    /// Puts input back to be read first: it was typed ahead of what comes next.
    pub fn put_back(&self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let event = Event::Data(bytes);
        let mut state = self.state.lock();
        state.used += event.cost();
        state.events.push_front(event);
        drop(state);
        self.filled.notify_one();
    }

    /// Takes the next event; waits for one, for ever if the person is gone. Cancel-safe.
    pub async fn take(&self) -> Event {
        loop {
            let next = {
                let mut state = self.state.lock();
                let next = state.events.pop_front();
                if let Some(event) = &next {
                    state.used = state.used.saturating_sub(event.cost());
                    if state.events.is_empty() {
                        state.events.shrink_to(16);
                    }
                }
                next
            };
            match next {
                Some(event) => {
                    self.emptied.notify_one();
                    return event;
                }
                None => self.filled.notified().await,
            }
        }
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
    use std::{sync::Arc, time::Duration};

    use super::*;

    #[tokio::test]
    async fn the_giver_waits_at_the_budget_and_order_is_kept() {
        let inbox = Arc::new(Inbox::default());
        let block = Bytes::from(vec![7u8; 1024 * 1024]);
        let giver = tokio::spawn({
            let (inbox, block) = (inbox.clone(), block.clone());
            async move {
                for _ in 0..16 {
                    inbox.give(Event::Data(block.clone())).await;
                }
                inbox.give(Event::Eof).await;
            }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!giver.is_finished());
        assert!(inbox.state.lock().used <= BUDGET);

        let mut taken = 0;
        while !matches!(inbox.take().await, Event::Eof) {
            taken += 1;
        }

        assert_eq!(taken, 16);
        assert!(giver.await.is_ok());
        assert_eq!(inbox.state.lock().used, 0);
    }

    #[tokio::test]
    async fn many_tiny_events_are_bounded_too() {
        let inbox = Inbox::default();
        let mut given = 0u32;
        while tokio::time::timeout(Duration::from_millis(20), inbox.give(Event::Data(Bytes::from_static(b"x")))).await.is_ok() {
            given += 1;
            assert!(given < 1_000_000);
        }
        assert!(given as usize >= BUDGET / (OVERHEAD + 1) - 1);
    }

    #[tokio::test]
    async fn who_waits_learns_that_the_person_left() {
        let inbox = Arc::new(Inbox::default());
        let waiter = tokio::spawn({
            let inbox = inbox.clone();
            async move { inbox.next().await }
        });
        tokio::time::sleep(Duration::from_millis(10)).await;

        inbox.leave();

        assert!(matches!(waiter.await, Ok(None)));
        inbox.gone().await;
    }
}
