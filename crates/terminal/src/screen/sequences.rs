//! What the control sequences do to the screen.

use super::{ALT_BASE, Cursor, Event, Screen};
use crate::grid::Grid;
use crate::parser::{Csi, Sink};
use crate::style::Style;

/// Longest window title kept, in bytes.
const TITLE_MAX: usize = 256;

/// The private modes that a redraw has to restore, with their numbers.
pub(super) const MODES: [u16; 15] = [1, 5, 7, 9, 12, 25, 45, 66, 1000, 1002, 1003, 1004, 1005, 1006, 2004];
const AUTOWRAP: usize = 2;
const CURSOR: usize = 5;
const KEYPAD: usize = 7;
const PASTE: usize = 14;

/// Which modes are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modes {
    private: u16,
    insert: bool,
    newline: bool,
}

impl Default for Modes {
    fn default() -> Self {
        Self { private: 1 << AUTOWRAP | 1 << CURSOR, insert: false, newline: false }
    }
}

impl Modes {
    pub(super) fn autowrap(self) -> bool {
        self.private & (1 << AUTOWRAP) != 0
    }

    pub(super) fn insert(self) -> bool {
        self.insert
    }

    pub(super) fn bracketed_paste(self) -> bool {
        self.private & (1 << PASTE) != 0
    }

    fn set(&mut self, bit: usize, on: bool) {
        if on { self.private |= 1 << bit } else { self.private &= !(1 << bit) }
    }

    /// The modes that differ from a fresh terminal: number and state.
    pub(super) fn changed(self) -> impl Iterator<Item = (u16, bool)> {
        let fresh = Self::default().private;
        MODES.iter().enumerate().filter_map(move |(bit, number)| {
            let on = self.private & (1 << bit) != 0;
            (on != (fresh & (1 << bit) != 0)).then_some((*number, on))
        })
    }
}

impl Sink for Screen {
    fn ascii(&mut self, run: &[u8]) {
        let graphics = self.cursor.graphics.get(self.cursor.shift).copied().unwrap_or(false);
        if graphics {
            for b in run {
                self.print_char(line_drawing(*b));
            }
        } else if self.modes.insert() || !self.modes.autowrap() {
            for b in run {
                if !self.modes.autowrap() {
                    self.cursor.wrap = false;
                }
                self.print_char(char::from(*b));
            }
        } else {
            self.print_run(run);
        }
    }

    fn print(&mut self, c: char) {
        self.print_char(c);
    }

    fn control(&mut self, byte: u8) {
        match byte {
            0x08 => {
                self.cursor.col = self.cursor.col.saturating_sub(usize::from(!self.cursor.wrap || self.cursor.col + 1 < self.cols));
                self.cursor.wrap = false;
            }
            0x09 => {
                self.cursor.col = ((self.cursor.col / 8 + 1) * 8).min(self.cols - 1);
                self.cursor.wrap = false;
            }
            0x0a..=0x0c => {
                if self.watch {
                    self.events.push(Event::LineFeed);
                } else {
                    self.line_feed();
                }
                if self.modes.newline {
                    self.cursor.col = 0;
                }
            }
            0x0d => {
                self.cursor.col = 0;
                self.cursor.wrap = false;
            }
            0x0e => self.cursor.shift = 1,
            0x0f => self.cursor.shift = 0,
            _ => {}
        }
    }

    fn csi(&mut self, seq: &Csi) {
        match (seq.private, seq.intermediate, seq.last) {
            (0, 0, b'm') => {
                self.cursor.style.apply(seq);
                self.restyle();
            }
            (b'?', 0, b'h' | b'l') => {
                for mode in seq.params() {
                    self.private_mode(*mode, seq.last == b'h');
                }
            }
            (0, 0, b'h' | b'l') => {
                for mode in seq.params() {
                    match mode {
                        4 => self.modes.insert = seq.last == b'h',
                        20 => self.modes.newline = seq.last == b'h',
                        _ => {}
                    }
                }
            }
            (0, b'!', b'p') => self.soft_reset(),
            (0, 0, b'J' | b'K' | b'X' | b'@' | b'P' | b'L' | b'M' | b'S' | b'T') | (b'?', 0, b'J' | b'K') => {
                self.change(seq);
            }
            (0, 0, _) => self.travel(seq),
            _ => {}
        }
    }

