//! A QR code drawn in text: two modules per character cell, no colours, so that it passes through every SSH client.

use qrcode::{Color, EcLevel, QrCode};

/// Rows of the smallest terminal, less a few for the words around the code.
const ROWS: usize = 23;

/// The code for terminals with a dark background (most): light modules are drawn, dark ones left out. Authenticator
/// apps read the inverted picture on a light background too. With the widest quiet zone that fits 80×24.
/// Empty when the text is too long for a QR code.
pub fn qr_text(text: &str) -> String {
    draw(text, Color::Light)
}

/// The same for terminals with a light background.
pub fn qr_text_inverted(text: &str) -> String {
    draw(text, Color::Dark)
}

fn draw(text: &str, ink: Color) -> String {
    let Ok(code) = QrCode::with_error_correction_level(text.as_bytes(), EcLevel::L) else { return String::new() };
    let width = code.width();
    let modules = code.to_colors();
    // the standard asks for four modules; scanners manage with two and, on a terminal's own margin, with one
    let quiet = [4, 3, 2, 1].into_iter().find(|q| (width + 2 * q).div_ceil(2) <= ROWS).unwrap_or(1);
    let side = width + 2 * quiet;
    let module = |x: usize, y: usize| -> bool {
        let color = match (x.checked_sub(quiet), y.checked_sub(quiet)) {
            (Some(x), Some(y)) if x < width && y < width => modules.get(y * width + x).copied().unwrap_or(Color::Light),
            // below an odd last row there is nothing to draw
            _ if y >= side => return false,
            _ => Color::Light,
        };
        color == ink
    };
    let mut out = String::with_capacity(side * (side / 2 + 1) * 3);
    for y in (0..side).step_by(2) {
        for x in 0..side {
            out.push(match (module(x, y), module(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enrolment_fits_the_smallest_terminal() {
        let uri = "otpauth://totp/Rampart:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Rampart";
        let text = qr_text(uri);
        let lines: Vec<&str> = text.lines().collect();

        assert!(lines.len() <= 23, "{}", lines.len());
        assert!(lines.iter().all(|l| l.chars().count() == lines[0].chars().count() && l.chars().count() <= 80));
    }

    #[test]
    fn the_drawing_is_the_code() {
        let text = "otpauth://totp/Rampart:bob?secret=ABC";
        let code = QrCode::with_error_correction_level(text, EcLevel::L).unwrap();
        let width = code.width();
        let drawn: Vec<Vec<char>> = qr_text(text).lines().map(|l| l.chars().collect()).collect();
        let quiet = (drawn[0].len() - width) / 2;

        for y in 0..width {
            for x in 0..width {
                let cell = drawn[(y + quiet) / 2][x + quiet];
                let light = match (y + quiet) % 2 {
                    0 => matches!(cell, '█' | '▀'),
                    _ => matches!(cell, '█' | '▄'),
                };
                assert_eq!(light, code.to_colors()[y * width + x] == Color::Light, "{x},{y}");
            }
        }
        assert!(quiet >= 2);
    }

    #[test]
    fn a_text_too_long_for_a_code_draws_nothing() {
        assert_eq!(qr_text(&"x".repeat(10_000)), "");
    }
}
