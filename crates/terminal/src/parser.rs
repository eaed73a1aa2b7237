//! A byte-stream parser for the control sequences of ECMA-48 and xterm, UTF-8 aware.
//!
//! Our own, because the bytes come from hostile targets and must cost a fixed amount of memory: every
//! buffer here has a bound (the usual crates collect an OSC of any length), and because the caller must be
//! able to stop exactly behind a sequence that it cares about (see [`Sink::stop`]).
//!
//! INVARIANT: the result does not depend on how the stream is cut into slices.

/// Longest operating-system command kept; the rest of a longer one is thrown away.
const OSC_MAX: usize = 512;
/// Numeric parameters kept of one sequence; more are ignored.
pub const PARAMS_MAX: usize = 32;

/// Receives what the parser found.
pub trait Sink {
    /// Printable ASCII (0x20 to 0x7e), never empty.
    fn ascii(&mut self, run: &[u8]);
    /// One printable character outside ASCII.
    fn print(&mut self, c: char);
    /// A C0 control.
    fn control(&mut self, byte: u8);
    /// A control sequence (`ESC [ … final`).
    fn csi(&mut self, seq: &Csi);
    /// An escape sequence (`ESC intermediate final`); intermediate 0 for none.
    fn esc(&mut self, intermediate: u8, last: u8);
    /// An operating-system command without its introducer and terminator, cut at 512 bytes.
    fn osc(&mut self, data: &[u8]);
    /// Asked after each control, sequence or command: should [`Parser::advance`] return?
    fn stop(&self) -> bool;
}

/// A parsed control sequence.
#[derive(Debug, Clone, Copy)]
pub struct Csi {
    values: [u16; PARAMS_MAX],
    /// bit n: parameter n was introduced by a colon, so it belongs to its predecessor
    colon: u32,
    len: u8,
    /// `?`, `>`, `=`, `<` or 0
    pub private: u8,
    /// the last intermediate byte or 0
    pub intermediate: u8,
    /// the final byte
    pub last: u8,
}

impl Csi {
    const EMPTY: Self = Self { values: [0; PARAMS_MAX], colon: 0, len: 0, private: 0, intermediate: 0, last: 0 };

