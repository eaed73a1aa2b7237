//! Puts screen, keys, echo and lines together: follows one terminal and tells what was typed and run.
//!
//! How a command is recognised. The first key after a prompt fixes the place where the prompt ends. When the
//! line is handed over — the line editor switches bracketed paste off, or the terminal answers Return with a line
//! feed — the rows from there on are read. Continuation lines join the command before them. The command ends
//! when the next prompt comes. Keys only open the door: without a Return typed by the person nothing counts.

mod commands;
mod lines;

use crate::capture::Capture;
use crate::echo::Echo;
use crate::keys::{Key, Keys, Kind};
use crate::line::{Line, Prompts};
use crate::prompt;
use crate::screen::{Event, Screen};
use std::collections::VecDeque;

/// Line ends waited for; more were certainly not all meant for one shell.
const GESTURES_MAX: usize = 256;
/// Input typed this long after all output was typed by somebody who saw the screen at rest.
const REST_US: u64 = 80_000;
/// A command that was handed over this long ago is announced even if the prompt for its next line may come.
const ANNOUNCE_US: u64 = 900_000;
/// Idle time after which spare memory is given back.
const COMPACT_US: u64 = 3_000_000;

/// What happened, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tracked {
    /// Input for the recording; what the screen never showed is replaced by eight asterisks.
    Input {
        /// when it came, in microseconds of the caller's clock
        at_us: u64,
        /// the bytes
        bytes: Vec<u8>,
    },
    /// A command was handed to the shell.
    CommandStarted {
        /// when
        at_us: u64,
        /// its text, lines joined by `\n`
        text: String,
    },
    /// A command ended: the next prompt came, or the session ended.
    Command {
        /// when it was handed over
        at_us: u64,
        /// its text, lines joined by `\n`
        text: String,
        /// what it printed, cleaned, at most 100 KiB
        output: String,
        /// the output was longer
        truncated: bool,
        /// from Return to the next prompt; `None` when the end was not seen
        duration_us: Option<u64>,
    },
}

/// A key that ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gesture {
    interrupt: bool,
    /// a line feed already answered it, though no command was recognised
    answered: bool,
}

/// A command that runs.
#[derive(Debug, Clone)]
struct Running {
    at: u64,
    /// when its last line was handed over
    handed: u64,
    text: String,
    /// the prompt of its first line
    prompt: String,
    /// the command before it
    before: String,
    announced: bool,
    /// the next line of it is being edited
    continued: bool,
    /// the prompt that ended it is not part of what was captured
    prompt_outside: bool,
    ended: Option<u64>,
    capture: Capture,
    /// taken inside a terminal multiplexer, whose output is not the command's
    inside: bool,
}

/// Follows one terminal.
#[derive(Debug, Clone)]
pub struct Tracker {
    screen: Screen,
    keys: Keys,
    echo: Echo,
    events: VecDeque<Tracked>,
    line: Option<Line>,
    prompts: Prompts,
    gestures: VecDeque<Gesture>,
    /// a line editor reads a line (main screen, bracketed paste on)
    editing: bool,
    /// the line's text just before the last line feed, and where the cursor went
    snapshot: Option<(crate::screen::Pos, String)>,
    /// the line feed that follows belongs to the line that was just handed over
    owed_line_feed: bool,
    /// keys came before the prompt they were meant for
    ahead: Option<String>,
    /// … and the terminal itself echoed them
    ahead_shown: bool,
    /// the alternate screen belongs to tmux or screen
    multiplexer: bool,
    running: Option<Running>,
    /// what the running program asked for last, in a way that does not look like a prompt
    asked: String,
    /// the prompt of a line whose editor was left by a key other than Return
    widget: Option<String>,
    /// text of the last command, for recognising what opened the alternate screen
    last_text: String,
    last_output: u64,
    last_input: u64,
    compacted: bool,
}

