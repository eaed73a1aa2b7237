//! Asking the person at the terminal.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};
use zeroize::Zeroizing;

use super::{Failure, out, say};

/// Longest answer.
const MAX: usize = 4096;

/// Raw mode as long as it lives.
pub struct Raw;

impl Raw {
    /// Turns it on.
    ///
    /// # Errors
    /// There is no terminal.
    pub fn on() -> io::Result<Self> {
        crossterm::terminal::enable_raw_mode().map(|()| Self)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = crossterm::terminal::disable_raw_mode();
    }
}

/// A line that may be seen.
///
/// # Errors
/// There is no terminal to ask at.
pub fn line(question: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(say("cli.no_terminal", &[])));
    }
    out::ask(&format!("{question}: "));
    let mut text = String::new();
    io::stdin().lock().take(MAX as u64).read_line(&mut text)?;
    Ok(text.trim().to_owned())
}

/// A line that is not shown.
///
/// # Errors
/// There is no terminal to ask at, or the person gave up with Ctrl-C.
pub fn secret(question: &str) -> Result<Zeroizing<String>, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(say("cli.no_terminal", &[])));
    }
    out::ask(&format!("{question}: "));
    let raw = Raw::on()?;
    // Room from the start: growing would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX));
    let answer = loop {
        let Event::Key(key) = crossterm::event::read()? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match (key.code, key.modifiers.contains(KeyModifiers::CONTROL)) {
            (KeyCode::Enter, _) => break Ok(()),
            (KeyCode::Char('c' | 'd'), true) => break Err(Failure::says("cli.given_up", &[])),
            (KeyCode::Char('u'), true) => text.clear(),
            (KeyCode::Backspace, _) => {
                text.pop();
            }
            (KeyCode::Char(c), false) if text.len() + 4 <= MAX => text.push(c),
            _ => {}
        }
    };
    drop(raw);
    out::note("");
    answer.map(|()| text)
}

/// The next line of standard input, for scripts.
///
/// # Errors
/// Nothing is there.
pub fn stdin_line() -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::with_capacity(MAX));
    let mut input = io::stdin().lock();
    let mut byte = [0];
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX));
    // Byte by byte: a buffered reader would take what the next question needs.
    while bytes.len() < MAX && input.read(&mut byte)? == 1 {
        if byte == *b"\n" {
            break;
        }
        bytes.extend_from_slice(&byte);
    }
    let read = std::str::from_utf8(&bytes).map_err(|_| Failure::usage(say("cli.not_text", &[])))?;
    text.push_str(read.trim_end_matches('\r'));
    if text.is_empty() { Err(Failure::usage(say("cli.empty_input", &[]))) } else { Ok(text) }
}
