//! The person's input cut into keys, pastes and what the terminal program itself sends.

/// Longest escape sequence waited for; terminals answer queries with up to a few hundred bytes.
const SEQUENCE_MAX: usize = 4096;

/// One piece of input with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// what it is
    pub kind: Kind,
    /// exactly what was sent
    pub bytes: Vec<u8>,
}

/// The kinds of input that matter for recognition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// printable characters
    Text,
    /// text between the bracketed-paste marks
    Pasted,
    /// Return, line feed, or readline's "run and fetch next" (Ctrl-O)
    Enter,
    /// Ctrl-C
    Interrupt,
    /// Backspace
    Erase,
    /// Ctrl-U
    KillLine,
    /// any other editing key
    Edit,
    /// marks around a paste
    PasteMark,
    /// sent by the terminal program, not typed: mouse, focus, answers to queries
    Report,
}

/// Cuts a stream of input bytes.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    sequence: Vec<u8>,
    /// how many bytes of `sequence` were already handed out (a lone Escape is a key of its own)
    given: usize,
    pasting: bool,
}

impl Keys {
    /// Cuts the next bytes into keys.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        for &byte in bytes {
            if self.sequence.is_empty() {
                self.plain(byte, &mut keys);
            } else {
                self.continued(byte, &mut keys);
            }
        }
        if self.sequence == [0x1b] && self.given == 0 {
            // in vi mode Escape is a command; should the rest of a cut sequence follow, it is still understood
            self.given = 1;
            add(&mut keys, Kind::Edit, &[0x1b]);
        }
        keys
    }

    /// Hands out a sequence that was not completed in time.
    pub fn flush(&mut self) -> Option<Key> {
        let bytes = self.sequence.get(self.given..).unwrap_or(&[]).to_vec();
        self.reset();
        (!bytes.is_empty()).then_some(Key { kind: Kind::Edit, bytes })
    }

    fn reset(&mut self) {
        self.sequence = Vec::new();
        self.given = 0;
    }

    fn plain(&mut self, byte: u8, keys: &mut Vec<Key>) {
        if byte == 0x1b {
            self.sequence.push(byte);
            self.given = 0;
            return;
        }
        if self.pasting {
            return add(keys, Kind::Pasted, &[byte]);
        }
        let kind = match byte {
            b'\r' | b'\n' | 0x0f => Kind::Enter,
            0x03 => Kind::Interrupt,
            0x08 | 0x7f => Kind::Erase,
            0x15 => Kind::KillLine,
            0x00..=0x1f => Kind::Edit,
            _ => Kind::Text,
        };
        add(keys, kind, &[byte]);
    }

    fn continued(&mut self, byte: u8, keys: &mut Vec<Key>) {
        let second = self.sequence.get(1).copied();
        if second.is_none() && (byte < 0x20 || (self.given == 1 && !matches!(byte, b'[' | b'O' | b']' | b'P'))) {
            // Escape was a key of its own
            if self.given == 0 {
                add(keys, Kind::Edit, &[0x1b]);
            }
            self.reset();
            return self.plain(byte, keys);
        }
        self.sequence.push(byte);
        let done = match second {
            None => !matches!(byte, b'[' | b'O' | b']' | b'P' | b'_' | b'^'),
            Some(b'[') => self.csi_done(byte),
            Some(b'O') => true,
            Some(_) => byte == 0x07 || self.sequence.ends_with(b"\x1b\\"),
        };
        if done || self.sequence.len() >= SEQUENCE_MAX {
            self.complete(keys);
        }
    }

    fn csi_done(&self, byte: u8) -> bool {
        match self.sequence.as_slice() {
            // X10 mouse: three bytes follow
            [_, _, b'M', rest @ ..] => rest.len() >= 3,
            // the Linux console's function keys
            [_, _, b'[', ..] => self.sequence.len() >= 4,
            _ => (0x40..=0x7e).contains(&byte),
        }
    }

    fn complete(&mut self, keys: &mut Vec<Key>) {
        let kind = match self.sequence.as_slice() {
            b"\x1b[200~" => {
                self.pasting = true;
                Kind::PasteMark
            }
            b"\x1b[201~" => {
                self.pasting = false;
                Kind::PasteMark
            }
            _ if self.pasting => Kind::Pasted,
            [_, b'[', b'M' | b'<', ..] | [_, b']' | b'P' | b'_' | b'^', ..] | b"\x1b[I" | b"\x1b[O" => Kind::Report,
            [_, b'[', .., b'R' | b'c' | b'n' | b't' | b'y' | b'x'] => Kind::Report,
            _ => Kind::Edit,
        };
        let bytes = self.sequence.get(self.given..).unwrap_or(&[]).to_vec();
        self.reset();
        add(keys, kind, &bytes);
    }
}

fn add(keys: &mut Vec<Key>, kind: Kind, bytes: &[u8]) {
    match keys.last_mut() {
        Some(last) if last.kind == kind && matches!(kind, Kind::Text | Kind::Pasted) => last.bytes.extend_from_slice(bytes),
        _ => keys.push(Key { kind, bytes: bytes.to_vec() }),
    }
}
