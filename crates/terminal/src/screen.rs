//! The emulated screen: what the person sees after each byte. No scrollback; memory follows what is visible.
//!
//! Rows of the main screen have an absolute number (rows scrolled off so far + row on the page), so that a
//! place on the screen keeps its name while output scrolls. The alternate screen counts from [`ALT_BASE`].

mod keyframe;
mod sequences;
mod viewport;

use crate::grid::{Cell, Grid, Row, char_width};
use crate::parser::Parser;
use crate::style::{Colour, Style, Styles};

/// Absolute number of the first row of the alternate screen.
pub const ALT_BASE: u64 = 1 << 48;
/// Largest page that is emulated; a client may ask for more, nobody can look at it.
const COLS_MAX: usize = 1000;
const ROWS_MAX: usize = 500;
/// Bytes of text kept of rows that scrolled off while a line is being edited.
const KEPT_MAX: usize = 256 * 1024;

/// A place on the screen: absolute row and column. The column may equal the width (behind the last cell).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Pos {
    /// absolute row
    pub row: u64,
    /// column
    pub col: usize,
}

/// Something in the output at which the tracker wants to look before the rest is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// a line feed is about to happen (only while watched); [`Screen::line_feed`] does it
    LineFeed,
    /// bracketed paste was switched: line editors do so when they begin and end
    Paste(bool),
    /// the alternate screen was entered or left
    Alternate(bool),
    /// a shell-integration mark (OSC 133 or 633): A prompt, B input, C output, D end
    Mark(u8),
}

/// A row that left the page at the top while its text was still wanted.
#[derive(Debug, Clone)]
pub struct Kept {
    /// its absolute number
    pub row: u64,
    /// the row
    pub content: Row,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cursor {
    row: usize,
    col: usize,
    /// the last column was written; the next character goes to the next row
    wrap: bool,
    style: Style,
    origin: bool,
    graphics: [bool; 2],
    shift: usize,
}

/// The screen and the parser that feeds it.
#[derive(Debug, Clone)]
pub struct Screen {
    cols: usize,
    rows: usize,
    main: Grid,
    alt: Option<Grid>,
    cursor: Cursor,
    style: u32,
    saved: [Cursor; 2],
    top: usize,
    bottom: usize,
    modes: sequences::Modes,
    styles: Styles,
    title: String,
    base: u64,
    keep_from: Option<u64>,
    kept: Vec<Kept>,
    kept_bytes: usize,
    watch: bool,
    events: Vec<Event>,
    last: char,
    parser: Parser,
}

impl Screen {
    /// A blank screen.
    pub fn new(cols: usize, rows: usize) -> Self {
        let (cols, rows) = within_bounds(cols, rows);
        Self {
            cols,
            rows,
            main: Grid::new(rows),
            alt: None,
            cursor: Cursor::default(),
            style: 0,
            saved: [Cursor::default(); 2],
            top: 0,
            bottom: rows - 1,
            modes: sequences::Modes::default(),
            styles: Styles::default(),
            title: String::new(),
            base: 0,
            keep_from: None,
            kept: Vec::new(),
            kept_bytes: 0,
            watch: false,
            events: Vec::new(),
            last: ' ',
            parser: Parser::new(),
        }
    }

    /// Shows bytes until all are used or something of interest happened. Returns how many were used.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        let mut parser = std::mem::take(&mut self.parser);
        let used = parser.advance(self, bytes);
        self.parser = parser;
        used
    }

    /// The things of interest since the last call, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Report the next line feeds?
    pub fn watch_line_feeds(&mut self, on: bool) {
        self.watch = on;
    }

    /// Keep the rows from this one on when they scroll off; `None` forgets what is kept.
    pub fn keep_from(&mut self, row: Option<u64>) {
        self.keep_from = row;
        if row.is_none() {
            self.kept = Vec::new();
            self.kept_bytes = 0;
        }
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        (self.cols, self.rows)
    }

    /// Is the alternate screen shown?
    pub fn alternate(&self) -> bool {
        self.alt.is_some()
    }

    /// Is bracketed paste on?
    pub fn bracketed_paste(&self) -> bool {
        self.modes.bracketed_paste()
    }

    /// Absolute number of the first row on the page.
    pub fn first_row(&self) -> u64 {
        if self.alt.is_some() { ALT_BASE } else { self.base }
    }

