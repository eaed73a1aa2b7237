//! Keys out of the bytes of a keyboard. Sequences may be split anywhere, are bounded, and unknown ones vanish.

/// Longest escape sequence that is read to its end.
const MAX_SEQUENCE: usize = 4096;

/// What was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A character, never a control or an invisible one.
    Char(char),
    /// Enter.
    Enter,
    /// Erase to the left.
    Backspace,
    /// Erase under the cursor.
    Delete,
    /// Up.
    Up,
    /// Down.
    Down,
    /// Left.
    Left,
    /// Right.
    Right,
    /// Start of the line.
    Home,
    /// End of the line.
    End,
    /// Ctrl with a letter that has no other meaning here.
    Ctrl(char),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    Text,
    Esc,
    /// After `ESC O`.
    Ss3,
    /// After `ESC [`.
    Csi,
    /// In a string (`ESC ]`, `ESC P`, …) that ends with BEL or `ESC \`.
    String,
    StringEsc,
}

/// Turns bytes into keys, one byte at a time, so that what follows a line can be handed on untouched.
#[derive(Debug, Default)]
pub struct Decoder {
    place: Place,
    sequence: Vec<u8>,
    skipped: usize,
    utf8: Vec<u8>,
    pasting: bool,
    after_cr: bool,
}

impl Decoder {
    /// The key that this byte completes.
    pub fn push(&mut self, byte: u8) -> Option<Key> {
        match self.place {
            Place::Text => self.text(byte),
            Place::Esc => self.escape(byte),
            Place::Ss3 => {
                self.place = Place::Text;
                arrow(byte)
            }
            Place::Csi => self.csi(byte),
            Place::String => {
                self.skipped += 1;
                match byte {
                    0x1b => self.place = Place::StringEsc,
                    0x07 => self.place = Place::Text,
                    _ if self.skipped > MAX_SEQUENCE => self.place = Place::Text,
                    _ => {}
                }
                None
            }
            Place::StringEsc => {
                self.place = if byte == b'\\' { Place::Text } else { Place::String };
                None
            }
        }
    }

    fn text(&mut self, byte: u8) -> Option<Key> {
        let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
        if byte >= 0x80 {
            return self.multibyte(byte);
        }
        self.utf8.clear();
        if self.pasting && byte != 0x1b {
            // A pasted line break must not run anything.
            return match byte {
                b'\r' | b'\n' | b'\t' => Some(Key::Char(' ')),
                0x20..=0x7e => Some(Key::Char(char::from(byte))),
                _ => None,
            };
        }
        match byte {
            b'\r' => Some(Key::Enter),
            b'\n' => (!after_cr).then_some(Key::Enter),
            0x1b => {
                self.place = Place::Esc;
                None
            }
            0x7f | 0x08 => Some(Key::Backspace),
            0x01 => Some(Key::Home),
            0x02 => Some(Key::Left),
            0x05 => Some(Key::End),
            0x06 => Some(Key::Right),
            0x0e => Some(Key::Down),
            0x10 => Some(Key::Up),
            0x03 | 0x04 | 0x0b | 0x0c | 0x15 | 0x17 => Some(Key::Ctrl(char::from(byte + 0x60))),
            0x20..=0x7e => Some(Key::Char(char::from(byte))),
            _ => None,
        }
    }

    fn multibyte(&mut self, byte: u8) -> Option<Key> {
        if byte & 0xc0 != 0x80 {
            self.utf8.clear();
        }
        self.utf8.push(byte);
        let key = match std::str::from_utf8(&self.utf8) {
            Ok(s) => s.chars().next().filter(|c| is_plain(*c)).map(Key::Char),
            Err(e) if e.error_len().is_none() && self.utf8.len() < 4 => return None,
            Err(_) => None,
        };
        self.utf8.clear();
        key
    }