impl Tracker {
    /// A tracker for a terminal of this size.
    pub fn new(cols: u16, rows: u16) -> Self {
        Self {
            screen: Screen::new(usize::from(cols), usize::from(rows)),
            keys: Keys::default(),
            echo: Echo::default(),
            events: VecDeque::new(),
            line: None,
            prompts: Prompts::default(),
            gestures: VecDeque::new(),
            editing: false,
            snapshot: None,
            owed_line_feed: false,
            ahead: None,
            ahead_shown: false,
            multiplexer: false,
            running: None,
            asked: String::new(),
            widget: None,
            last_text: String::new(),
            last_output: 0,
            last_input: 0,
            compacted: false,
        }
    }

    /// Takes what the target sent to the person, in order.
    pub fn output(&mut self, at_us: u64, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let watch = self.owed_line_feed || self.gestures.iter().any(|g| !g.answered);
            self.screen.watch_line_feeds(watch);
            let used = self.screen.feed(rest);
            let (now, later) = rest.split_at_checked(used.max(1)).unwrap_or((rest, &[]));
            if let Some(running) = self.running.as_mut().filter(|_| !self.screen.alternate()) {
                running.capture.push(now);
            }
            rest = later;
            for event in self.screen.take_events() {
                self.event(at_us, event);
            }
        }
        self.last_output = at_us;
        self.compacted = false;
        self.echo.prove(at_us, &self.screen, self.editing);
        self.after_output(at_us);
        self.collect_input();
    }

    /// Takes what the person typed, in order, before the target has answered it.
    pub fn input(&mut self, at_us: u64, bytes: &[u8]) {
        for key in self.keys.push(bytes) {
            self.key(at_us, &key);
        }
        self.last_input = at_us;
        self.compacted = false;
        self.collect_input();
    }

    /// The terminal's size changed.
    pub fn resize(&mut self, cols: u16, rows: u16) {
        self.screen.resize(usize::from(cols), usize::from(rows));
    }

    /// Called about once a second: lets go of what has waited too long.
    pub fn tick(&mut self, at_us: u64) {
        if at_us.saturating_sub(self.last_input) > 500_000
            && let Some(key) = self.keys.flush()
        {
            self.key(at_us, &key);
        }
        let visible = self.visible_text();
        self.echo.tick(at_us, &self.screen, |run| {
            let run = crate::echo::squeeze(run);
            !run.is_empty() && !prompt::is_bullets(&visible) && crate::echo::squeeze(&visible).contains(&run)
        });
        self.rest(at_us);
        if !self.compacted && at_us.saturating_sub(self.last_output.max(self.last_input)) > COMPACT_US {
            self.compacted = true;
            self.screen.compact();
            self.events.shrink_to_fit();
            self.gestures.shrink_to_fit();
        }
        self.collect_input();
    }

    /// Is something held back that only time will settle? While so, call [`Self::tick`]; else the terminal rests and
    /// needs no wake-ups.
    pub fn pending(&self) -> bool {
        !self.compacted || self.echo.waits()
    }

    /// The session ended.
    pub fn finish(&mut self, at_us: u64) {
        if let Some(key) = self.keys.flush() {
            self.key(at_us, &key);
        }
        self.echo.finish();
        self.collect_input();
        self.close(None);
    }

    /// The events so far, in order.
    pub fn drain(&mut self) -> impl Iterator<Item = Tracked> + use<> {
        std::mem::take(&mut self.events).into_iter()
    }

    /// Bytes that redraw everything on a freshly reset terminal of the same size.
    pub fn keyframe(&self) -> Vec<u8> {
        self.screen.keyframe()
    }

    /// The visible page as text.
    pub fn screen_text(&self) -> String {
        self.screen.text()
    }

    /// Is a full-screen program shown?
    pub fn alternate_screen(&self) -> bool {
        self.screen.alternate()
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        let (cols, rows) = self.screen.size();
        (cols.min(usize::from(u16::MAX)) as u16, rows.min(usize::from(u16::MAX)) as u16)
    }

    /// Is the person at a prompt where a line would be run?
    pub fn at_prompt(&self) -> bool {
        if self.screen.alternate() && !self.multiplexer {
            return false;
        }
        self.editing || self.prompt_ok(&self.left_of_cursor())
    }

    /// The line as it stands on the screen now, while one is being edited.
    pub fn current_line(&self) -> Option<String> {
        let line = self.line.as_ref()?;
        let end = self.last_row_of_line();
        let text = crate::line::read(&self.screen, line, &self.prompts, end).1;
        (!text.trim().is_empty()).then_some(text)
    }

    fn collect_input(&mut self) {
        for (at_us, bytes) in self.echo.take() {
            match self.events.back_mut() {
                Some(Tracked::Input { at_us: at, bytes: last }) if *at == at_us => last.extend_from_slice(&bytes),
                _ => self.events.push_back(Tracked::Input { at_us, bytes }),
            }
        }
    }

    fn event(&mut self, at: u64, event: Event) {
        match event {
            Event::LineFeed => {
                self.before_line_feed(at);
                self.screen.line_feed();
                if let Some((after, _)) = self.snapshot.as_mut() {
                    *after = self.screen.cursor();
                }
            }
            Event::Paste(true) if !self.screen.alternate() => self.editor_begins(at),
            Event::Paste(false) if !self.screen.alternate() => self.editor_ends(at),
            Event::Paste(_) => {}
            Event::Alternate(on) => {
                self.drop_line();
                self.editing = !on && self.screen.bracketed_paste() && self.editing;
                self.multiplexer = on && self.opened_multiplexer();
                if !on {
                    self.left_full_screen(at);
                }
                if on {
                    self.gestures.clear();
                }
            }
            Event::Mark(mark) => self.mark(at, mark),
        }
    }

    fn key(&mut self, at: u64, key: &Key) {
        let typing = key.kind != Kind::Report && (!self.screen.alternate() || self.is_multiplexer());
        if typing {
            self.drop_unseen_line(at);
        }
        if typing && self.line.is_none() {
            self.begin_line(at);
        }
        self.last_input = at;
        let typing = typing && !(self.screen.alternate() && self.line.is_none());
        let shown = !self.echo.waits();
        self.echo.key(at, key, &self.screen);
        if !typing {
            return;
        }
        match self.line.as_mut() {
            Some(line) => line.key(key),
            None => self.key_ahead(key),
        }
        let interrupt = key.kind == Kind::Interrupt;
        let at_once = key.kind == Kind::Enter && self.screen.alternate() && shown;
        if interrupt || key.kind == Kind::Enter {
            if self.gestures.len() >= GESTURES_MAX {
                self.gestures.pop_front();
            }
            self.gestures.push_back(Gesture { interrupt, answered: false });
        }
        if key.kind == Kind::Enter && self.screen.alternate() {
            let text = self.line.as_ref().and_then(|line| self.line_in_multiplexer(line));
            self.snapshot = text.map(|text| (self.screen.cursor(), text));
        }
        if at_once {
            // a multiplexer redraws as it likes: better read the line while it stands there
            self.left_row_in_multiplexer(at);
        }
    }

    /// Keys that came before their prompt: remembered as long as they are plain.
    fn key_ahead(&mut self, key: &Key) {
        let ahead = self.ahead.get_or_insert_default();
        match key.kind {
            Kind::Text => ahead.push_str(&String::from_utf8_lossy(&key.bytes)),
            Kind::Enter => ahead.push('\n'),
            Kind::Erase => _ = ahead.pop(),
            _ => {}
        }
        if ahead.len() > crate::line::TEXT_MAX {
            ahead.clear();
        }
    }

    fn prompt_ok(&self, left: &str) -> bool {
        self.prompts.knows(left) || prompt::looks_like_prompt(left)
    }

    fn left_of_cursor(&self) -> String {
        let cursor = self.screen.cursor();
        self.screen.row(cursor.row).map(|r| r.text(0, cursor.col)).unwrap_or_default()
    }

    fn drop_line(&mut self) {
        self.line = None;
        self.snapshot = None;
        self.screen.keep_from(None);
    }
}