    /// Absolute number of the row behind the last one of the scrolling region.
    pub fn region_end(&self) -> u64 {
        self.first_row() + self.bottom as u64 + 1
    }

    /// Where the cursor is.
    pub fn cursor(&self) -> Pos {
        let col = if self.cursor.wrap { self.cols } else { self.cursor.col };
        Pos { row: self.first_row() + self.cursor.row as u64, col }
    }

    /// A row by its absolute number, also one that was kept.
    pub fn row(&self, row: u64) -> Option<&Row> {
        let first = self.first_row();
        if row >= first {
            return self.page().row(usize::try_from(row - first).ok()?);
        }
        self.kept.iter().find(|k| k.row == row).map(|k| &k.content)
    }

    /// Does the text of this row run on in the next one?
    pub fn runs_on(&self, row: u64) -> bool {
        let Some(content) = self.row(row) else { return false };
        // line editors go to the next row by themselves; a gap tells a right-hand prompt from a full row
        if content.wrapped || (content.cell(self.cols - 1).ch != 0 && content.is_solid()) {
            return true;
        }
        // a wide character that did not fit leaves the last column blank
        self.cols >= 2 && content.cell(self.cols - 2).ch != 0 && self.row(row + 1).is_some_and(|next| next.cell(1).ch == Cell::TAIL)
    }

