//! The output of one command, within bounds: its beginning and its end.

use crate::text::clean;

/// Cleaned text kept of one command's output, in bytes.
pub const OUTPUT_MAX: usize = 100 * 1024;
/// Raw bytes kept from the beginning …
const HEAD_MAX: usize = 112 * 1024;
/// … and from the end.
const TAIL_MAX: usize = 16 * 1024;

/// Collects output.
#[derive(Debug, Clone, Default)]
pub struct Capture {
    head: Vec<u8>,
    tail: Vec<u8>,
    dropped: bool,
    stopped: bool,
}

impl Capture {
    /// Adds bytes; cheap when the bounds are reached.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.stopped {
            return;
        }
        let room = HEAD_MAX - self.head.len().min(HEAD_MAX);
        let (first, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        self.head.extend_from_slice(first);
        if rest.is_empty() {
            return;
        }
        if rest.len() >= TAIL_MAX {
            self.dropped = true;
            self.tail.clear();
            self.tail.extend_from_slice(rest.get(rest.len() - TAIL_MAX..).unwrap_or(&[]));
            return;
        }
        self.tail.extend_from_slice(rest);
        if self.tail.len() > 2 * TAIL_MAX {
            self.dropped = true;
            self.tail.drain(..self.tail.len() - TAIL_MAX);
        }
    }

    /// Takes no more.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Takes more again, from the beginning.
    pub fn restart(&mut self) {
        *self = Self::default();
    }

    /// The first whole line, cleaned.
    pub fn first_line(&self) -> Option<String> {
        let end = self.head.iter().take(64 * 1024).position(|b| *b == b'\n')?;
        Some(clean(self.head.get(..end)?))
    }

    /// Takes the first line away.
    pub fn drop_first_line(&mut self) {
        if let Some(end) = self.head.iter().position(|b| *b == b'\n') {
            self.head.drain(..=end);
        }
    }

    /// Is there a whole line of output?
    pub fn has_line(&self) -> bool {
        self.head.contains(&b'\n')
    }

    /// The cleaned text and whether something is missing in it. `prompt`: what stands left of the cursor when the
    /// next prompt was printed before its begin could be known; it is cut off the end.
    pub fn text(&self, prompt: Option<&str>) -> (String, bool) {
        let (mut head, mut tail) = (self.head.as_slice(), self.tail.as_slice());
        if tail.is_empty() {
            head = without_prompt_marks(head)
        } else {
            tail = without_prompt_marks(tail)
        }
        let mut truncated = self.dropped;
        let mut text;
        if !truncated {
            text = clean(&[head, tail].concat());
        } else {
            // the tail may begin inside a line or a sequence: only whole lines of it count
            let start = tail.iter().position(|b| *b == b'\n').map_or(tail.len(), |n| n + 1);
            let mut end = clean(tail.get(start..).unwrap_or(&[]));
            let keep = OUTPUT_MAX.saturating_sub(TAIL_MAX + 16);
            keep_end(&mut end, TAIL_MAX);
            text = clean(head);
            keep_start(&mut text, keep);
            text.push_str("\n[…]\n");
            text.push_str(&end);
        }
        if let Some(prompt) = prompt.map(str::trim_end).filter(|p| !p.is_empty()) {
            let end = text.trim_end();
            if let Some(rest) = end.strip_suffix(prompt).filter(|r| r.is_empty() || r.ends_with('\n') || prompt.chars().count() > 1) {
                text.truncate(rest.len());
            }
        }
        text.truncate(text.trim_end().len());
        if text.len() > OUTPUT_MAX {
            truncated = true;
            let mut end = text.split_off(floor(&text, OUTPUT_MAX - TAIL_MAX));
            keep_end(&mut end, TAIL_MAX - 16);
            text.push_str("\n[…]\n");
            text.push_str(&end);
        }
        (text, truncated)
    }
}

/// zsh and fish print a sign and a row of blanks to see whether the output ended in a line feed, then the prompt;
/// zsh erases the rest of the page before it prints a prompt. Everything from there on is not output.
fn without_prompt_marks(raw: &[u8]) -> &[u8] {
    const ZSH_SIGN: [&[u8]; 2] = [b"\x1b[1m\x1b[7m%\x1b[27m\x1b[1m\x1b[0m    ", b"\x1b[1m\x1b[7m#\x1b[27m\x1b[1m\x1b[0m    "];
    const ZSH_PROMPT: &[u8] = b"\r\x1b[0m\x1b[27m\x1b[24m\x1b[J";
    const FISH_SIGN: &[u8] = b"\x1b[2m\xe2\x8f\x8e";
    let from = raw.len().saturating_sub(16 * 1024);
    let window = raw.get(from..).unwrap_or(raw);
    let cut = ZSH_SIGN.iter().chain([&ZSH_PROMPT, &FISH_SIGN]).filter_map(|sign| find_last(window, sign)).min();
    match cut {
        Some(at) => raw.get(..from + at).unwrap_or(raw),
        None => raw,
    }
}

fn find_last(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).rposition(|w| w == needle)
}

fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn keep_start(text: &mut String, max: usize) {
    text.truncate(floor(text, max));
}

fn keep_end(text: &mut String, max: usize) {
    if text.len() > max {
        let mut from = text.len() - max;
        while !text.is_char_boundary(from) {
            from += 1;
        }
        text.drain(..from);
    }
}
