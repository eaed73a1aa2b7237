//! Plain text: what scrolled by, without colours, cursor movements and full-screen programs.

use std::io::Write;

use super::utf8::Utf8Stream;
use crate::{Event, RecordError, Recording};

/// Longest line that is kept together.
const MAX_LINE: usize = 16 * 1024;

/// Writes the output of the recording, from where it stands, as clean text.
///
/// # Errors
/// [`RecordError::Damaged`] at the first damaged segment; or writing failed.
pub fn text(recording: &mut Recording, out: &mut dyn Write) -> Result<(), RecordError> {
    let mut strip = Stripper::default();
    while let Some((_, event)) = recording.next_event()? {
        if let Event::Output(b) | Event::Stderr(b) = event {
            out.write_all(strip.push(&b).as_bytes())?;
        }
    }
    out.write_all(strip.finish().as_bytes())?;
    Ok(())
}

/// Takes control sequences (ECMA-48) out of terminal output and applies what edits the current line: carriage
/// return, backspace, erase and horizontal moves. Bounded: one line and one sequence are in memory.
#[derive(Debug, Clone, Default)]
pub struct Stripper {
    utf8: Utf8Stream,
    state: State,
    parameters: String,
    line: Vec<char>,
    column: usize,
    /// A full-screen program has the screen.
    alternate: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Escape,
    /// After `ESC (` and the like: one more character.
    Charset,
    Csi,
    /// OSC, DCS, APC, PM, SOS: until BEL or ST.
    String,
    StringEscape,
}

impl Stripper {
    /// The lines that are complete after `bytes`.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        let mut out = String::new();
        for c in self.utf8.push(bytes).chars() {
            self.put(c, &mut out);
        }
        out
    }
    /// The last line, which has no end.
    pub fn finish(&mut self) -> String {
        let mut out = String::new();
        self.take_line(&mut out);
        out
    }

    fn put(&mut self, c: char, out: &mut String) {
        self.state = match (self.state, c) {
            (State::String | State::StringEscape, '\u{7}') | (State::StringEscape, '\\') => State::Text,
            (State::String, '\u{1b}') => State::StringEscape,
            (State::String | State::StringEscape, _) => State::String,
            (_, '\u{1b}') => State::Escape,
            // CAN and SUB end a sequence; other C0 controls inside one still act.
            (_, '\u{18}' | '\u{1a}') => State::Text,
            (state, '\n' | '\r' | '\u{8}' | '\t' | '\u{7}') => {
                self.control(c, out);
                state
            }
            (State::Escape, '[') => {
                self.parameters.clear();
                State::Csi
            }
            (State::Escape, ']' | 'P' | '_' | '^' | 'X') => State::String,
            (State::Escape, ' '..='/') => State::Charset,
            (State::Escape | State::Charset, _) => State::Text,
            (State::Csi, '@'..='~') => {
                self.csi(c);
                State::Text
            }
            (State::Csi, _) => {
                if self.parameters.len() < 64 {
                    self.parameters.push(c);
                }
                State::Csi
            }
            (State::Text, c) => {
                if !c.is_control() && !self.alternate {
                    self.write(c, out);
                }
                State::Text
            }
        };
    }

    fn control(&mut self, c: char, out: &mut String) {
        if self.alternate {
            return;
        }
        match c {
            '\n' => {
                self.take_line(out);
                out.push('\n');
            }
            '\r' => self.column = 0,
            '\u{8}' => self.column = self.column.saturating_sub(1),
            '\t' => {
                let to = (self.column / 8 + 1) * 8;
                while self.column < to && self.column < MAX_LINE {
                    self.write(' ', out);
                }
            }
            _ => {}
        }
    }

    fn csi(&mut self, last: char) {
        let private = self.parameters.strip_prefix('?');
        if let Some(modes) = private {
            if matches!(last, 'h' | 'l') && modes.split(';').any(|m| matches!(m, "47" | "1047" | "1049")) {
                self.alternate = last == 'h';
            }
            return;
        }
        let n = self.parameters.split(';').next().and_then(|p| p.parse::<usize>().ok());
        let count = n.unwrap_or(1).clamp(1, MAX_LINE);
        match last {
            'C' => self.column = self.column.saturating_add(count).min(MAX_LINE),
            'D' => self.column = self.column.saturating_sub(count),
            'G' => self.column = count - 1,
            'K' => match n.unwrap_or(0) {
                0 => self.line.truncate(self.column),
                1 => self.line.iter_mut().take(self.column + 1).for_each(|c| *c = ' '),
                _ => self.line.clear(),
            },
            'P' => {
                let from = self.column.min(self.line.len());
                let to = from.saturating_add(count).min(self.line.len());
                self.line.drain(from..to);
            }
            '@' => {
                let at = self.column.min(self.line.len());
                let room = MAX_LINE.saturating_sub(self.line.len());
                self.line.splice(at..at, std::iter::repeat_n(' ', count.min(room)));
            }
            _ => {}
        }
    }

    fn write(&mut self, c: char, out: &mut String) {
        if self.column >= MAX_LINE {
            self.take_line(out);
            out.push('\n');
        }
        if self.column > self.line.len() {
            self.line.resize(self.column, ' ');
        }
        match self.line.get_mut(self.column) {
            Some(slot) => *slot = c,
            None => self.line.push(c),
        }
        self.column += 1;
    }

    fn take_line(&mut self, out: &mut String) {
        let len = self.line.iter().rposition(|c| *c != ' ').map_or(0, |i| i + 1);
        out.extend(self.line.drain(..).take(len));
        self.column = 0;
    }
}