    /// The whole page as text, one line a row, without trailing blanks.
    pub fn text(&self) -> String {
        let mut lines: Vec<String> = self.page().rows().map(|r| r.text(0, self.cols).trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines.join("\n")
    }

    /// Changes the size; nothing is reflowed, as programs redraw themselves.
    pub fn resize(&mut self, cols: usize, rows: usize) {
        let (cols, rows) = within_bounds(cols, rows);
        if (cols, rows) == (self.cols, self.rows) {
            return;
        }
        let main_cursor = if self.alt.is_some() { self.saved[0].row } else { self.cursor.row };
        for _ in rows..=main_cursor.min(self.rows) {
            if let Some(row) = self.main.pop_front() {
                self.keep(row);
                self.base += 1;
            }
        }
        let moved = (main_cursor + 1).saturating_sub(rows);
        self.saved[0].row = self.saved[0].row.saturating_sub(moved);
        if self.alt.is_none() {
            self.cursor.row = self.cursor.row.saturating_sub(moved);
        }
        self.cols = cols;
        self.rows = rows;
        for grid in [Some(&mut self.main), self.alt.as_mut()].into_iter().flatten() {
            grid.set_height(rows);
            grid.rows_mut().for_each(|r| r.limit(cols));
        }
        for cursor in self.saved.iter_mut().chain([&mut self.cursor]) {
            cursor.row = cursor.row.min(rows - 1);
            cursor.col = cursor.col.min(cols - 1);
            cursor.wrap = false;
        }
        self.top = 0;
        self.bottom = rows - 1;
    }

    /// Gives memory back that an idle screen does not need.
    pub fn compact(&mut self) {
        self.main.compact();
        if let Some(alt) = self.alt.as_mut() {
            alt.compact();
        }
    }

    fn page(&self) -> &Grid {
        self.alt.as_ref().unwrap_or(&self.main)
    }

    fn page_mut(&mut self) -> &mut Grid {
        self.alt.as_mut().unwrap_or(&mut self.main)
    }

    fn keep(&mut self, content: Row) {
        if self.keep_from.is_some_and(|from| self.base >= from) && self.kept_bytes < KEPT_MAX {
            self.kept_bytes += std::mem::size_of_val(content.cells());
            self.kept.push(Kept { row: self.base, content });
        }
    }

    /// Moves down, scrolling at the lower margin.
    pub fn line_feed(&mut self) {
        self.cursor.wrap = false;
        if self.cursor.row == self.bottom {
            self.scroll_up(1);
        } else if self.cursor.row + 1 < self.rows {
            self.cursor.row += 1;
        }
    }

    fn scroll_up(&mut self, count: usize) {
        let whole = self.alt.is_none() && self.top == 0 && self.bottom + 1 == self.rows;
        for _ in 0..count.min(self.bottom + 1 - self.top) {
            if whole {
                if self.keep_from.is_some() {
                    let row = self.main.row(0).cloned().unwrap_or_default();
                    self.keep(row);
                }
                self.base += 1;
            }
            let (top, bottom) = (self.top, self.bottom);
            self.page_mut().scroll_up(top, bottom);
        }
    }

    fn scroll_down(&mut self, count: usize) {
        let (top, bottom) = (self.top, self.bottom);
        for _ in 0..count.min(bottom + 1 - top) {
            self.page_mut().scroll_down(top, bottom);
        }
    }

    fn wrap_if_pending(&mut self) {
        if self.cursor.wrap {
            self.cursor.wrap = false;
            if self.modes.autowrap() {
                let row = self.cursor.row;
                if let Some(row) = self.page_mut().row_mut(row) {
                    row.wrapped = true;
                }
                self.line_feed();
                self.cursor.col = 0;
            }
        }
    }

    fn print_run(&mut self, mut run: &[u8]) {
        if let Some(last) = run.last() {
            self.last = char::from(*last);
        }
        while !run.is_empty() {
            self.wrap_if_pending();
            let (col, row, style, cols) = (self.cursor.col, self.cursor.row, self.style, self.cols);
            let fit = run.len().min(cols.saturating_sub(col)).max(1);
            let (now, later) = run.split_at_checked(fit).unwrap_or((run, &[]));
            if let Some(row) = self.page_mut().row_mut(row) {
                row.put_ascii(col, now, style);
            }
            self.cursor.col = col + fit;
            if self.cursor.col >= cols {
                self.cursor.col = cols - 1;
                self.cursor.wrap = true;
            }
            run = later;
        }
    }

    fn print_char(&mut self, c: char) {
        let width = char_width(c);
        let cols = self.cols;
        if width == 0 {
            let behind = if self.cursor.wrap { cols } else { self.cursor.col };
            let row = self.cursor.row;
            if let Some(row) = self.page_mut().row_mut(row) {
                let mut col = behind.saturating_sub(1);
                if row.cell(col).ch == Cell::TAIL {
                    col = col.saturating_sub(1);
                }
                if row.cell(col).ch != 0 {
                    row.mark(col, c);
                }
            }
            return;
        }
        self.last = c;
        self.wrap_if_pending();
        if width == 2 && self.cursor.col + 1 >= cols {
            if self.modes.autowrap() {
                self.cursor.wrap = true;
                self.wrap_if_pending();
            } else {
                self.cursor.col = cols - 2;
            }
        }
        let (col, row, style) = (self.cursor.col, self.cursor.row, self.style);
        let insert = self.modes.insert();
        if let Some(row) = self.page_mut().row_mut(row) {
            if insert {
                row.insert(col, width, cols, 0);
            }
            row.put(col, Cell { ch: c as u32, style });
            if width == 2 {
                row.put(col + 1, Cell { ch: 32, style });
                row.put_tail(col + 1, style);
            }
        }
        self.cursor.col = col + width;
        if self.cursor.col >= cols {
            self.cursor.col = cols - 1;
            self.cursor.wrap = true;
        }
    }

    /// Renumbers the current style after it changed.
    fn restyle(&mut self) {
        let style = self.cursor.style;
        self.style = self.style_number(style);
    }

    /// The style for erased cells: only the background colour counts (xterm's bce).
    fn blank_style(&mut self) -> u32 {
        match self.cursor.style.bg {
            Colour::Default => 0,
            bg => self.style_number(Style { bg, ..Style::default() }),
        }
    }

    fn style_number(&mut self, style: Style) -> u32 {
        if let Some(n) = self.styles.number(style) {
            return n;
        }
        // full: keep the ones that some cell still shows
        let old = std::mem::take(&mut self.styles);
        let mut fresh = Styles::default();
        for grid in [Some(&mut self.main), self.alt.as_mut()].into_iter().flatten() {
            for row in grid.rows_mut() {
                row.restyle(|n| fresh.number(old.get(n)).unwrap_or(0));
            }
        }
        if fresh.is_nearly_full() {
            // a page with that many colours is a picture; it loses them in the replay's jump points only
            for grid in [Some(&mut self.main), self.alt.as_mut()].into_iter().flatten() {
                grid.rows_mut().for_each(|row| row.restyle(|_| 0));
            }
            fresh.clear();
        }
        self.styles = fresh;
        self.styles.number(style).unwrap_or(0)
    }
}

/// A client that does not know its size says 0; programs then take 80×24.
fn within_bounds(cols: usize, rows: usize) -> (usize, usize) {
    let cols = if cols == 0 { 80 } else { cols };
    let rows = if rows == 0 { 24 } else { rows };
    (cols.clamp(2, COLS_MAX), rows.clamp(1, ROWS_MAX))
}
