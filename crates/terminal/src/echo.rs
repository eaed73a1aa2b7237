//! Input for the recording, with what the screen never showed taken out.
//!
//! INVARIANT: printable input leaves this module only after the screen showed it where it was typed, or in the line
//! that was handed over. Everything else becomes [`MASK`], whose length says nothing.

use crate::keys::{Key, Kind};
use crate::screen::{Pos, Screen};
use std::collections::VecDeque;

/// Stands for any amount of input that was not shown.
pub const MASK: &[u8] = b"********";
/// How long input waits for its echo.
const WAIT_US: u64 = 1_000_000;
/// The same while the target has not sent anything since, so that the line is merely slow.
const WAIT_SLOW_US: u64 = 2_000_000;
/// Most input held; beyond it the oldest is masked.
const HELD_MAX: usize = 256 * 1024;

/// Input ready for the recording.
pub type Shown = (u64, Vec<u8>);

#[derive(Debug, Clone)]
struct Held {
    at: u64,
    kind: Kind,
    bytes: Vec<u8>,
}

impl Held {
    fn is_printable(&self) -> bool {
        matches!(self.kind, Kind::Text | Kind::Pasted)
    }
}

/// Where the first held character was typed.
#[derive(Debug, Clone, Copy)]
struct Start {
    pos: Pos,
    /// nothing that may move the cursor was under way
    exact: bool,
}

/// Holds input until the screen has answered.
#[derive(Debug, Clone, Default)]
pub struct Echo {
    held: VecDeque<Held>,
    held_bytes: usize,
    start: Option<Start>,
    /// a mask was already given out for this line
    masked: bool,
    /// an editing key was let through since the last output
    moving: bool,
    last_output: u64,
    ready: Vec<Shown>,
}

/// What is known of a line that was ended.
#[derive(Debug, Clone, Copy)]
pub struct Judgement<'a> {
    /// the text on the screen behind the prompt
    pub text: &'a str,
    /// how many typed line ends it took
    pub ends: usize,
}

impl Echo {
    /// Takes what may be recorded now.
    pub fn take(&mut self) -> Vec<Shown> {
        std::mem::take(&mut self.ready)
    }

