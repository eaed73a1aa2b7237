//! The life of a line and of the command it becomes.

use super::{Gesture, REST_US, Tracker};
use crate::echo::Judgement;
use crate::line::{self, Line};
use crate::prompt;
use crate::screen::Pos;

/// Programs that show shells on the alternate screen.
const MULTIPLEXERS: [&str; 4] = ["tmux", "screen", "byobu", "zellij"];

impl Tracker {
    /// The first key of a line: is there a prompt, and where does it end?
    pub(super) fn begin_line(&mut self, at: u64) {
        let cursor = self.screen.cursor();
        let idle = at.saturating_sub(self.last_output) > REST_US && at.saturating_sub(self.last_input) > REST_US;
        if idle {
            self.gestures.clear();
            if (self.editing || self.screen.alternate()) && cursor.col > 0 {
                self.echo.give_up(&self.screen);
            }
        }
        if let Some(ahead) = &self.ahead {
            // what was typed before and never came up behind the prompt was read by a program, maybe unseen
            let whole = ahead.is_empty() || ahead.ends_with('\n');
            let at_prompt = if self.editing { cursor.col > 0 } else { self.prompts.knows(&self.left_of_cursor()) };
            if !(at_prompt && (idle || whole)) {
                return;
            }
            self.ahead = None;
            self.ahead_shown = false;
        }
        if self.editing && cursor.col == 0 && self.gestures.iter().any(|g| !g.interrupt) {
            self.ahead = Some(String::new());
            return;
        }
        if self.screen.alternate() && !(self.rest_of_page_is_blank(cursor) && self.prompt_ok(&self.left_of_cursor())) {
            return;
        }
        let line = Line::at(&self.screen, cursor, self.editing);
        self.open_line(line);
    }

    /// A line that was ended without any echo (a password), or by a single key (a pager), is over when a prompt
    /// stands elsewhere.
    pub(super) fn drop_unseen_line(&mut self, at: u64) {
        let Some(line) = self.line.as_ref().filter(|l| !l.editor) else { return };
        let cursor = self.screen.cursor();
        if cursor == line.start && !line.is_ended() {
            return;
        }
        let idle = at.saturating_sub(self.last_output) > REST_US && at.saturating_sub(self.last_input) > REST_US;
        let left = self.left_of_cursor();
        let inside = cursor.row > 0 && self.screen.runs_on(cursor.row - 1);
        let elsewhere = cursor != line.start && (self.prompts.knows(&left) || (!inside && prompt::looks_like_prompt(&left) && !left.starts_with(&line.prompt)));
        if elsewhere || (idle && line.is_ended()) {
            self.drop_line();
            self.gestures.clear();
            self.echo.give_up(&self.screen);
        }
    }

    pub(super) fn open_line(&mut self, line: Line) {
        let prompt_back = line.editor || self.prompts.knows(&line.prompt) || prompt::looks_like_prompt(&line.prompt);
        if prompt_back && !self.continues(&line.prompt) {
            self.close(Some(&line.prompt));
        } else if let Some(running) = self.running.as_mut().filter(|_| prompt_back) {
            running.capture.stop();
            running.continued = true;
        }
        self.screen.keep_from(Some(line.start.row));
        self.line = Some(line);
    }

    /// In a multiplexer a prompt is the last thing in its pane.
    fn rest_of_page_is_blank(&self, cursor: Pos) -> bool {
        let end = self.screen.region_end();
        let beside = self.screen.row(cursor.row).is_none_or(|r| r.visible_end() <= cursor.col);
        let last = if end > cursor.row + 1 && end == self.screen.first_row() + self.screen.size().1 as u64 { end - 1 } else { end };
        beside && (cursor.row + 1..last).all(|n| self.screen.row(n).is_none_or(|r| r.visible_end() == 0))
    }

