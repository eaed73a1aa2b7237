//! One line of input with editing, drawn on one row of the screen: what does not fit scrolls sideways.

use super::keys::Key;

/// Longest line, in characters.
const MAX_LINE: usize = 512;
/// Lines that Up brings back.
const MAX_HISTORY: usize = 100;

/// What a key led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edited {
    /// Still editing.
    Going,
    /// Enter was pressed; the line, without outer blanks.
    Line(String),
    /// Ctrl-C: the line was thrown away.
    Interrupted,
    /// Ctrl-D on an empty line.
    Eof,
    /// Ctrl-L: the screen should be drawn again.
    Redraw,
}

/// The line being typed.
#[derive(Debug, Default)]
pub struct Editor {
    prompt: String,
    text: Vec<char>,
    cursor: usize,
    columns: usize,
    history: Vec<String>,
    /// Place in the history while Up and Down are used, and the line that was being typed before.
    back: Option<(usize, Vec<char>)>,
    keeps_history: bool,
}

impl Editor {
    /// An empty line on a screen of that width.
    pub fn new(columns: u16) -> Self {
        Self { columns: usize::from(columns), ..Self::default() }
    }

    /// The screen has another width now.
    pub fn resize(&mut self, columns: u16) {
        self.columns = usize::from(columns);
    }

    /// Starts an empty line behind `prompt` and draws it. Only lines of a prompt with history are remembered.
    pub fn start(&mut self, prompt: &str, keeps_history: bool, out: &mut Vec<u8>) {
        self.prompt = prompt.to_owned();
        self.keeps_history = keeps_history;
        self.text.clear();
        self.cursor = 0;
        self.back = None;
        self.draw(out);
    }

    /// Draws the prompt and the line as they are.
    pub fn draw(&self, out: &mut Vec<u8>) {
        let room = self.room();
        let left = self.left_edge(room);
        let mut used = 0;
        let shown: String = self
            .text
            .iter()
            .skip(left)
            .take_while(|c| {
                used += char_width(**c);
                used <= room
            })
            .collect();
        let cursor = terminal::width(&self.prompt) + self.text.iter().take(self.cursor).skip(left).map(|c| char_width(*c)).sum::<usize>();
        out.extend_from_slice(b"\r");
        out.extend_from_slice(self.prompt.as_bytes());
        out.extend_from_slice(shown.as_bytes());
        out.extend_from_slice(b"\x1b[K");
        let end = terminal::width(&self.prompt) + terminal::width(&shown);
        if cursor < end {
            out.extend_from_slice(format!("\x1b[{}D", end - cursor).as_bytes());
        }
    }

    /// One key.
    pub fn key(&mut self, key: Key, out: &mut Vec<u8>) -> Edited {
        match key {
            Key::Enter => return self.enter(out),
            Key::Ctrl('c') => {
                out.extend_from_slice(b"^C\r\n");
                return Edited::Interrupted;
            }
            Key::Ctrl('d') if self.text.is_empty() => {
                out.extend_from_slice(b"\r\n");
                return Edited::Eof;
            }
            Key::Ctrl('l') => return Edited::Redraw,
            Key::Char(c) => {
                self.insert(c, out);
                return Edited::Going;
            }
            Key::Backspace => self.erase_left(),
            Key::Delete | Key::Ctrl('d') => self.erase_right(),
            Key::Ctrl('u') => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            Key::Ctrl('k') => self.text.truncate(self.cursor),
            Key::Ctrl('w') => self.erase_word(),
            Key::Ctrl(_) => return Edited::Going,
            Key::Left => self.cursor = self.before(self.cursor),
            Key::Right => self.cursor = self.after(self.cursor),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.text.len(),
            Key::Up => self.recall(true),
            Key::Down => self.recall(false),
        }
        self.draw(out);
        Edited::Going
    }

    fn enter(&mut self, out: &mut Vec<u8>) -> Edited {
        out.extend_from_slice(b"\r\n");
        let line: String = self.text.iter().collect::<String>().trim().to_owned();
        if self.keeps_history && !line.is_empty() && self.history.last() != Some(&line) {
            if self.history.len() >= MAX_HISTORY {
                self.history.remove(0);
            }
            self.history.push(line.clone());
        }
        self.text.clear();
        self.cursor = 0;
        self.back = None;
        Edited::Line(line)
    }

    fn insert(&mut self, c: char, out: &mut Vec<u8>) {
        if self.text.len() >= MAX_LINE || (char_width(c) == 0 && self.cursor == 0) {
            return;
        }
        let at_end = self.cursor == self.text.len();
        self.text.insert(self.cursor.min(self.text.len()), c);
        self.cursor += 1;
        let whole: usize = self.text.iter().map(|c| char_width(*c)).sum();
        if at_end && whole < self.room() {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            self.draw(out);
        }
    }

    fn erase_left(&mut self) {
        let start = self.before(self.cursor);
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }

    fn erase_right(&mut self) {
        let end = self.after(self.cursor);
        self.text.drain(self.cursor..end);
    }

    fn erase_word(&mut self) {
        let before = |at: usize| at.checked_sub(1).and_then(|i| self.text.get(i)).copied();
        let mut start = self.cursor;
        while before(start).is_some_and(char::is_whitespace) {
            start -= 1;
        }
        while before(start).is_some_and(|c| !c.is_whitespace()) {
            start -= 1;
        }
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }

