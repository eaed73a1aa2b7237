//! Text for people: control sequences taken out, names made harmless, widths counted in columns.

use crate::grid::char_width;
use crate::parser::{Csi, Parser, Sink};

/// Longest line that is edited by carriage returns and cursor movement; a longer one is broken.
const LINE_MAX: usize = 64 * 1024;

/// What is left of a program's output for a reader: control sequences removed, backspaces, carriage returns and
/// erasing within a line applied, lines joined with `\n`.
pub fn clean(bytes: &[u8]) -> String {
    let mut cleaner = Cleaner { out: String::with_capacity(bytes.len().min(1 << 20)), line: Vec::new(), col: 0 };
    let mut parser = Parser::new();
    parser.advance(&mut cleaner, bytes);
    cleaner.end_line();
    cleaner.out
}

struct Cleaner {
    out: String,
    /// `None`: a place that was skipped or erased
    line: Vec<Option<char>>,
    col: usize,
}

impl Cleaner {
    fn put(&mut self, c: char) {
        if self.col >= LINE_MAX {
            self.end_line();
            self.out.push('\n');
        }
        if self.line.len() <= self.col {
            self.line.resize(self.col + 1, None);
        }
        if let Some(slot) = self.line.get_mut(self.col) {
            *slot = Some(c);
        }
        self.col += 1;
    }

    fn end_line(&mut self) {
        let end = self.line.iter().rposition(|c| c.is_some_and(|c| c != ' ')).map_or(0, |n| n + 1);
        self.out.extend(self.line.iter().take(end).map(|c| c.unwrap_or(' ')));
        self.line.clear();
        self.col = 0;
    }
}

impl Sink for Cleaner {
    fn ascii(&mut self, run: &[u8]) {
        if self.col == self.line.len() && self.col + run.len() < LINE_MAX {
            self.line.extend(run.iter().map(|b| Some(char::from(*b))));
            self.col += run.len();
        } else {
            run.iter().for_each(|b| self.put(char::from(*b)));
        }
    }

    fn print(&mut self, c: char) {
        self.put(c);
    }

    fn control(&mut self, byte: u8) {
        match byte {
            0x08 => self.col = self.col.saturating_sub(1),
            0x09 => {
                // kept as a tab when it is written at the end, so that tables survive copying
                if self.col >= self.line.len() { self.put('\t') } else { self.col = (self.col / 8 + 1) * 8 }
            }
            0x0a..=0x0c => {
                let col = self.col;
                self.end_line();
                self.out.push('\n');
                let _ = col;
            }
            0x0d => self.col = 0,
            _ => {}
        }
    }

    fn csi(&mut self, seq: &Csi) {
        if seq.private != 0 || seq.intermediate != 0 {
            return;
        }
        let count = seq.or(0, 1);
        match seq.last {
            b'C' | b'a' => self.col = (self.col + count).min(LINE_MAX - 1),
            b'D' => self.col = self.col.saturating_sub(count),
            b'G' | b'`' => self.col = (count - 1).min(LINE_MAX - 1),
            b'K' | b'J' => match seq.params().first().copied().unwrap_or(0) {
                0 => self.line.truncate(self.col),
                1 => self.line.iter_mut().take(self.col + 1).for_each(|c| *c = None),
                2 => self.line.clear(),
                _ => {}
            },
            b'P' if self.col < self.line.len() => {
                let end = (self.col + count).min(self.line.len());
                self.line.drain(self.col..end);
            }
            b'@' if self.col < self.line.len() && self.line.len() + count < LINE_MAX => {
                self.line.splice(self.col..self.col, std::iter::repeat_n(None, count));
            }
            b'X' => self.line.iter_mut().skip(self.col).take(count).for_each(|c| *c = None),
            _ => {}
        }
    }

    fn esc(&mut self, _: u8, last: u8) {
        if last == b'E' {
            self.control(0x0a);
        }
    }

    fn osc(&mut self, _: &[u8]) {}

    fn stop(&self) -> bool {
        false
    }
}

/// Columns that a text takes on a terminal.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// The text cut to at most `columns`, with `…` as the last column when something was cut.
pub fn truncate(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let w = char_width(c);
        if used + w + 1 > columns {
            break;
        }
        used += w;
        out.push(c);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// The text cut or filled with spaces to exactly `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    let mut out = truncate(text, columns);
    let used = width(&out);
    out.extend(std::iter::repeat_n(' ', columns.saturating_sub(used)));
    out
}

/// A name from outside, made harmless for a terminal and for a reader: control characters, bidirectional
/// overrides, invisible and line-breaking characters appear as `\u{…}`, a backslash as itself.
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmful(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// Characters that change how the rest of the text is shown, or that cannot be seen.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}
