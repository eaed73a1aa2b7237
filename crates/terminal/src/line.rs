//! The line being edited: where its prompt ends, and what stands behind it when it is handed over.

use crate::echo::squeeze;
use crate::keys::{Key, Kind};
use crate::prompt;
use crate::screen::{Pos, Screen};

/// Longest command text, in bytes.
pub const TEXT_MAX: usize = 128 * 1024;
/// Prompts remembered.
const PROMPTS_MAX: usize = 8;
/// Rows searched for the prompt.
const SEARCH_MAX: u64 = 3000;

/// A line being edited.
#[derive(Debug, Clone)]
pub struct Line {
    /// first cell behind the prompt
    pub start: Pos,
    /// the text left of it
    pub prompt: String,
    /// column where a right-hand prompt ended when the line was empty
    right: Option<usize>,
    /// the bytes typed, as long as nothing but characters, pastes and simple erasing came
    typed: Option<String>,
    /// line ends typed, and line ends pasted
    ends: (usize, usize),
    /// a line editor (bracketed paste, OSC 133) said that it reads a line
    pub editor: bool,
}

impl Line {
    /// A line that begins at a place.
    pub fn at(screen: &Screen, start: Pos, editor: bool) -> Self {
        let row = screen.row(start.row);
        let prompt = row.map(|r| r.text(0, start.col)).unwrap_or_default();
        let missing = start.col.saturating_sub(row.map_or(0, |r| r.cells().len()));
        let prompt = prompt + &" ".repeat(missing);
        let right = row.map(|r| r.visible_end()).filter(|end| *end > start.col);
        Self { start, prompt, right, typed: Some(String::new()), ends: (0, 0), editor }
    }

    /// Follows a key.
    pub fn key(&mut self, key: &Key) {
        match key.kind {
            Kind::Enter => self.ends.0 += 1,
            Kind::Pasted => self.ends.1 += key.bytes.iter().filter(|b| matches!(b, b'\r' | b'\n')).count(),
            _ => {}
        }
        let Some(typed) = self.typed.as_mut() else { return };
        match key.kind {
            Kind::Text => typed.push_str(&String::from_utf8_lossy(&key.bytes)),
            Kind::Pasted => {
                typed.push_str(&String::from_utf8_lossy(&key.bytes).replace("\r\n", "\n").replace('\r', "\n"));
            }
            Kind::Enter => typed.push('\n'),
            Kind::Erase => _ = typed.pop(),
            Kind::PasteMark | Kind::Report => {}
            Kind::KillLine if !typed.contains('\n') => typed.clear(),
            Kind::Interrupt | Kind::KillLine | Kind::Edit => self.typed = None,
        }
        if self.typed.as_ref().is_some_and(|t| t.len() > TEXT_MAX) {
            self.typed = None;
        }
    }

    /// How many of the typed line ends are part of this text or end it (fish edits a block as one line).
    pub fn ended_by(&self, text: &str) -> usize {
        (1 + text.matches('\n').count().saturating_sub(self.ends.1)).min(self.ends.0.max(1))
    }

    /// The first line typed, without its end.
    pub fn typed_first(&self) -> Option<&str> {
        self.typed().and_then(|t| t.split('\n').next())
    }

    /// Does its prompt still stand where it stood?
    pub fn stands(&self, screen: &Screen) -> bool {
        let left = screen.row(self.start.row).map(|r| padded(r.text(0, self.start.col), self.start.col));
        left.is_some_and(|left| left == self.prompt)
    }

    /// Was Return pressed in it?
    pub fn is_ended(&self) -> bool {
        self.ends.0 > 0
    }

    /// What was typed, if nothing but plain typing happened.
    pub fn typed(&self) -> Option<&str> {
        self.typed.as_deref()
    }
}

/// Prompts seen before which commands were run.
#[derive(Debug, Clone, Default)]
pub struct Prompts {
    known: Vec<(String, usize)>,
}

