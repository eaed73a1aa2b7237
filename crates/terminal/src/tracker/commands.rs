//! What becomes of a line that was handed over: a command, the rest of one, or nothing; and when a command ends.

use super::{ANNOUNCE_US, Gesture, Running, Tracked, Tracker};
use crate::capture::Capture;
use crate::echo::Judgement;
use crate::history;
use crate::line::{self, Line};
use crate::prompt;

/// Length kept of the last command, in characters.
const LAST_MAX: usize = 1000;

impl Tracker {
    /// A line left the person's hands: decides whether it is a command.
    pub(super) fn hand_over(&mut self, at: u64, line: Option<Line>, text: String) {
        let interrupted = text.trim_end().ends_with("^C") && self.gestures.iter().any(|g| g.interrupt);
        let front = self.gestures.front().copied();
        if interrupted {
            while self.gestures.pop_front().is_some_and(|g| !g.interrupt) {}
            return self.abandon(line, &text);
        }
        self.gestures.pop_front();
        match front {
            Some(Gesture { interrupt: true, .. }) => return self.abandon(line, &text),
            None => {
                // the editor ended without a Return: end of input, a widget, or output that plays a shell
                self.widget = line.filter(|l| l.typed().is_none()).map(|l| l.prompt);
                self.drop_line();
                return;
            }
            Some(_) => {}
        }
        let ends = line.as_ref().map_or(1, |l| l.ended_by(&text));
        for _ in 1..ends {
            self.gestures.pop_front();
        }
        self.echo.judge(Judgement { text: &text, ends }, &self.screen);
        self.drop_line();
        let Some(line) = line else { return };
        if prompt::is_bullets(&text) && line.typed_first().is_none_or(|t| t.trim() != text.trim()) {
            return;
        }
        let continues = self.continues(&line.prompt);
        if !continues {
            self.close(Some(&line.prompt));
        }
        if let Some(running) = self.running.as_mut().filter(|_| continues) {
            if running.text.len() + text.len() < line::TEXT_MAX {
                running.text.push('\n');
                running.text.push_str(&text);
            }
            running.ended = None;
            running.prompt_outside = false;
            running.handed = at;
            running.capture.restart();
            return;
        }
        self.prompts.learn(&line);
        if !self.gestures.is_empty() && self.ahead.is_none() {
            // more lines were sent with this one; the next key is not the first of its line
            self.ahead = Some(line.typed().and_then(|t| t.split_once('\n')).map(|t| t.1.to_owned()).unwrap_or_default());
        }
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        self.start(at, text.to_owned(), line.prompt);
    }

    fn start(&mut self, at: u64, text: String, prompt: String) {
        let before = std::mem::replace(&mut self.last_text, text.chars().take(LAST_MAX).collect());
        self.running = Some(Running {
            at,
            handed: at,
            text,
            prompt,
            before,
            announced: false,
            continued: false,
            prompt_outside: false,
            ended: None,
            capture: Capture::default(),
            inside: self.screen.alternate(),
        });
    }

    /// A full-screen program ended. If a key of the line editor had opened it, it edited a command that now runs.
    pub(super) fn left_full_screen(&mut self, at: u64) {
        if let Some(prompt) = self.widget.take() {
            self.close(Some(&prompt));
            self.start(at, String::new(), prompt);
        }
    }

    /// A line was given up with Ctrl-C, and with it the unfinished command that it continued.
    pub(super) fn abandon(&mut self, line: Option<Line>, text: &str) {
        let ends = line.as_ref().map_or(1, |l| l.ended_by(text));
        self.echo.judge(Judgement { text, ends }, &self.screen);
        self.drop_line();
        self.ahead = None;
        if line.is_some_and(|l| self.continues(&l.prompt)) {
            self.running = None;
        }
    }

    /// Is this prompt the one for the rest of the command that was handed over last?
    pub(super) fn continues(&self, left: &str) -> bool {
        let Some(running) = self.running.as_ref().filter(|r| !r.announced) else { return false };
        let other = left.trim() != running.prompt.trim() && self.prompts.knows(left);
        if other || !prompt::continues(left, &running.prompt, &running.text) {
            return false;
        }
        // anything printed in between means that the command ran
        let (output, _) = running.capture.text(Some(self.prompts.shortest(left).unwrap_or(left)).filter(|_| !running.prompt_outside));
        output.trim().is_empty()
    }

    /// Nothing happens for a while: announces and closes what can be.
    pub(super) fn rest(&mut self, at: u64) {
        let quiet = at.saturating_sub(self.last_output) >= 500_000;
        let left = self.left_of_cursor();
        let continues = self.continues(&left);
        let Some(running) = self.running.as_ref() else { return };
        let editing_on = running.continued && self.line.is_some();
        if !running.announced && !continues && !editing_on && at.saturating_sub(running.handed) >= ANNOUNCE_US {
            self.announce();
        }
        if quiet && self.line.is_none() && !self.editing && !continues && self.prompts.knows(&left) {
            self.close(Some(&left));
        }
    }

    /// Tells that the running command runs, once.
    pub(super) fn announce(&mut self) {
        if let Some(running) = self.running.as_mut().filter(|r| !r.announced) {
            let first = running.capture.first_line();
            if running.text.is_empty() {
                // composed in an editor: the shell prints it before it runs it
                let Some(first) = first.filter(|f| !f.trim().is_empty()) else {
                    self.running = None;
                    return;
                };
                running.text = first;
                running.capture.drop_first_line();
            } else if let Some(ran) = first.as_deref().and_then(|first| history::expanded(&running.text, first, &running.before)) {
                running.text = ran.to_owned();
                running.capture.drop_first_line();
            }
            running.announced = true;
            self.last_text = running.text.chars().take(LAST_MAX).collect();
            // the empty line that ends a block belongs to it, but says nothing
            running.text.truncate(running.text.trim_end().len());
            self.events.push_back(Tracked::CommandStarted { at_us: running.at, text: running.text.clone() });
        }
    }

    /// The running command ended; `prompt` stands left of the cursor if its prompt was printed already.
    pub(super) fn close(&mut self, prompt: Option<&str>) {
        self.announce();
        let Some(running) = self.running.take() else { return };
        self.asked = String::new();
        let end = running.ended.or(prompt.map(|_| self.last_output));
        let (output, truncated) = if running.inside {
            (String::new(), false)
        } else {
            running.capture.text(prompt.map(|p| self.prompts.shortest(p).unwrap_or(p)).filter(|_| !running.prompt_outside))
        };
        self.events.push_back(Tracked::Command {
            at_us: running.at,
            text: running.text,
            output,
            truncated,
            duration_us: end.map(|end| end.saturating_sub(running.handed)),
        });
    }

    /// A shell-integration mark.
    pub(super) fn mark(&mut self, at: u64, mark: u8) {
        if self.screen.alternate() {
            return;
        }
        match mark {
            b'A' | b'D' => {
                if let Some(running) = self.running.as_mut().filter(|_| !self.editing) {
                    running.ended.get_or_insert(at);
                    running.capture.stop();
                }
            }
            b'B' if self.line.is_none() => {
                let line = Line::at(&self.screen, self.screen.cursor(), true);
                self.ahead = None;
                self.open_line(line);
            }
            _ => {}
        }
    }
}