    fn escape(&mut self, byte: u8) -> Option<Key> {
        self.place = match byte {
            b'[' => {
                self.sequence.clear();
                Place::Csi
            }
            b'O' => Place::Ss3,
            b']' | b'P' | b'X' | b'^' | b'_' => {
                self.skipped = 0;
                Place::String
            }
            0x1b => Place::Esc,
            // Alt with a letter means nothing here.
            _ => Place::Text,
        };
        None
    }

    fn csi(&mut self, byte: u8) -> Option<Key> {
        if !(0x40..=0x7e).contains(&byte) {
            if byte == 0x1b {
                self.place = Place::Esc;
            } else if !(0x20..=0x7e).contains(&byte) || self.sequence.len() >= MAX_SEQUENCE {
                self.place = Place::Text;
            } else {
                self.sequence.push(byte);
            }
            return None;
        }
        self.place = Place::Text;
        if byte != b'~' {
            return if self.pasting { None } else { arrow(byte) };
        }
        let first = self.sequence.split(|b| *b == b';').next().unwrap_or_default();
        match first {
            b"200" => self.pasting = true,
            b"201" => self.pasting = false,
            _ if self.pasting => {}
            b"1" | b"7" => return Some(Key::Home),
            b"4" | b"8" => return Some(Key::End),
            b"3" => return Some(Key::Delete),
            _ => {}
        }
        None
    }
}

fn arrow(last: u8) -> Option<Key> {
    Some(match last {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        _ => return None,
    })
}

/// Whether a character shows as itself: no control, no direction mark, nothing invisible.
fn is_plain(c: char) -> bool {
    let mut buffer = [0; 4];
    let s: &str = c.encode_utf8(&mut buffer);
    terminal::safe(s) == s
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
    use proptest::prelude::*;

    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut d = Decoder::default();
        bytes.iter().filter_map(|b| d.push(*b)).collect()
    }

    #[test]
    fn characters_of_any_length_arrive_whole() {
        assert_eq!(keys("a中é😀".as_bytes()), [Key::Char('a'), Key::Char('中'), Key::Char('é'), Key::Char('😀')]);
    }

    #[test]
    fn broken_text_and_invisible_characters_vanish() {
        assert_eq!(keys(b"\xe4\xb8a\xff\x80b"), [Key::Char('a'), Key::Char('b')]);
        assert_eq!(keys("\u{202e}x\u{200b}".as_bytes()), [Key::Char('x')]);
    }

    #[test]
    fn arrows_come_in_both_forms_and_with_modifiers() {
        assert_eq!(keys(b"\x1b[A\x1bOB\x1b[1;5C\x1b[3~\x1b[H\x1b[4~"), [Key::Up, Key::Down, Key::Right, Key::Delete, Key::Home, Key::End]);
    }

    #[test]
    fn a_line_break_is_one_enter_however_it_is_written() {
        assert_eq!(keys(b"\r\n"), [Key::Enter]);
        assert_eq!(keys(b"\n\n\r"), [Key::Enter, Key::Enter, Key::Enter]);
    }

    #[test]
    fn a_paste_runs_nothing() {
        assert_eq!(keys(b"\x1b[200~q\r\x03\x1b[A\x1b[201~\r"), [Key::Char('q'), Key::Char(' '), Key::Enter]);
    }

    #[test]
    fn answers_of_the_terminal_vanish() {
        assert_eq!(keys(b"\x1b]11;rgb:0000\x07\x1bP1$r\x1b\\\x1b[?62;1cx"), [Key::Char('x')]);
    }

    proptest! {
        #[test]
        fn anything_is_survived_in_bounded_memory(bytes in proptest::collection::vec(any::<u8>(), 0..20_000)) {
            let mut d = Decoder::default();
            for b in bytes {
                if let Some(Key::Char(c)) = d.push(b) {
                    prop_assert!(!c.is_control());
                }
            }
            prop_assert!(d.sequence.len() <= MAX_SEQUENCE && d.utf8.len() < 4);
        }
    }
}