    /// Does the alternate screen that just opened belong to a multiplexer, judging by what was run?
    pub(super) fn opened_multiplexer(&self) -> bool {
        let text = self.running.as_ref().map_or(self.last_text.as_str(), |r| r.text.as_str());
        text.split(['\n', ';', '|', '&']).any(|part| part.split_whitespace().any(|word| MULTIPLEXERS.contains(&word.rsplit('/').next().unwrap_or(word))))
    }

    /// … or judging by its status line (`[name] 0:bash*`).
    pub(super) fn is_multiplexer(&self) -> bool {
        if self.multiplexer {
            return true;
        }
        let rows = self.screen.size().1 as u64;
        [rows.saturating_sub(1), 0].iter().any(|n| {
            let row = self.screen.row(self.screen.first_row() + n);
            let text = row.map(|r| r.text(0, 60)).unwrap_or_default();
            text.strip_prefix('[').and_then(|t| t.split_once("] ")).is_some_and(|(_, windows)| {
                let mut parts = windows.trim_start().splitn(2, ':');
                parts.next().is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit())) && parts.next().is_some()
            })
        })
    }

    /// The line editor begins: a prompt comes (or just came).
    pub(super) fn editor_begins(&mut self, at: u64) {
        let typed_before = self.line.as_ref().and_then(|l| l.typed().map(str::to_owned));
        if !self.editing && self.line.is_some() {
            // typed while a program ran; the editor will show it again behind its prompt
            self.ahead = Some(typed_before.unwrap_or_default());
        }
        if let Some(ahead) = self.ahead.as_mut() {
            // complete lines were echoed by the terminal; the editor shows the next ones
            if ahead.is_empty() && !self.gestures.iter().any(|g| !g.interrupt) {
                self.ahead = None;
            }
        }
        if self.editing {
            // fish begins to edit again without having ended: what it read was for a command of its own
            if let Some(text) = self.snapshot.as_ref().map(|s| s.1.clone()) {
                let ended = self.line.as_ref().map_or(1, |l| l.ended_by(&text));
                self.echo.judge(Judgement { text: &text, ends: ended }, &self.screen);
                self.gestures.pop_front();
            }
        }
        self.drop_line();
        self.owed_line_feed = false;
        self.widget = None;
        self.editing = true;
        let printed = self.prompts.shortest(&self.left_of_cursor()).is_some();
        if let Some(running) = self.running.as_mut() {
            running.ended.get_or_insert(at);
            running.capture.stop();
            // readline and fish tell before they print the prompt; zsh tells after it, but marks where it begins
            running.prompt_outside |= !printed;
        }
    }

    /// The line editor ends: Return, Ctrl-C, end of input or a widget of the shell.
    pub(super) fn editor_ends(&mut self, at: u64) {
        if !self.editing {
            return;
        }
        self.editing = false;
        let cursor = self.screen.cursor();
        let snapshot = self.snapshot.take().filter(|(after, _)| after.row == cursor.row && cursor.col == 0);
        // zsh leaves its editor first and then goes to the next row
        let owed = snapshot.is_none();
        let end = match snapshot {
            Some(_) => cursor.row.saturating_sub(1),
            None => self.last_row_of_line(),
        };
        let line = self.line.take().or_else(|| line::locate(&self.screen, &self.prompts, self.ahead_first().as_deref(), end));
        let text = match (snapshot, &line) {
            (Some((_, text)), _) if !text.is_empty() => text,
            (_, Some(line)) => line::read(&self.screen, line, &self.prompts, end).1,
            (_, None) => String::new(),
        };
        self.next_ahead();
        self.owed_line_feed = owed;
        self.hand_over(at, line, text);
    }

    fn ahead_first(&self) -> Option<String> {
        self.ahead.as_ref().and_then(|a| a.split('\n').find(|l| !l.trim().is_empty()).map(str::to_owned))
    }

    fn next_ahead(&mut self) {
        self.ahead_shown &= self.ahead.as_ref().is_some_and(|a| a.matches('\n').count() > 1);
        if let Some(ahead) = self.ahead.take() {
            let rest = ahead.split_once('\n').map_or("", |(_, rest)| rest);
            if self.gestures.len() > 1 || !rest.is_empty() {
                self.ahead = Some(rest.to_owned());
            }
        }
    }

    /// The last row that the line may reach.
    pub(super) fn last_row_of_line(&self) -> u64 {
        let cursor = self.screen.cursor();
        let end = self.screen.first_row() + self.screen.size().1 as u64;
        let below = (cursor.row + 1..end).rev().find(|n| self.screen.row(*n).is_some_and(|r| r.visible_end() > 0));
        below.filter(|_| !self.screen.alternate()).unwrap_or(cursor.row)
    }

    /// The text of the edited line, for deciding whether slow input was shown.
    pub(super) fn visible_text(&self) -> String {
        let Some(line) = self.line.as_ref().filter(|l| l.editor && self.editing) else { return String::new() };
        let end = self.last_row_of_line();
        let row = self.screen.row(self.screen.cursor().row).map(|r| r.text(0, usize::MAX)).unwrap_or_default();
        if row.contains("i-search") {
            return row;
        }
        line::read(&self.screen, line, &self.prompts, end).1
    }

    /// A line feed is about to answer Return or Ctrl-C.
    pub(super) fn before_line_feed(&mut self, at: u64) {
        let cursor = self.screen.cursor();
        if std::mem::take(&mut self.owed_line_feed) {
            if let Some(running) = self.running.as_mut() {
                running.capture.restart();
            }
            return;
        }
        let Some(front) = self.gestures.iter().find(|g| !g.answered).copied() else { return };
        if self.editing {
            if let Some(line) = &self.line {
                let text = line::read(&self.screen, line, &self.prompts, cursor.row).1;
                if front.interrupt && text.ends_with("^C") {
                    // fish abandons the line without leaving its editor
                    self.gestures.pop_front();
                    let line = self.line.take();
                    self.abandon(line, &text);
                } else {
                    self.snapshot = Some((cursor, text));
                }
            }
            return;
        }
        let Some(line) = self.line.take() else {
            self.echo.line_feed(&self.screen);
            return self.line_feed_ahead(at, front);
        };
        if self.screen.alternate() {
            self.line = Some(line);
            return self.left_row_in_multiplexer(at);
        }
        let text = line::read(&self.screen, &line, &self.prompts, cursor.row).1;
        let below = self.screen.row(cursor.row + 1).is_some_and(|r| r.visible_end() > 0);
        if !front.interrupt && below && self.screen.runs_on(cursor.row) {
            // the editor moves down inside a line that fills its row
            self.line = Some(line);
            return;
        }
        let is_prompt = self.prompt_ok(&line.prompt)
            || self.is_interpreter(&line.prompt)
            || (self.prompts.is_empty() && self.running.is_none() && !line.prompt.trim().is_empty());
        if !is_prompt {
            self.asked.clone_from(&line.prompt);
            let typed = line.typed_first().map(crate::echo::squeeze).filter(|t| !t.is_empty());
            if line.prompt.trim().is_empty() && !front.interrupt && typed.is_some_and(|t| t == crate::echo::squeeze(&text)) {
                // typed while a command runs: maybe for that command, maybe the shell will show it again
                self.echo.judge(Judgement { text: &text, ends: 1 }, &self.screen);
                self.drop_line();
                self.ahead = line.typed().map(str::to_owned);
                self.ahead_shown = true;
                return;
            }
            if let Some(front) = self.gestures.iter_mut().find(|g| !g.answered) {
                front.answered = true;
            }
            self.echo.judge(Judgement { text: &text, ends: 1 }, &self.screen);
            self.drop_line();
            return;
        }
        self.hand_over(at, Some(line), text);
    }

    /// Is this the prompt of an interpreter, though it looks like none: the command before set it, or the running
    /// command shows it again and again?
    fn is_interpreter(&self, left: &str) -> bool {
        let text = left.trim_end();
        let set = self.running.as_ref().is_some_and(|r| r.text.contains("PS1="));
        !text.is_empty() && (set || (self.asked == left && !text.ends_with(['?', ':', ']', ')'])))
    }

    /// A line feed where no line is known: was it a line typed ahead that now stands behind its prompt?
    fn line_feed_ahead(&mut self, at: u64, front: Gesture) {
        let row = self.screen.cursor().row;
        if front.interrupt {
            self.gestures.pop_front();
            return;
        }
        let mut top = row;
        while top > self.screen.first_row() && self.screen.runs_on(top - 1) {
            top -= 1;
        }
        if let Some(start) = self.prompts.on_row(&self.screen, top) {
            let line = Line::at(&self.screen, start, false);
            let text = line::read(&self.screen, &line, &self.prompts, row).1;
            // without a line editor the text was shown when it was typed and does not come again
            let seen = crate::echo::squeeze(&text);
            let lines = self.ahead.as_ref().map(|a| a.split('\n').map(crate::echo::squeeze).collect::<Vec<_>>()).unwrap_or_default();
            let shown_again = lines.contains(&seen);
            let ahead = self.ahead_first().filter(|_| self.ahead_shown && !shown_again);
            let text = ahead.unwrap_or(text);
            if !text.trim().is_empty() {
                self.next_ahead();
                self.hand_over(at, Some(line), text);
            }
        } else if let Some(ahead) = self.ahead_first() {
            let shown = self.screen.row(row).map(|r| r.text(0, usize::MAX)).unwrap_or_default();
            self.ahead_shown |= crate::echo::squeeze(&shown).ends_with(&crate::echo::squeeze(&ahead));
        }
    }

    /// After each slice of output: is the running command's end known by now?
    pub(super) fn after_output(&mut self, at: u64) {
        if let Some(line) = self.line.as_ref() {
            let cursor = self.screen.cursor();
            if self.screen.alternate() && self.is_multiplexer() && cursor.row != line.start.row {
                self.left_row_in_multiplexer(at);
            }
            return;
        }
        let left = self.left_of_cursor();
        if self.editing {
            if left.trim().is_empty() {
                return;
            }
            if self.ahead.is_none() && self.running.is_some() && !self.continues(&left) {
                self.close(Some(&left));
            }
            self.place_ahead(&left);
            return;
        }
        let _ = at;
        if self.running.as_ref().is_some_and(|r| !r.announced && r.capture.has_line()) {
            self.announce();
        }
    }

    /// The beginning of a line that was typed ahead now stands behind the prompt.
    fn place_ahead(&mut self, left: &str) {
        let Some(ahead) = self.ahead.as_ref().filter(|a| !a.contains('\n') && !a.is_empty()) else { return };
        if let Some(prompt) = left.strip_suffix(ahead.as_str()).filter(|p| !p.is_empty()) {
            let start = Pos { row: self.screen.cursor().row, col: crate::text::width(prompt) };
            let line = Line::at(&self.screen, start, true);
            self.ahead = None;
            self.open_line(line);
        }
    }

    /// A multiplexer moved the cursor away without a line feed that could be watched.
    pub(super) fn left_row_in_multiplexer(&mut self, at: u64) {
        if !self.gestures.iter().any(|g| !g.answered) {
            return;
        }
        let Some(line) = self.line.take() else { return };
        let stood = self.snapshot.take();
        if let Some(text) = self.line_in_multiplexer(&line).or(stood.map(|s| s.1)) {
            self.hand_over(at, Some(line), text);
        } else {
            self.gestures.pop_front();
            self.drop_line();
        }
    }

    /// The line's text, if its prompt still stands where it stood.
    pub(super) fn line_in_multiplexer(&self, line: &Line) -> Option<String> {
        let end = self.screen.cursor().row.max(line.start.row);
        let (start, text) = line::read(&self.screen, line, &self.prompts, end);
        (start == line.start && line.stands(&self.screen)).then_some(text)
    }
}
