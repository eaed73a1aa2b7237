//! The person's terminal on the gateway before (and between) sessions: the menu, account choice and typed secrets
//! are drawn on it. While a session runs, the relay owns the channel and nobody holds a console.
//!
//! The caller of the menu, in a loop until it answers `None` or fails:
//!
//! ```text
//! menu::run(&mut console, &control, &who, client) -> Result<Option<menu::Choice>, ConsoleClosed>
//! menu::pick_account(&mut console, "web1", &choices)  -> Result<Option<AccountAsk>, ConsoleClosed>
//! menu::Choice { target: session::Target, account: AccountAsk, protocol: String }
//! ```

use async_trait::async_trait;
use bytes::Bytes;
use messages::Lang;

/// Largest terminal that is believed; what a client says beyond it is cut.
pub const MAX_COLS: u16 = 1000;
/// As [`MAX_COLS`], for rows.
pub const MAX_ROWS: u16 = 1000;

/// What the person did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsoleEvent {
    /// Raw bytes from the keyboard; an escape sequence or a character may be split over two events.
    Bytes(Bytes),
    /// The window has this size now: columns, rows. [`Console::size`] already says so.
    Resize(u16, u16),
    /// Nothing more will come.
    Eof,
}

/// The person is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the terminal was closed")]
pub struct ConsoleClosed;

/// Where a console's bytes come from and go to.
#[async_trait]
pub trait ConsoleIo: Send {
    /// The next event. Cancel-safe.
    async fn read(&mut self) -> ConsoleEvent;
    /// Sends bytes to the screen, all of them, with back-pressure.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), ConsoleClosed>;
}

/// A person's terminal: raw (no echo, no line editing, `\n` needs `\r\n`).
pub struct Console {
    io: Box<dyn ConsoleIo>,
    size: (u16, u16),
    term: String,
    lang: Lang,
    unread: Bytes,
    greeted: bool,
}

impl Console {
    /// Over any source, with the size in columns and rows, the terminal's name (`xterm-256color`) and the person's language.
    pub fn new(io: Box<dyn ConsoleIo>, size: (u16, u16), term: String, lang: Lang) -> Self {
        Self { io, size: clamp(size.0, size.1), term, lang, unread: Bytes::new(), greeted: false }
    }
    /// The next event. Cancel-safe. Input is bounded by the channel's window.
    pub async fn read(&mut self) -> ConsoleEvent {
        if !self.unread.is_empty() {
            return ConsoleEvent::Bytes(std::mem::take(&mut self.unread));
        }
        match self.io.read().await {
            ConsoleEvent::Resize(cols, rows) => {
                self.size = clamp(cols, rows);
                ConsoleEvent::Resize(self.size.0, self.size.1)
            }
            other => other,
        }
    }
    /// Sends bytes as they are.
    ///
    /// # Errors
    /// [`ConsoleClosed`]: the person left; stop.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ConsoleClosed> {
        self.io.write(bytes).await
    }
    /// Columns and rows, never zero.
    pub fn size(&self) -> (u16, u16) {
        self.size
    }
    /// Terminal name.
    pub fn term(&self) -> &str {
        &self.term
    }
    /// The person's language.
    pub fn lang(&self) -> Lang {
        self.lang
    }
    /// The person chose another language.
    pub fn set_lang(&mut self, lang: Lang) {
        self.lang = lang;
    }
    /// Whether the person was greeted here before; from now on, yes.
    pub(crate) fn greet(&mut self) -> bool {
        std::mem::replace(&mut self.greeted, true)
    }
    /// Puts back what was read but belongs to whoever reads next.
    pub fn unread(&mut self, bytes: Vec<u8>) {
        self.unread = if self.unread.is_empty() { bytes.into() } else { [bytes.as_slice(), &self.unread].concat().into() };
    }
    /// What was put back and nobody read since.
    pub(crate) fn take_unread(&mut self) -> Bytes {
        std::mem::take(&mut self.unread)
    }
}

/// A size a screen can really have: zero (unknown) means 80×24, huge is cut.
pub fn clamp(cols: u16, rows: u16) -> (u16, u16) {
    let or = |v: u16, default: u16| if v == 0 { default } else { v };
    (or(cols, 80).min(MAX_COLS), or(rows, 24).min(MAX_ROWS))
}
