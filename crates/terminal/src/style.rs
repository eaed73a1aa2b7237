//! Colours and attributes of cells. Cells hold a small number into a table, so that a cell costs 8 bytes.

use crate::parser::Csi;
use std::fmt::Write as _;

/// A colour as the target asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colour {
    /// the terminal's own
    #[default]
    Default,
    /// one of the 256
    Indexed(u8),
    /// 24 bit
    Rgb(u8, u8, u8),
}

/// What a cell looks like apart from its character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// foreground
    pub fg: Colour,
    /// background
    pub bg: Colour,
    /// bit n: SGR attribute n+1 (1 bold, 2 dim, 3 italic, 4 underline, 5 blink, 7 inverse, 8 hidden, 9 struck)
    pub flags: u16,
}

impl Style {
    /// Applies a "select graphic rendition" sequence.
    pub fn apply(&mut self, seq: &Csi) {
        let params = seq.params();
        if params.is_empty() {
            *self = Self::default();
        }
        let mut n = 0;
        while let Some(&p) = params.get(n) {
            n += 1;
            match p {
                0 => *self = Self::default(),
                4 if seq.is_sub(n) => {
                    // 4:0 is no underline, 4:3 a curly one
                    if params.get(n) == Some(&0) {
                        self.flags &= !(1 << 3)
                    } else {
                        self.flags |= 1 << 3
                    }
                    n += 1;
                }
                1..=9 => self.flags |= 1 << (p - 1),
                21 => self.flags |= 1 << 3,
                22 => self.flags &= !0b11,
                23..=29 => self.flags &= !(1 << (p - 21)),
                30..=37 => self.fg = Colour::Indexed((p - 30) as u8),
                39 => self.fg = Colour::Default,
                40..=47 => self.bg = Colour::Indexed((p - 40) as u8),
                49 => self.bg = Colour::Default,
                90..=97 => self.fg = Colour::Indexed((p - 90 + 8) as u8),
                100..=107 => self.bg = Colour::Indexed((p - 100 + 8) as u8),
                38 | 48 | 58 => {
                    let (colour, used) = extended(seq, n);
                    n += used;
                    match (p, colour) {
                        (38, Some(c)) => self.fg = c,
                        (48, Some(c)) => self.bg = c,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
    }

    /// Writes the sequence that selects this style from any other.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut text = String::from("\x1b[0");
        for bit in 0..9 {
            if self.flags & (1 << bit) != 0 {
                let _ = write!(text, ";{}", bit + 1);
            }
        }
        for (base, colour) in [(30, self.fg), (40, self.bg)] {
            let _ = match colour {
                Colour::Default => Ok(()),
                Colour::Indexed(n @ 0..=7) => write!(text, ";{}", base + u16::from(n)),
                Colour::Indexed(n @ 8..=15) => write!(text, ";{}", base + 52 + u16::from(n)),
                Colour::Indexed(n) => write!(text, ";{};5;{n}", base + 8),
                Colour::Rgb(r, g, b) => write!(text, ";{};2;{r};{g};{b}", base + 8),
            };
        }
        text.push('m');
        out.extend_from_slice(text.as_bytes());
    }
}

/// Reads `5;n`, `2;r;g;b`, `2::r:g:b` behind 38 or 48; gives the colour and how many parameters it took.
fn extended(seq: &Csi, at: usize) -> (Option<Colour>, usize) {
    let params = seq.params();
    let byte = |n: usize| params.get(n).map(|v| (*v).min(255) as u8);
    let subs = (at..params.len()).take_while(|n| seq.is_sub(*n)).count();
    match params.get(at) {
        Some(5) => (byte(at + 1).map(Colour::Indexed), if subs > 0 { subs } else { 2 }),
        Some(2) => {
            // the colon form has a colour-space number in between
            let first = if subs >= 5 { at + 2 } else { at + 1 };
            let colour = match (byte(first), byte(first + 1), byte(first + 2)) {
                (Some(r), Some(g), Some(b)) => Some(Colour::Rgb(r, g, b)),
                _ => None,
            };
            (colour, if subs > 0 { subs } else { 4 })
        }
        _ => (None, subs.max(1)),
    }
}

/// Most styles that one screen can hold at once.
const STYLES_MAX: usize = 512;

/// The styles in use; number 0 is the default one.
#[derive(Debug, Clone, Default)]
pub struct Styles {
    table: Vec<Style>,
}

impl Styles {
    /// The style with this number.
    pub fn get(&self, n: u32) -> Style {
        n.checked_sub(1).and_then(|n| self.table.get(n as usize)).copied().unwrap_or_default()
    }

    /// The number of a style, or `None` when the table is full (collect unused ones, then ask again).
    pub fn number(&mut self, style: Style) -> Option<u32> {
        if style == Style::default() {
            return Some(0);
        }
        if let Some(n) = self.table.iter().rposition(|s| *s == style) {
            return Some(n as u32 + 1);
        }
        if self.table.len() >= STYLES_MAX {
            return None;
        }
        self.table.push(style);
        Some(self.table.len() as u32)
    }

    /// Forgets all styles; the caller numbers the living ones again.
    pub fn clear(&mut self) {
        self.table.clear();
    }

    /// Is there hardly room for more?
    pub fn is_nearly_full(&self) -> bool {
        self.table.len() > STYLES_MAX / 2
    }
}