    /// Start of what stands left of `at`: a character with the marks that are drawn over it.
    fn before(&self, at: usize) -> usize {
        let mut start = at;
        while start > 0 {
            start -= 1;
            if self.text.get(start).is_none_or(|c| char_width(*c) > 0) {
                break;
            }
        }
        start
    }

    fn after(&self, at: usize) -> usize {
        let mut end = (at + 1).min(self.text.len());
        while self.text.get(end).is_some_and(|c| char_width(*c) == 0) {
            end += 1;
        }
        end
    }

    fn recall(&mut self, older: bool) {
        let len = self.history.len();
        let at = self.back.as_ref().map_or(len, |(at, _)| *at);
        let wanted = if older { at.checked_sub(1) } else { (at < len).then_some(at + 1) };
        let Some(wanted) = wanted.filter(|_| self.keeps_history) else { return };
        let typed = self.back.take().map_or_else(|| self.text.clone(), |(_, typed)| typed);
        match self.history.get(wanted) {
            Some(line) => {
                self.text = line.chars().collect();
                self.back = Some((wanted, typed));
            }
            None => self.text = typed,
        }
        self.cursor = self.text.len();
    }

    /// Columns for the text; the last one stays free, so that no terminal wraps.
    fn room(&self) -> usize {
        self.columns.saturating_sub(terminal::width(&self.prompt) + 1).max(4)
    }

    /// First character that is drawn.
    fn left_edge(&self, room: usize) -> usize {
        let mut used = 0;
        let mut left = self.cursor.min(self.text.len());
        for (i, c) in self.text.iter().enumerate().take(self.cursor).rev() {
            used += char_width(*c);
            if used >= room {
                break;
            }
            left = i;
        }
        left
    }
}

fn char_width(c: char) -> usize {
    terminal::width(c.encode_utf8(&mut [0; 4]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
    use proptest::prelude::*;

    use super::{super::keys::Decoder, *};

    fn typed(bytes: &str) -> (Editor, Vec<u8>, Vec<Edited>) {
        let (mut editor, mut out, mut ends) = (Editor::new(40), Vec::new(), Vec::new());
        let mut decoder = Decoder::default();
        editor.start("Opt> ", true, &mut out);
        for b in bytes.bytes() {
            if let Some(key) = decoder.push(b) {
                match editor.key(key, &mut out) {
                    Edited::Going => {}
                    end => ends.push(end),
                }
            }
        }
        (editor, out, ends)
    }

    fn lines(bytes: &str) -> Vec<String> {
        typed(bytes).2.into_iter().filter_map(|e| if let Edited::Line(l) = e { Some(l) } else { None }).collect()
    }

    #[test]
    fn editing_keys_do_what_a_shell_does() {
        assert_eq!(lines("web12\x7f\r"), ["web1"]);
        assert_eq!(lines("中文字\x7f\x7f\r"), ["中"]);
        assert_eq!(lines("one two\x17three\r"), ["one three"]);
        assert_eq!(lines("one\x15two\r"), ["two"]);
        assert_eq!(lines("eb\x01w\x05!\r"), ["web!"]);
        assert_eq!(lines("abc\x1b[D\x1b[D\x0b\r"), ["a"]);
        assert_eq!(lines("abc\x01\x04\x1b[3~\r"), ["c"]);
        assert_eq!(lines("e\u{301}x\x7f\x7f\r"), [""]);
    }

    #[test]
    fn history_goes_back_and_forth_and_keeps_the_line_being_typed() {
        assert_eq!(lines("one\rtwo\r\x1b[A\x1b[A\r"), ["one", "two", "one"]);
        assert_eq!(lines("one\rtw\x1b[A\x1b[Bo\r"), ["one", "two"]);
        assert_eq!(lines("\x1b[A\x1b[B\r"), [""]);
    }

    #[test]
    fn ctrl_c_and_ctrl_d_leave() {
        assert_eq!(typed("abc\x03").2, [Edited::Interrupted]);
        assert_eq!(typed("\x04").2, [Edited::Eof]);
        assert_eq!(typed("a\x04").2, []);
    }

    #[test]
    fn erasing_a_wide_character_redraws_the_line_without_it() {
        let (_, out, _) = typed("中文\x7f");

        assert!(out.ends_with("\rOpt> 中\x1b[K".as_bytes()), "{:?}", String::from_utf8_lossy(&out));
    }

    #[test]
    fn a_long_line_scrolls_sideways_and_never_wraps() {
        let (mut editor, _, _) = typed(&"漢".repeat(60));
        let mut out = Vec::new();

        editor.draw(&mut out);
        assert!(terminal::width(&terminal::clean(&out)) < 40);

        out.clear();
        editor.key(Key::Home, &mut out);
        assert!(terminal::width(&terminal::clean(&out)) < 40);
    }

    proptest! {
        #[test]
        fn any_keys_leave_a_row_that_fits(bytes in proptest::collection::vec(any::<u8>(), 0..600), columns in 10u16..200) {
            let (mut editor, mut out, mut decoder) = (Editor::new(columns), Vec::new(), Decoder::default());
            editor.start("Opt> ", true, &mut out);
            for b in bytes {
                if let Some(key) = decoder.push(b) {
                    editor.key(key, &mut out);
                }
                prop_assert!(editor.cursor <= editor.text.len() && editor.text.len() <= MAX_LINE);
            }
            out.clear();
            editor.draw(&mut out);
            prop_assert!(terminal::width(&terminal::clean(&out)) <= usize::from(columns));
        }
    }
}
