//! QR codes as text, for enrolling an authenticator inside a terminal.

use qrcode::{EcLevel, QrCode, types::Color};

/// Draws `content` with half blocks: two rows of modules a line, dark on light whatever the terminal's colours are not
/// known, so light modules are drawn full (scanners read both ways round). `None` if it does not fit a code.
pub fn draw(content: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(content.as_bytes(), EcLevel::L).ok()?;
    let width = code.width();
    let colors = code.to_colors();
    // Outside is light: the quiet zone, two modules are enough for screens.
    let light = |x: usize, y: usize| {
        let (Some(x), Some(y)) = (x.checked_sub(2), y.checked_sub(2)) else { return true };
        x >= width || colors.get(y * width + x).is_none_or(|c| *c == Color::Light)
    };
    let side = width + 4;
    let mut out = String::with_capacity(side * (side / 2 + 1) * 3);
    for y in (0..side).step_by(2) {
        for x in 0..side {
            out.push(match (light(x, y), y + 1 >= side || light(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        out.push('\n');
    }
    Some(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_code_fits_a_terminal_and_is_square() {
        let code = draw("otpauth://totp/Rampart:alice%40corp.example?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Rampart&algorithm=SHA1&digits=6&period=30")
            .unwrap();
        let lines: Vec<&str> = code.lines().collect();

        let width = lines[0].chars().count();
        assert!(lines.iter().all(|l| l.chars().count() == width));
        assert!(width <= 80, "{width}");
        assert!(lines.len() == width.div_ceil(2));
        assert!(lines.len() <= 30, "{}", lines.len());
    }
}
