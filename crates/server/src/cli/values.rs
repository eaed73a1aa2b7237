//! Values on the command line: times, speeds, fingerprints, conditions.

use std::{fmt, str::FromStr, time::Duration};

/// A stretch of time as people write it: `90`, `90s`, `1m30s`, `1h`, `1:30`, `7d`, `1.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

/// No recording and no filter reaches further than this.
const LONGEST: f64 = 3650.0 * 86_400.0;

impl FromStr for Span {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let bad = || format!("`{s}` is not a time; write it like 90s, 1m30s, 2h or 1:30");
        let text = s.trim();
        let seconds = if text.contains(':') { clock(text) } else { units(text) }.ok_or_else(bad)?;
        if !(0.0..=LONGEST).contains(&seconds) {
            return Err(bad());
        }
        Ok(Self(Duration::from_secs_f64(seconds)))
    }
}

/// `h:mm:ss` or `m:ss`.
fn clock(text: &str) -> Option<f64> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 3 {
        return None;
    }
    parts.iter().try_fold(0.0, |sum, part| Some(sum * 60.0 + number(part)?))
}

/// Numbers with units, largest first; a bare number is seconds.
fn units(text: &str) -> Option<f64> {
    let (mut sum, mut rest, mut last) = (0.0, text, f64::INFINITY);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (value, tail) = rest.split_at_checked(digits)?;
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(letters)?;
        let factor = match unit {
            "ms" => 0.001,
            "" | "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            _ => return None,
        };
        if factor >= last {
            return None;
        }
        (sum, rest, last) = (sum + number(value)? * factor, tail, factor);
    }
    (last < f64::INFINITY).then_some(sum)
}

fn number(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.len() <= 16 && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    plain.then(|| text.parse().ok()).flatten()
}

/// The SHA-256 fingerprint of a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pin(pub [u8; 32]);

impl FromStr for Pin {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let hex: Vec<u8> = s.bytes().filter(|b| *b != b':').collect();
        let hex = hex.strip_prefix(b"sha256".as_slice()).or_else(|| hex.strip_prefix(b"SHA256".as_slice())).unwrap_or(&hex);
        let mut out = [0; 32];
        let digits = std::str::from_utf8(hex).unwrap_or_default();
        if digits.len() != 64 {
            return Err("a fingerprint has 64 hexadecimal digits".to_owned());
        }
        for (byte, pair) in out.iter_mut().zip(hex.chunks(2)) {
            let pair = std::str::from_utf8(pair).unwrap_or_default();
            *byte = u8::from_str_radix(pair, 16).map_err(|_| "a fingerprint has only hexadecimal digits".to_owned())?;
        }
        Ok(Self(out))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `FIELD=VALUE`.
///
/// # Errors
/// A sentence when it is not.
pub fn field_value(s: &str) -> Result<(String, String), String> {
    let (field, value) = s.split_once('=').ok_or("write FIELD=VALUE")?;
    let plain = !field.is_empty() && field.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !plain {
        return Err(format!("`{field}` is not the name of a field"));
    }
    Ok((field.to_owned(), value.to_owned()))
}

/// A playback speed.
///
/// # Errors
/// A sentence when it is out of range.
pub fn speed(s: &str) -> Result<f64, String> {
    between(s.trim_end_matches('x'), 0.05, 100.0)
}

/// A number of seconds.
///
/// # Errors
/// A sentence when it is out of range.
pub fn seconds(s: &str) -> Result<f64, String> {
    between(s.trim_end_matches('s'), 0.0, 86_400.0)
}

fn between(s: &str, low: f64, high: f64) -> Result<f64, String> {
    match s.parse::<f64>() {
        Ok(v) if (low..=high).contains(&v) => Ok(v),
        _ => Err(format!("write a number from {low} to {high}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(s: &str) -> Option<f64> {
        s.parse::<Span>().ok().map(|s| s.0.as_secs_f64())
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(span("90"), Some(90.0));
        assert_eq!(span("1m30s"), Some(90.0));
        assert_eq!(span("1m30"), Some(90.0));
        assert_eq!(span("1:30"), Some(90.0));
        assert_eq!(span("1:00:05"), Some(3605.0));
        assert_eq!(span("2h"), Some(7200.0));
        assert_eq!(span("1.5s"), Some(1.5));
        assert_eq!(span("250ms"), Some(0.25));
        assert_eq!(span("7d"), Some(604_800.0));
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for bad in ["", "x", "-1", "1m1h", "5m5m", "1e9", "inf", "nan", "1:2:3:4", "99999999999999999999", "30x", "1..5s", ":", "é"] {
            assert_eq!(span(bad), None, "{bad}");
        }
    }

    #[test]
    fn fingerprints_come_with_and_without_colons() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");

        assert_eq!(plain.parse::<Pin>(), colons.parse::<Pin>());
        assert_eq!(format!("SHA256:{plain}").parse::<Pin>(), plain.parse::<Pin>());
        assert!("abcd".parse::<Pin>().is_err());
        assert!("zz".repeat(32).parse::<Pin>().is_err());
        assert!("é".repeat(32).parse::<Pin>().is_err());
    }

    #[test]
    fn conditions_and_speeds_are_checked() {
        assert_eq!(field_value("user=alice=x"), Ok(("user".into(), "alice=x".into())));
        assert!(field_value("user").is_err());
        assert!(field_value("a&b=c").is_err());
        assert_eq!(speed("2x"), Ok(2.0));
        assert!(speed("0").is_err());
        assert!(speed("NaN").is_err());
    }
}
