//! One-time codes (RFC 6238: SHA-1, 30 s, 6 digits), one step of clock drift on either side.

use model::Time;
use vault::Secret;

use crate::{AuthnError, Result};

/// Seconds a code lasts.
pub const STEP: i64 = 30;

/// A new random seed of 160 bits, as RFC 4226 recommends, in base32.
///
/// # Errors
/// No randomness.
pub fn new_seed() -> Result<Secret<String>> {
    let mut bytes = zeroize::Zeroizing::new([0u8; 20]);
    getrandom::fill(&mut *bytes).map_err(|_| AuthnError::Random)?;
    Ok(Secret::new(totp_rs::Secret::new_stack(*bytes).to_base32()))
}

/// The time step whose code this is, if it is one of the present, the previous or the next step.
pub fn matching_step(seed: &Secret<String>, code: &str, now: Time) -> Option<i64> {
    let code: String = code.chars().filter(|c| !c.is_whitespace() && *c != '-').take(7).collect();
    if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds = u64::try_from(now.timestamp()).ok()?;
    let secret = totp_rs::Secret::try_from_base32(seed.expose()).ok()?;
    let totp = totp_rs::Builder::new().with_secret(secret).with_skew(1).build().ok()?;
    i64::try_from(totp.check(&code, seconds)?).ok()
}

/// `otpauth://totp/…` for the QR code (Google Authenticator's key URI format). Digits, period and algorithm are the
/// defaults of every app and left out: the shorter, the smaller the code.
pub fn uri(issuer: &str, username: &str, seed: &Secret<String>) -> String {
    format!("otpauth://totp/{i}:{}?secret={}&issuer={i}", escape(username), seed.expose(), i = escape(issuer))
}

/// Percent-encoding of everything that RFC 3986 does not call unreserved.
fn escape(s: &str) -> String {
    s.bytes().fold(String::with_capacity(s.len()), |mut out, b| {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(b)),
            _ => out.push_str(&format!("%{b:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix: i64) -> Time {
        chrono::DateTime::from_timestamp(unix, 0).unwrap()
    }

    /// RFC 6238 Appendix B, the SHA-1 rows, last six of the eight digits.
    #[test]
    fn the_vectors_of_rfc_6238() {
        let seed = Secret::new(totp_rs::Secret::new_stack(*b"12345678901234567890").to_base32());
        for (unix, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(matching_step(&seed, code, at(unix)), Some(unix / 30), "{unix}");
        }
    }

    #[test]
    fn a_code_is_good_one_step_early_and_late_and_no_more() {
        let seed = Secret::new(totp_rs::Secret::new_stack(*b"12345678901234567890").to_base32());
        let step = 1_111_111_111 / 30;

        for (offset, good) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let found = matching_step(&seed, "050471", at((step + offset) * 30));
            assert_eq!(found, good.then_some(step), "{offset}");
        }
    }

    #[test]
    fn what_is_not_six_digits_is_no_code() {
        let seed = Secret::new(totp_rs::Secret::new_stack(*b"12345678901234567890").to_base32());
        for bad in ["", "50471", "0050471", "05047a", "０５０４７１", "-50471", "05 047", &"0".repeat(10_000)] {
            assert_eq!(matching_step(&seed, bad, at(1_111_111_111)), None, "{bad}");
        }
        assert!(matching_step(&seed, " 050 471\n", at(1_111_111_111)).is_some());
    }

    #[test]
    fn the_uri_escapes_what_people_call_themselves() {
        let seed = Secret::new("ABC".to_owned());
        assert_eq!(uri("Rampart", "a b@x:é", &seed), "otpauth://totp/Rampart:a%20b%40x%3A%C3%A9?secret=ABC&issuer=Rampart");
    }
}