    /// The parameters given; a missing one reads 0.
    pub fn params(&self) -> &[u16] {
        self.values.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Parameter `n` with 0 and missing read as `default`.
    pub fn or(&self, n: usize, default: u16) -> usize {
        match self.params().get(n) {
            None | Some(0) => usize::from(default),
            Some(v) => usize::from(*v),
        }
    }

    /// Was parameter `n` joined to its predecessor by a colon (ISO 8613-6 sub-parameter)?
    pub fn is_sub(&self, n: usize) -> bool {
        n < PARAMS_MAX && self.colon & (1u32.checked_shl(n as u32).unwrap_or(0)) != 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ground,
    Escape,
    CsiEntry,
    Csi,
    CsiIgnore,
    Osc,
    OscEscape,
    /// DCS, SOS, PM, APC: swallowed up to the string terminator
    Text,
    TextEscape,
}

/// The parser's state between slices.
#[derive(Debug, Clone)]
pub struct Parser {
    state: State,
    csi: Csi,
    colon_next: bool,
    intermediate: u8,
    osc: Vec<u8>,
    utf8: [u8; 4],
    utf8_len: u8,
    utf8_need: u8,
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// A parser in the ground state.
    pub const fn new() -> Self {
        Self { state: State::Ground, csi: Csi::EMPTY, colon_next: false, intermediate: 0, osc: Vec::new(), utf8: [0; 4], utf8_len: 0, utf8_need: 0 }
    }

    /// Feeds bytes and returns how many were used: all of them, unless the sink asked to stop.
    pub fn advance(&mut self, sink: &mut impl Sink, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.state == State::Ground && self.utf8_need == 0 {
                let rest = bytes.get(at..).unwrap_or(&[]);
                let run = rest.iter().position(|b| !(0x20..0x7f).contains(b)).unwrap_or(rest.len());
                if run > 0 {
                    sink.ascii(rest.get(..run).unwrap_or(&[]));
                    at += run;
                    continue;
                }
            }
            at += 1;
            if self.step(sink, byte) && sink.stop() {
                return at;
            }
        }
        at
    }

    /// Handles one byte; true when something was handed to the sink that may want to stop.
    fn step(&mut self, sink: &mut impl Sink, byte: u8) -> bool {
        if self.utf8_need > 0 || (byte >= 0x80 && self.state == State::Ground) {
            return self.multibyte(sink, byte);
        }
        match byte {
            0x18 | 0x1a => {
                self.state = State::Ground;
                false
            }
            0x1b => {
                self.state = match self.state {
                    State::Osc => State::OscEscape,
                    State::Text => State::TextEscape,
                    _ => State::Escape,
                };
                self.intermediate = 0;
                false
            }
            _ => match self.state {
                State::Ground => self.ground(sink, byte),
                State::Escape => self.escape(sink, byte),
                State::CsiEntry | State::Csi | State::CsiIgnore => self.csi(sink, byte),
                State::Osc => self.osc(sink, byte),
                State::OscEscape => {
                    sink.osc(&self.osc);
                    self.leave_osc();
                    if byte == b'\\' {
                        return true;
                    }
                    self.state = State::Escape;
                    self.escape(sink, byte) || sink.stop()
                }
                State::Text => {
                    // xterm ends these with ST only; BEL is taken too, as an unterminated one would swallow all
                    if byte == 0x07 {
                        self.state = State::Ground;
                    }
                    false
                }
                State::TextEscape => {
                    self.state = State::Ground;
                    if byte == b'\\' {
                        return false;
                    }
                    self.state = State::Escape;
                    self.escape(sink, byte)
                }
            },
        }
    }

    fn ground(&mut self, sink: &mut impl Sink, byte: u8) -> bool {
        match byte {
            0x20..=0x7e => sink.ascii(&[byte]),
            0x7f => {}
            _ => sink.control(byte),
        }
        true
    }

    fn escape(&mut self, sink: &mut impl Sink, byte: u8) -> bool {
        match byte {
            0x00..=0x1f => {
                sink.control(byte);
                true
            }
            0x20..=0x2f => {
                self.intermediate = byte;
                false
            }
            0x7f.. => false,
            _ if self.intermediate != 0 => {
                self.state = State::Ground;
                sink.esc(self.intermediate, byte);
                true
            }
            b'[' => {
                self.state = State::CsiEntry;
                self.csi = Csi::EMPTY;
                self.colon_next = false;
                false
            }
            b']' => {
                self.state = State::Osc;
                self.osc.clear();
                false
            }
            b'P' | b'X' | b'^' | b'_' => {
                self.state = State::Text;
                false
            }
            b'k' => {
                // the title command of screen and tmux: a string ended by ST
                self.state = State::Text;
                false
            }
            _ => {
                self.state = State::Ground;
                sink.esc(0, byte);
                true
            }
        }
    }

    fn csi(&mut self, sink: &mut impl Sink, byte: u8) -> bool {
        match byte {
            0x00..=0x1f => {
                sink.control(byte);
                return true;
            }
            b'0'..=b'9' if self.state != State::CsiIgnore => {
                self.state = State::Csi;
                self.digit(byte - b'0');
            }
            b';' | b':' if self.state != State::CsiIgnore => {
                self.state = State::Csi;
                if self.csi.len == 0 {
                    self.csi.len = 1;
                }
                self.csi.len = self.csi.len.saturating_add(1).min(PARAMS_MAX as u8 + 1);
                let index = u32::from(self.csi.len) - 1;
                if byte == b':' {
                    self.csi.colon |= 1u32.checked_shl(index).unwrap_or(0);
                }
            }
            b'<'..=b'?' if self.state == State::CsiEntry => {
                self.csi.private = byte;
                self.state = State::Csi;
            }
            0x20..=0x2f => self.csi.intermediate = byte,
            0x40..=0x7e => {
                let ignored = self.state == State::CsiIgnore;
                self.state = State::Ground;
                if !ignored {
                    self.csi.last = byte;
                    self.csi.len = self.csi.len.min(PARAMS_MAX as u8);
                    let csi = self.csi;
                    sink.csi(&csi);
                    return true;
                }
            }
            0x7f => {}
            _ => self.state = State::CsiIgnore,
        }
        false
    }

    fn digit(&mut self, digit: u8) {
        if self.csi.len == 0 {
            self.csi.len = 1;
        }
        if let Some(value) = self.csi.values.get_mut(usize::from(self.csi.len) - 1) {
            *value = value.saturating_mul(10).saturating_add(u16::from(digit));
        }
    }

    fn osc(&mut self, sink: &mut impl Sink, byte: u8) -> bool {
        match byte {
            0x07 => {
                sink.osc(&self.osc);
                self.leave_osc();
                true
            }
            0x00..=0x1f => false,
            _ => {
                if self.osc.len() < OSC_MAX {
                    self.osc.push(byte);
                }
                false
            }
        }
    }

    fn leave_osc(&mut self) {
        self.state = State::Ground;
        self.osc.clear();
        self.osc.shrink_to(64);
    }

    fn multibyte(&mut self, sink: &mut impl Sink, byte: u8) -> bool {
        if self.utf8_need == 0 {
            let need = match byte {
                0xc2..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xf4 => 4,
                _ => {
                    sink.print('\u{fffd}');
                    return true;
                }
            };
            self.utf8 = [byte, 0, 0, 0];
            self.utf8_len = 1;
            self.utf8_need = need;
            return false;
        }
        if byte & 0xc0 != 0x80 {
            self.utf8_need = 0;
            sink.print('\u{fffd}');
            self.step(sink, byte);
            return true;
        }
        if let Some(slot) = self.utf8.get_mut(usize::from(self.utf8_len)) {
            *slot = byte;
        }
        self.utf8_len += 1;
        if self.utf8_len < self.utf8_need {
            return false;
        }
        self.utf8_need = 0;
        let text = self.utf8.get(..usize::from(self.utf8_len)).unwrap_or(&[]);
        let decoded = std::str::from_utf8(text).ok().and_then(|s| s.chars().next());
        match decoded.unwrap_or('\u{fffd}') {
            // an 8-bit control in its UTF-8 form is the same as its escape sequence
            c @ '\u{80}'..='\u{9f}' => {
                self.state = State::Escape;
                self.intermediate = 0;
                let low = (c as u32 - 0x40) as u8;
                self.escape(sink, low)
            }
            c => {
                sink.print(c);
                true
            }
        }
    }
}
