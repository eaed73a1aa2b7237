//! The screen row by row, for a player that draws it in a window of another size. Nothing of what the target sent reaches the
//! player's terminal but characters and their look.

use super::{Screen, keyframe::push};

impl Screen {
    /// Row `n` of the page, cut to `columns`, as bytes for a terminal in its default style; leaves it there.
    pub fn line(&self, n: usize, columns: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let Some(row) = self.page().row(n) else { return out };
        let mut style = 0;
        for (col, cell) in row.cells().iter().enumerate().take(columns.min(self.cols)) {
            // The right half of a wide character.
            let Some(c) = cell.char() else { continue };
            if col + crate::grid::char_width(c) > columns {
                break;
            }
            if cell.style != style {
                style = cell.style;
                self.styles.get(style).write(&mut out);
            }
            push(&mut out, c);
            row.marks(col).for_each(|mark| push(&mut out, mark));
        }
        if style != 0 {
            out.extend_from_slice(b"\x1b[0m");
        }
        out
    }

    /// Where the cursor stands on the page, row and column, and whether it is shown.
    pub fn cursor_on_page(&self) -> (usize, usize, bool) {
        let hidden = self.modes.changed().any(|(mode, on)| mode == 25 && !on);
        (self.cursor.row, self.cursor.col, !hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(bytes: &[u8]) -> Screen {
        let mut s = Screen::new(10, 3);
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = rest.get(s.feed(rest).max(1)..).unwrap_or_default();
        }
        s
    }

    #[test]
    fn a_row_keeps_its_colours_and_nothing_else() {
        let s = screen(b"\x1b]52;c;eA==\x07a\x1b[31mred\x1b[0mb");

        assert_eq!(s.line(0, 10), b"a\x1b[0;31mred\x1b[0mb");
        assert_eq!(s.line(7, 10), b"");
    }

    #[test]
    fn a_wide_character_that_does_not_fit_is_left_out() {
        assert_eq!(screen("a中文".as_bytes()).line(0, 4), "a中".as_bytes());
    }

    #[test]
    fn the_cursor_is_told_with_its_visibility() {
        assert_eq!(screen(b"ab\x1b[?25l").cursor_on_page(), (0, 2, false));
        assert_eq!(screen(b"ab\r\nc").cursor_on_page(), (1, 1, true));
    }
}