impl Prompts {
    /// Remembers a prompt.
    pub fn learn(&mut self, line: &Line) {
        if line.prompt.trim().is_empty() || self.known.first().is_some_and(|k| k.0 == line.prompt) {
            return;
        }
        self.known.retain(|k| k.0 != line.prompt);
        self.known.insert(0, (line.prompt.clone(), line.start.col));
        self.known.truncate(PROMPTS_MAX);
    }

    /// Was exactly this prompt seen before?
    pub fn knows(&self, prompt: &str) -> bool {
        self.known.iter().any(|k| k.0 == prompt)
    }

    /// The part of the text left of the cursor that is a known prompt: output without a line feed may stand before it.
    pub fn shortest<'a>(&self, left: &'a str) -> Option<&'a str> {
        let known = self.known.iter().map(|k| k.0.as_str()).filter(|k| k.trim().chars().count() > 1);
        let len = known.filter(|k| left.ends_with(k)).map(str::len).min();
        len.and_then(|len| left.get(left.len() - len..))
    }

    /// Is nothing known yet?
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The place behind a known prompt at the beginning of a row.
    pub fn on_row(&self, screen: &Screen, row: u64) -> Option<Pos> {
        let content = screen.row(row)?;
        if row > screen.first_row() && screen.runs_on(row - 1) {
            return None;
        }
        self.known
            .iter()
            .find(|(text, col)| content.end() >= text.trim_end().len().min(*col) && padded(content.text(0, *col), *col) == *text)
            .map(|(_, col)| Pos { row, col: *col })
    }
}

fn padded(mut text: String, col: usize) -> String {
    let width = crate::text::width(&text);
    text.extend(std::iter::repeat_n(' ', col.saturating_sub(width)));
    text
}

/// Reads the line whose last row is `end`: its text as the person saw it when it was handed over.
pub fn read(screen: &Screen, line: &Line, prompts: &Prompts, end: u64) -> (Pos, String) {
    let start = find_start(screen, line, prompts, end);
    let mut seen = collect(screen, line, start, end);
    if let Some(typed) = &line.typed {
        // what was typed knows blanks, tabs and rows that scrolled off better than the screen, if they agree
        let on_screen = squeeze(&seen);
        let mut best = None;
        for upto in typed.match_indices('\n').map(|(n, _)| n).chain([typed.len()]) {
            let part = typed.get(..upto).unwrap_or(typed);
            if squeeze(part) == on_screen && !on_screen.is_empty() {
                best = Some(part.trim_end().to_owned());
            }
        }
        let scrolled = start.row < screen.first_row();
        if best.is_none() && scrolled {
            let begin: String = squeeze(typed).chars().take(24).collect();
            if begin.len() >= 8 && on_screen.starts_with(&begin) {
                best = Some(typed.trim_end().to_owned());
            }
        }
        if let Some(best) = best {
            seen = best;
        }
    }
    let mut cut = seen.len().min(TEXT_MAX);
    while !seen.is_char_boundary(cut) {
        cut -= 1;
    }
    seen.truncate(cut);
    (start, seen)
}

/// Reads a line of which no beginning is known (typed ahead of its prompt).
pub fn locate(screen: &Screen, prompts: &Prompts, ahead: Option<&str>, end: u64) -> Option<Line> {
    let first = screen.first_row().max(end.saturating_sub(50));
    for row in (first..=end).rev() {
        if let Some(start) = prompts.on_row(screen, row) {
            return Some(Line { typed: None, ..Line::at(screen, start, true) });
        }
    }
    let mut row = end;
    while row > first && screen.runs_on(row - 1) {
        row -= 1;
    }
    let content = screen.row(row)?;
    let text = content.text(0, usize::MAX);
    if let Some(ahead) = ahead.filter(|a| !a.trim().is_empty() && row == end)
        && let Some(left) = text.trim_end().strip_suffix(ahead.trim_end())
    {
        let col = crate::text::width(left);
        return Some(Line { typed: None, ..Line::at(screen, Pos { row, col }, true) });
    }
    let at = prompt::guess_end(&text)?;
    let col = crate::text::width(text.get(..at)?);
    Some(Line { typed: None, ..Line::at(screen, Pos { row, col }, true) })
}