    /// Is input waiting for its echo?
    pub fn waits(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes one key.
    pub fn key(&mut self, at: u64, key: &Key, screen: &Screen) {
        if self.held.is_empty() {
            if matches!(key.kind, Kind::Report | Kind::PasteMark | Kind::Edit | Kind::Erase | Kind::KillLine) {
                self.moving |= key.kind != Kind::Report;
                return self.ready.push((at, key.bytes.clone()));
            }
            self.start = Some(Start { pos: screen.cursor(), exact: !self.moving });
        }
        self.held_bytes += key.bytes.len();
        self.held.push_back(Held { at, kind: key.kind, bytes: key.bytes.clone() });
        while self.held_bytes > HELD_MAX {
            self.mask_first();
        }
    }

    /// Looks whether the screen shows what was typed. Called when output has been shown.
    pub fn prove(&mut self, at: u64, screen: &Screen, editing: bool) {
        self.last_output = at;
        if self.held.is_empty() {
            self.moving = false;
            return;
        }
        while self.prove_run(screen, editing) {}
    }

    /// A line feed answered Return where no line is known (typed ahead): was the first held line shown?
    pub fn line_feed(&mut self, screen: &Screen) {
        while self.prove_run(screen, false) {}
        if self.held.front().is_some_and(|h| h.kind == Kind::Enter) {
            self.release_first();
            self.next_line(screen);
        }
    }

    /// The first held line was ended and this is what became of it.
    pub fn judge(&mut self, seen: Judgement<'_>, screen: &Screen) {
        let mut ends = self.held.iter().enumerate().filter(|(_, h)| matches!(h.kind, Kind::Enter | Kind::Interrupt));
        let count = ends.nth(seen.ends.saturating_sub(1)).map_or(self.held.len(), |(n, _)| n + 1);
        let text = squeeze(seen.text);
        let hidden = text.is_empty() || crate::prompt::is_bullets(seen.text);
        let until = self.held.len() - count;
        while self.held.len() > until {
            // a whole run counts: single characters of a secret may well stand in other text
            let run = squeeze(&self.first_run());
            let shown = !hidden && !self.masked && text.contains(&run);
            match self.held.front() {
                None => break,
                Some(first) if !first.is_printable() => self.release_first(),
                Some(_) if shown => self.release_run(),
                Some(_) => self.mask_run(),
            }
        }
        self.masked = false;
        self.next_line(screen);
    }

    /// Lets go of what has waited long enough. `visible` says whether a text stands in the line being edited.
    pub fn tick(&mut self, at: u64, screen: &Screen, visible: impl Fn(&str) -> bool) {
        while let Some(first) = self.held.front() {
            let wait = if self.last_output < first.at { WAIT_SLOW_US } else { WAIT_US };
            if at.saturating_sub(first.at) < wait {
                return;
            }
            if !first.is_printable() {
                let end = matches!(first.kind, Kind::Enter | Kind::Interrupt);
                self.release_first();
                if end {
                    self.masked = false;
                }
            } else if visible(&self.first_run()) {
                self.release_run();
            } else {
                self.mask_run();
            }
            self.start = Some(Start { pos: screen.cursor(), exact: false });
        }
    }

    /// The end of the session: nothing more will be shown.
    pub fn finish(&mut self) {
        while let Some(first) = self.held.front() {
            if first.is_printable() { self.mask_first() } else { self.release_first() }
        }
    }

    /// The person begins a line at a prompt that stands still: what is still held was never shown.
    pub fn give_up(&mut self, screen: &Screen) {
        self.finish();
        self.masked = false;
        self.next_line(screen);
    }

    fn next_line(&mut self, screen: &Screen) {
        self.start = Some(Start { pos: screen.cursor(), exact: false });
    }

    /// The printable input at the front, as one text.
    fn first_run(&self) -> String {
        let run = self.held.iter().take_while(|h| h.is_printable());
        String::from_utf8_lossy(&run.flat_map(|h| h.bytes.iter().copied()).collect::<Vec<u8>>()).into_owned()
    }

    fn release_run(&mut self) {
        while self.held.front().is_some_and(Held::is_printable) {
            self.release_first();
        }
    }

    fn mask_run(&mut self) {
        while self.held.front().is_some_and(Held::is_printable) {
            self.mask_first();
        }
    }

    /// Proves as much of the first run as the screen shows; true when more may follow.
    fn prove_run(&mut self, screen: &Screen, editing: bool) -> bool {
        let Some(first) = self.held.front() else { return false };
        if matches!(first.kind, Kind::Enter | Kind::Interrupt) {
            return false;
        }
        if !first.is_printable() {
            self.release_first();
            self.start = Some(Start { pos: screen.cursor(), exact: false });
            return true;
        }
        let Some(start) = self.start else { return false };
        let cursor = screen.cursor();
        if cursor == start.pos {
            return false;
        }
        let run = self.first_run();
        let between = text_between(screen, start.pos, cursor);
        let pasted = first.kind == Kind::Pasted;
        let whole = if pasted { !squeeze(&run).is_empty() && squeeze(&between) == squeeze(&run) } else { between == run };
        if whole {
            self.release_run();
        } else if start.exact && !between.is_empty() && run.starts_with(&between) {
            self.release_prefix(between.len());
            self.start = Some(Start { pos: cursor, exact: true });
            return false;
        } else if !start.exact && cursor > start.pos && (editing || run.chars().count() > 2) && left_ends_with(screen, cursor, &run) {
            self.release_run();
        } else {
            return false;
        }
        self.start = Some(Start { pos: cursor, exact: true });
        true
    }

    fn release_prefix(&mut self, mut count: usize) {
        while let Some(first) = self.held.front_mut() {
            if first.bytes.len() <= count {
                count -= first.bytes.len();
                self.release_first();
                continue;
            }
            if count > 0 {
                let rest = first.bytes.split_off(count);
                let shown = std::mem::replace(&mut first.bytes, rest);
                self.held_bytes -= count;
                self.ready.push((first.at, shown));
            }
            return;
        }
    }

    fn release_first(&mut self) {
        if let Some(first) = self.held.pop_front() {
            self.held_bytes -= first.bytes.len();
            self.moving |= first.kind == Kind::Edit;
            self.ready.push((first.at, first.bytes));
        }
        self.shrink();
    }

    fn mask_first(&mut self) {
        if let Some(first) = self.held.pop_front() {
            self.held_bytes -= first.bytes.len();
            if !std::mem::replace(&mut self.masked, true) {
                self.ready.push((first.at, MASK.to_vec()));
            }
        }
        self.shrink();
    }

    fn shrink(&mut self) {
        if self.held.is_empty() {
            self.held = VecDeque::new();
        }
    }
}

/// Text without any blanks or line ends.
pub fn squeeze(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// What stands between two places, rows joined, line ends where a row does not run on.
fn text_between(screen: &Screen, from: Pos, to: Pos) -> String {
    let mut out = String::new();
    if to <= from || to.row - from.row > 2000 {
        return out;
    }
    for n in from.row..=to.row {
        let Some(row) = screen.row(n) else { return String::new() };
        let start = if n == from.row { from.col } else { 0 };
        let end = if n == to.row { to.col } else { usize::MAX };
        let text = row.text(start, end);
        out.push_str(&text);
        if n == to.row {
            // blanks that were stepped over count as blanks
            let missing = to.col.saturating_sub(start.max(row.cells().len()));
            out.extend(std::iter::repeat_n(' ', missing));
        }
    }
    out
}

/// Does the text left of the cursor end like this?
fn left_ends_with(screen: &Screen, cursor: Pos, run: &str) -> bool {
    let mut left = String::new();
    let mut row = cursor.row;
    while let Some(content) = screen.row(row) {
        let end = if row == cursor.row { cursor.col } else { usize::MAX };
        left.insert_str(0, &content.text(0, end));
        if left.len() >= run.len() || row == 0 || !screen.runs_on(row - 1) {
            break;
        }
        row -= 1;
    }
    left.ends_with(run)
}
