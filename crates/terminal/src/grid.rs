//! Rows of cells: one visible page, without any history. A row only owns memory up to its last written cell.

use std::collections::VecDeque;
use unicode_width::UnicodeWidthChar;

/// Combining marks kept per row; more are dropped, as nobody can read them.
const MARKS_MAX: usize = 64;

/// One cell of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cell {
    /// the character; 0: never written since the last erase; [`Cell::TAIL`]: right half of a wide one
    pub ch: u32,
    /// number of its style
    pub style: u32,
}

impl Cell {
    /// The right half of a wide character.
    pub const TAIL: u32 = u32::MAX;

    /// What a reader sees in it.
    pub fn char(self) -> Option<char> {
        match self.ch {
            0 => Some(' '),
            Self::TAIL => None,
            ch => char::from_u32(ch),
        }
    }
}

/// One row of the page.
#[derive(Debug, Clone, Default)]
pub struct Row {
    cells: Vec<Cell>,
    // boxed, as nearly no row has any
    #[allow(clippy::box_collection)]
    marks: Option<Box<Vec<(u16, char)>>>,
    /// text ran over the right edge into the next row
    pub wrapped: bool,
}

impl Row {
    /// The written part.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The cell in a column.
    pub fn cell(&self, col: usize) -> Cell {
        self.cells.get(col).copied().unwrap_or_default()
    }

    /// Columns up to the last one written.
    pub fn end(&self) -> usize {
        self.cells.iter().rposition(|c| c.ch != 0).map_or(0, |n| n + 1)
    }

    /// Columns up to the last one that shows something.
    pub fn visible_end(&self) -> usize {
        self.cells.iter().rposition(|c| c.ch != 0 && c.ch != 32).map_or(0, |n| n + 1)
    }

    /// Was everything from the first written cell on written?
    pub fn is_solid(&self) -> bool {
        self.cells.iter().skip_while(|c| c.ch == 0).all(|c| c.ch != 0)
    }

    /// The text of columns `from..to`, blanks as spaces, with combining marks.
    pub fn text(&self, from: usize, to: usize) -> String {
        let mut out = String::new();
        for (col, cell) in self.cells.iter().enumerate().take(to).skip(from) {
            if let Some(c) = cell.char() {
                out.push(c);
            }
            for (_, mark) in self.marks.iter().flat_map(|m| m.iter()).filter(|(at, _)| usize::from(*at) == col) {
                out.push(*mark);
            }
        }
        out
    }

