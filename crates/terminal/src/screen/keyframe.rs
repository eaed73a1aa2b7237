//! Redraws a screen from nothing: what a replay shows after a jump and a live viewer sees first.

use super::{Cursor, Screen};
use crate::grid::{Cell, Grid};
use std::fmt::Write as _;

impl Screen {
    /// Bytes that, sent to a freshly reset terminal of the same size, show what this screen shows: main screen,
    /// alternate screen when shown, scrolling region, modes, title, style and cursor.
    pub fn keyframe(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.draw(&mut out, &self.main);
        if let Some(alt) = &self.alt {
            place(&mut out, &self.saved[0]);
            out.extend_from_slice(b"\x1b[?1049h");
            self.draw(&mut out, alt);
        }
        let mut tail = String::new();
        if (self.top, self.bottom + 1) != (0, self.rows) {
            let _ = write!(tail, "\x1b[{};{}r", self.top + 1, self.bottom + 1);
        }
        if !self.title.is_empty() {
            let _ = write!(tail, "\x1b]2;{}\x07", self.title);
        }
        out.extend_from_slice(tail.as_bytes());
        self.place_cursor(&mut out);
        // insert mode and switched-off wrapping would change how the cursor is placed
        let mut tail = String::new();
        for (mode, on) in self.modes.changed() {
            let _ = write!(tail, "\x1b[?{mode}{}", if on { 'h' } else { 'l' });
        }
        if self.modes.insert() {
            tail.push_str("\x1b[4h");
        }
        out.extend_from_slice(tail.as_bytes());
        for (at, graphics) in self.cursor.graphics.iter().enumerate() {
            if *graphics {
                out.extend_from_slice(if at == 0 { b"\x1b(0" } else { b"\x1b)0" });
            }
        }
        if self.cursor.shift == 1 {
            out.push(0x0e);
        }
        out
    }

    fn place_cursor(&self, out: &mut Vec<u8>) {
        place(out, &self.cursor);
        if self.cursor.origin {
            let mut text = String::from("\x1b[?6h");
            let row = self.cursor.row.saturating_sub(self.top) + 1;
            let _ = write!(text, "\x1b[{row};{}H", self.cursor.col + 1);
            out.extend_from_slice(text.as_bytes());
        }
        if self.cursor.wrap {
            // printing the last character again brings the pending wrap back
            let row = self.page().row(self.cursor.row);
            let cell = row.map(|r| r.cell(self.cursor.col)).unwrap_or_default();
            let c = match cell.char() {
                Some(c) => c,
                None => {
                    out.extend_from_slice(b"\x1b[D");
                    row.and_then(|r| r.cell(self.cursor.col.saturating_sub(1)).char()).unwrap_or(' ')
                }
            };
            self.styles_write(out, cell.style);
            push(out, c);
            let head = if cell.ch == Cell::TAIL { self.cursor.col.saturating_sub(1) } else { self.cursor.col };
            row.into_iter().flat_map(|r| r.marks(head)).for_each(|mark| push(out, mark));
            self.cursor.style.write(out);
        }
    }

    fn draw(&self, out: &mut Vec<u8>, grid: &Grid) {
        out.extend_from_slice(b"\x1b[0m\x1b[H\x1b[2J");
        for (n, row) in grid.rows().enumerate() {
            if row.cells().iter().all(|c| *c == Cell::default()) {
                continue;
            }
            out.extend_from_slice(format!("\x1b[{};1H", n + 1).as_bytes());
            let (mut style, mut skipped) = (0, 0);
            out.extend_from_slice(b"\x1b[0m");
            for (col, cell) in row.cells().iter().enumerate().take(self.cols) {
                if *cell == Cell::default() {
                    skipped += 1;
                    continue;
                }
                let Some(c) = cell.char() else { continue };
                if skipped > 0 {
                    out.extend_from_slice(format!("\x1b[{skipped}C").as_bytes());
                    skipped = 0;
                }
                if cell.style != style {
                    style = cell.style;
                    self.styles_write(out, style);
                }
                push(out, c);
                row.marks(col).for_each(|mark| push(out, mark));
            }
        }
        out.extend_from_slice(b"\x1b[0m");
    }

    fn styles_write(&self, out: &mut Vec<u8>, number: u32) {
        self.styles.get(number).write(out);
    }
}

fn place(out: &mut Vec<u8>, cursor: &Cursor) {
    out.extend_from_slice(format!("\x1b[{};{}H", cursor.row + 1, cursor.col + 1).as_bytes());
    cursor.style.write(out);
}

pub(super) fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}