    fn esc(&mut self, intermediate: u8, last: u8) {
        match (intermediate, last) {
            (0, b'7') => self.save(),
            (0, b'8') => self.restore(),
            (0, b'D') => self.line_feed(),
            (0, b'E') => {
                self.cursor.col = 0;
                self.line_feed();
            }
            (0, b'M') => {
                self.cursor.wrap = false;
                if self.cursor.row == self.top {
                    self.scroll_down(1);
                } else {
                    self.cursor.row = self.cursor.row.saturating_sub(1);
                }
            }
            (0, b'=') => self.modes.set(KEYPAD, true),
            (0, b'>') => self.modes.set(KEYPAD, false),
            (0, b'c') => self.reset(),
            (b'(', set) => self.cursor.graphics[0] = set == b'0',
            (b')', set) => self.cursor.graphics[1] = set == b'0',
            _ => {}
        }
    }

    fn osc(&mut self, data: &[u8]) {
        let mut parts = data.splitn(3, |b| *b == b';');
        match (parts.next(), parts.next()) {
            (Some(b"0" | b"2"), Some(_)) => {
                let text = data.get(2..).unwrap_or(&[]);
                self.title = String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).collect();
                let mut end = self.title.len().min(TITLE_MAX);
                while !self.title.is_char_boundary(end) {
                    end -= 1;
                }
                self.title.truncate(end);
                self.title.shrink_to_fit();
            }
            (Some(b"133" | b"633"), Some([mark @ b'A'..=b'D', ..])) => self.events.push(Event::Mark(*mark)),
            _ => {}
        }
    }

    fn stop(&self) -> bool {
        !self.events.is_empty()
    }
}

impl Screen {
    /// Cursor movement and the scrolling region.
    fn travel(&mut self, seq: &Csi) {
        let count = seq.or(0, 1);
        let was_wrap = std::mem::take(&mut self.cursor.wrap);
        let cols = self.cols;
        match seq.last {
            b'A' => {
                let top = if self.cursor.row >= self.top { self.top } else { 0 };
                self.cursor.row = self.cursor.row.saturating_sub(count).max(top);
            }
            b'B' | b'e' => {
                let bottom = if self.cursor.row <= self.bottom { self.bottom } else { self.rows - 1 };
                self.cursor.row = (self.cursor.row + count).min(bottom);
            }
            b'C' | b'a' => self.cursor.col = (self.cursor.col + count).min(cols - 1),
            b'D' => self.cursor.col = self.cursor.col.saturating_sub(count),
            b'E' | b'F' => {
                let row = if seq.last == b'E' { self.cursor.row + count } else { self.cursor.row.saturating_sub(count) };
                self.cursor.row = row.min(self.rows - 1);
                self.cursor.col = 0;
            }
            b'G' | b'`' => self.cursor.col = (count - 1).min(cols - 1),
            b'H' | b'f' => {
                self.go_to_row(count - 1);
                self.cursor.col = (seq.or(1, 1) - 1).min(cols - 1);
            }
            b'd' => self.go_to_row(count - 1),
            b'I' => self.cursor.col = ((self.cursor.col / 8 + count.min(cols)) * 8).min(cols - 1),
            b'Z' => self.cursor.col = (self.cursor.col.div_ceil(8).saturating_sub(count)) * 8,
            b'r' => {
                let top = count - 1;
                let bottom = seq.or(1, self.rows.min(usize::from(u16::MAX)) as u16).min(self.rows) - 1;
                if top < bottom {
                    (self.top, self.bottom) = (top, bottom);
                    self.go_to_row(0);
                    self.cursor.col = 0;
                }
            }
            b's' => self.save(),
            b'u' => self.restore(),
            b'b' => {
                self.cursor.wrap = was_wrap;
                let c = self.last;
                for _ in 0..count.min(self.cols * self.rows) {
                    self.print_char(c);
                }
            }
            _ => self.cursor.wrap = was_wrap,
        }
    }

    fn go_to_row(&mut self, row: usize) {
        self.cursor.row = if self.cursor.origin { (self.top + row).min(self.bottom) } else { row.min(self.rows - 1) };
    }