    /// The combining marks on a column.
    pub fn marks(&self, col: usize) -> impl Iterator<Item = char> + '_ {
        self.marks.iter().flat_map(|m| m.iter()).filter(move |(at, _)| usize::from(*at) == col).map(|(_, c)| *c)
    }

    /// Empties the row but keeps its memory.
    pub fn clear(&mut self) {
        self.cells.clear();
        self.marks = None;
        self.wrapped = false;
    }

    /// Writes one cell, splitting wide characters that it half covers.
    pub fn put(&mut self, col: usize, cell: Cell) {
        self.split_at(col);
        self.split_at(col + 1);
        if self.cells.len() <= col {
            self.cells.resize(col + 1, Cell::default());
        }
        if let Some(slot) = self.cells.get_mut(col) {
            *slot = cell;
        }
        if self.marks.is_some() {
            self.drop_marks(col, col + 1);
        }
    }

    /// Makes the cell behind a wide character its right half.
    pub fn put_tail(&mut self, col: usize, style: u32) {
        if let Some(slot) = self.cells.get_mut(col) {
            *slot = Cell { ch: Cell::TAIL, style };
        }
    }

    /// Writes a run of ASCII.
    pub fn put_ascii(&mut self, col: usize, run: &[u8], style: u32) {
        let end = col + run.len();
        self.split_at(col);
        self.split_at(end);
        let cell = |b: &u8| Cell { ch: u32::from(*b), style };
        if self.cells.len() < col {
            self.cells.resize(col, Cell::default());
        }
        let over = self.cells.len().saturating_sub(col).min(run.len());
        let (inside, beyond) = run.split_at_checked(over).unwrap_or((run, &[]));
        if let Some(slots) = self.cells.get_mut(col..col + over) {
            for (slot, b) in slots.iter_mut().zip(inside) {
                *slot = cell(b);
            }
        }
        self.cells.extend(beyond.iter().map(cell));
        if self.marks.is_some() {
            self.drop_marks(col, end);
        }
    }

    /// Adds a combining mark to a column.
    pub fn mark(&mut self, col: usize, c: char) {
        let marks = self.marks.get_or_insert_default();
        if marks.len() < MARKS_MAX {
            marks.push((col.min(usize::from(u16::MAX)) as u16, c));
        }
    }

    /// Erases columns; with the default style nothing is stored for them.
    pub fn erase(&mut self, from: usize, to: usize, style: u32) {
        self.split_at(from);
        self.split_at(to);
        if style == 0 && to >= self.cells.len() {
            self.cells.truncate(from);
        } else {
            if style != 0 && self.cells.len() < to {
                self.cells.resize(to, Cell::default());
            }
            let to = to.min(self.cells.len());
            if let Some(slots) = self.cells.get_mut(from.min(to)..to) {
                slots.fill(Cell { ch: 0, style });
            }
        }
        if self.marks.is_some() {
            self.drop_marks(from, to);
        }
    }

    /// Inserts blank columns, pushing the rest over the right edge.
    pub fn insert(&mut self, col: usize, count: usize, cols: usize, style: u32) {
        self.split_at(col);
        if col < self.cells.len() {
            let count = count.min(cols.saturating_sub(col));
            let blank = std::iter::repeat_n(Cell { ch: 0, style }, count);
            self.cells.splice(col..col, blank);
            self.limit(cols);
            self.marks = None;
        }
    }

    /// Deletes columns, pulling the rest to the left.
    pub fn delete(&mut self, col: usize, count: usize) {
        self.split_at(col);
        self.split_at(col.saturating_add(count));
        let end = col.saturating_add(count).min(self.cells.len());
        if col < end {
            self.cells.drain(col..end);
            self.marks = None;
        }
    }

    /// Cuts the row to a width.
    pub fn limit(&mut self, cols: usize) {
        self.split_at(cols);
        self.cells.truncate(cols);
    }

    /// A wide character across the border before `col` becomes blank.
    fn split_at(&mut self, col: usize) {
        if self.cells.get(col).is_some_and(|c| c.ch == Cell::TAIL) {
            if let Some(slot) = self.cells.get_mut(col) {
                slot.ch = 32;
            }
            if let Some(slot) = col.checked_sub(1).and_then(|c| self.cells.get_mut(c)) {
                slot.ch = 32;
            }
        }
    }

    fn drop_marks(&mut self, from: usize, to: usize) {
        if let Some(marks) = self.marks.as_mut() {
            marks.retain(|(at, _)| !(from..to).contains(&usize::from(*at)));
            if marks.is_empty() {
                self.marks = None;
            }
        }
    }

    /// Renumbers styles.
    pub fn restyle(&mut self, mut number: impl FnMut(u32) -> u32) {
        for cell in self.cells.iter_mut().filter(|c| c.style != 0) {
            cell.style = number(cell.style);
        }
    }
}

/// A page of rows.
#[derive(Debug, Clone)]
pub struct Grid {
    rows: VecDeque<Row>,
}

impl Grid {
    /// An empty page.
    pub fn new(rows: usize) -> Self {
        Self { rows: (0..rows).map(|_| Row::default()).collect() }
    }

    /// A row; an empty one outside the page.
    pub fn row(&self, n: usize) -> Option<&Row> {
        self.rows.get(n)
    }

    /// A row to change.
    pub fn row_mut(&mut self, n: usize) -> Option<&mut Row> {
        self.rows.get_mut(n)
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }

    /// All rows to change.
    pub fn rows_mut(&mut self) -> impl Iterator<Item = &mut Row> {
        self.rows.iter_mut()
    }

    /// Moves rows `top..=bottom` up by one; the freed row at the bottom is blank.
    pub fn scroll_up(&mut self, top: usize, bottom: usize) {
        if top == 0 && bottom + 1 == self.rows.len() {
            if let Some(mut row) = self.rows.pop_front() {
                row.clear();
                self.rows.push_back(row);
            }
        } else if let Some(mut row) = self.rows.remove(top) {
            row.clear();
            self.rows.insert(bottom.min(self.rows.len()), row);
        }
    }

    /// Moves rows `top..=bottom` down by one; the freed row at the top is blank.
    pub fn scroll_down(&mut self, top: usize, bottom: usize) {
        if let Some(mut row) = self.rows.remove(bottom) {
            row.clear();
            self.rows.insert(top.min(self.rows.len()), row);
        }
    }

    /// Takes the first row off the page (when the page gets lower).
    pub fn pop_front(&mut self) -> Option<Row> {
        self.rows.pop_front()
    }

    /// Sets the number of rows at the bottom.
    pub fn set_height(&mut self, rows: usize) {
        self.rows.resize_with(rows, Row::default);
    }

    /// Gives memory back that is not needed now.
    pub fn compact(&mut self) {
        for row in &mut self.rows {
            row.cells.shrink_to_fit();
        }
    }
}

/// Columns that a character takes on a terminal: 0, 1 or 2.
pub fn char_width(c: char) -> usize {
    c.width().unwrap_or(0)
}