/// The prompt may have moved since the line began (a cleared screen, a list of completions, a redraw): the lowest
/// row that begins with it counts.
fn find_start(screen: &Screen, line: &Line, prompts: &Prompts, end: u64) -> Pos {
    let col = line.start.col;
    if line.prompt.trim().is_empty() {
        return line.start;
    }
    let lowest = if line.start.row <= end { line.start.row.min(screen.first_row()) } else { screen.first_row() };
    let lowest = lowest.max(end.saturating_sub(SEARCH_MAX));
    let rows = || (lowest..=end).rev().filter(|row| *row == 0 || *row <= lowest || !screen.runs_on(*row - 1));
    let left = |row: u64| screen.row(row).map(|r| padded(r.text(0, col), col)).unwrap_or_default();
    // pasted text may contain the prompt itself: prefer the place where the typed text follows
    if left(line.start.row) == line.prompt
        && let Some(typed) = line.typed()
    {
        let here = squeeze(&collect(screen, line, line.start, end));
        if !here.is_empty() && squeeze(typed).starts_with(&here) {
            return line.start;
        }
    }
    let wanted: Vec<char> = line.prompt.chars().collect();
    let similar = |row: u64| {
        let here: Vec<char> = left(row).chars().collect();
        let same = here.iter().zip(&wanted).filter(|(a, b)| a == b).count();
        here.len() == wanted.len() && same * 2 >= wanted.len() && here.iter().rev().take(2).eq(wanted.iter().rev().take(2))
    };
    // at or below the place where it stood, then anywhere (a cleared screen)
    let below = rows().take_while(|row| *row >= line.start.row).find(|row| left(*row) == line.prompt || similar(*row));
    if let Some(row) = below {
        return Pos { row, col };
    }
    if line.start.row <= end {
        for row in rows().take_while(|row| *row + 3 >= line.start.row).take(60) {
            let text = screen.row(row).map(|r| r.text(0, usize::MAX)).unwrap_or_default();
            if let Some(at) = prompt::guess_end(&text) {
                return Pos { row, col: crate::text::width(text.get(..at).unwrap_or("")) };
            }
        }
    }
    if let Some(row) = rows().find(|row| left(*row) == line.prompt || similar(*row)) {
        return Pos { row, col };
    }
    for row in rows().take(60) {
        if let Some(start) = prompts.on_row(screen, row) {
            return start;
        }
    }
    for row in rows().take(8) {
        let text = screen.row(row).map(|r| r.text(0, usize::MAX)).unwrap_or_default();
        if let Some(at) = prompt::guess_end(&text) {
            return Pos { row, col: crate::text::width(text.get(..at).unwrap_or("")) };
        }
    }
    line.start
}

fn collect(screen: &Screen, line: &Line, start: Pos, end: u64) -> String {
    let mut out = String::new();
    for n in start.row..=end {
        let Some(row) = screen.row(n) else { continue };
        let joined = n < end && screen.runs_on(n);
        let mut from = 0;
        let mut to = row.end();
        if n == start.row {
            from = start.col;
            to = without_right_prompt(line, row, start, to);
        } else if line.editor && start.col > 0 && !(n > 0 && screen.runs_on(n - 1)) {
            // fish steps over its indentation instead of writing it
            let stepped = row.cells().iter().take_while(|c| c.ch == 0).count();
            if stepped >= start.col {
                from = stepped;
            }
        }
        let text = row.text(from, to);
        if joined {
            out.push_str(&text);
        } else {
            out.push_str(text.trim_end());
            out.push('\n');
        }
        if out.len() > TEXT_MAX {
            break;
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Where the text of the first row ends when a right-hand prompt stands behind it: at the first gap that nobody
/// wrote, if what follows ends where the right-hand prompt did.
fn without_right_prompt(line: &Line, row: &crate::grid::Row, start: Pos, end: usize) -> usize {
    let Some(right) = line.right else { return end };
    if row.visible_end() != right {
        return end;
    }
    let gap = (start.col..end).find(|col| row.cell(*col).ch == 0);
    gap.unwrap_or(end)
}