    /// Erasing, inserting, deleting, scrolling.
    fn change(&mut self, seq: &Csi) {
        let style = self.blank_style();
        let (row, col, cols, rows) = (self.cursor.row, self.cursor.col, self.cols, self.rows);
        let count = seq.or(0, 1);
        let mode = seq.params().first().copied().unwrap_or(0);
        if !matches!(seq.last, b'S' | b'T') {
            self.cursor.wrap = false;
        }
        match seq.last {
            b'J' => {
                let (from, to) = match mode {
                    0 => (row + 1, rows),
                    1 => (0, row),
                    2 => (0, rows),
                    _ => return,
                };
                for n in from..to {
                    self.erase(n, 0, cols, style);
                }
                match mode {
                    0 => self.erase(row, col, cols, style),
                    1 => self.erase(row, 0, col + 1, style),
                    _ => {}
                }
            }
            b'K' => match mode {
                0 => self.erase(row, col, cols, style),
                1 => self.erase(row, 0, col + 1, style),
                2 => self.erase(row, 0, cols, style),
                _ => {}
            },
            b'X' => self.erase(row, col, (col + count).min(cols), style),
            b'@' => {
                if let Some(row) = self.page_mut().row_mut(row) {
                    row.insert(col, count, cols, style);
                }
            }
            b'P' => {
                if let Some(row) = self.page_mut().row_mut(row) {
                    row.delete(col, count);
                    row.wrapped = false;
                }
            }
            b'L' | b'M' if (self.top..=self.bottom).contains(&row) => {
                let bottom = self.bottom;
                for _ in 0..count.min(bottom + 1 - row) {
                    match seq.last {
                        b'L' => self.page_mut().scroll_down(row, bottom),
                        _ => self.page_mut().scroll_up(row, bottom),
                    }
                }
                self.cursor.col = 0;
            }
            b'S' => self.scroll_up(count),
            b'T' if seq.params().len() <= 1 => self.scroll_down(count),
            _ => {}
        }
    }

    fn erase(&mut self, row: usize, from: usize, to: usize, style: u32) {
        let cols = self.cols;
        if let Some(row) = self.page_mut().row_mut(row) {
            row.erase(from, to, style);
            if to >= cols {
                row.wrapped = false;
            }
        }
    }

    fn private_mode(&mut self, mode: u16, on: bool) {
        if let Some(bit) = MODES.iter().position(|m| *m == mode) {
            self.modes.set(bit, on);
        }
        match mode {
            6 => {
                self.cursor.origin = on;
                self.go_to_row(0);
                self.cursor.col = 0;
            }
            47 | 1047 => self.alternate_mode(on, false),
            1048 if on => self.save(),
            1048 => self.restore(),
            1049 => self.alternate_mode(on, true),
            2004 => self.events.push(Event::Paste(on)),
            _ => {}
        }
    }

    fn alternate_mode(&mut self, on: bool, with_cursor: bool) {
        if on == self.alt.is_some() {
            return;
        }
        if on {
            // remembered for every form of the switch, as a resize must know where the main page stands
            self.saved[0] = self.cursor;
            self.alt = Some(Grid::new(self.rows));
            self.saved[1] = Cursor::default();
        } else {
            self.alt = None;
            let back = self.saved[0];
            if with_cursor {
                self.cursor = back;
            }
        }
        (self.top, self.bottom) = (0, self.rows - 1);
        self.restyle();
        self.events.push(Event::Alternate(on));
        debug_assert!(self.first_row() <= ALT_BASE);
    }

    fn save(&mut self) {
        let slot = usize::from(self.alt.is_some());
        if let Some(saved) = self.saved.get_mut(slot) {
            *saved = self.cursor;
        }
    }

    fn restore(&mut self) {
        let slot = usize::from(self.alt.is_some());
        self.cursor = self.saved.get(slot).copied().unwrap_or_default();
        self.restyle();
    }

    fn soft_reset(&mut self) {
        self.cursor.style = Style::default();
        self.cursor.origin = false;
        self.cursor.graphics = [false; 2];
        self.cursor.shift = 0;
        self.modes.insert = false;
        self.modes.set(AUTOWRAP, true);
        self.modes.set(CURSOR, true);
        (self.top, self.bottom) = (0, self.rows - 1);
        self.restyle();
    }

    fn reset(&mut self) {
        self.alternate_mode(false, false);
        let paste = self.modes.bracketed_paste();
        self.soft_reset();
        self.cursor = Cursor::default();
        self.saved = [Cursor::default(); 2];
        self.modes = Modes::default();
        self.restyle();
        // the page counts as scrolled off, so that places on it are not mistaken for new text
        self.base += self.rows as u64;
        let rows = self.rows;
        self.main = Grid::new(rows);
        if paste {
            self.events.push(Event::Paste(false));
        }
    }
}

/// The DEC special graphics set (what `ESC ( 0` selects).
fn line_drawing(byte: u8) -> char {
    const SET: [char; 32] = [
        ' ', '◆', '▒', '␉', '␌', '␍', '␊', '°', '±', '␤', '␋', '┘', '┐', '┌', '└', '┼', '⎺', '⎻', '─', '⎼', '⎽', '├', '┤', '┴', '┬', '│', '≤', '≥', 'π', '≠',
        '£', '·',
    ];
    byte.checked_sub(0x5f).and_then(|n| SET.get(usize::from(n)).copied()).unwrap_or(char::from(byte))
}
