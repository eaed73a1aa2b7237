//! Password rules (U4): what a new password must be, as pure functions. Re-use of an earlier password is judged where
//! the hashes are (`authn`); its violation has its place here.

use chrono::TimeDelta;
use model::{MessagePair, Time};

/// Longest accepted password, in characters: hashing work is bounded, and nobody types more.
pub const MAX_LENGTH: usize = 256;

/// What a new password must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordRules {
    /// Fewest characters.
    pub min_length: usize,
    /// An upper-case letter is required.
    pub upper: bool,
    /// A lower-case letter is required.
    pub lower: bool,
    /// A digit is required.
    pub digit: bool,
    /// Something else than a letter or digit is required.
    pub special: bool,
    /// How many earlier passwords may not come back; the current one counts.
    pub history: usize,
    /// A password older than this must be changed at the next login.
    pub expiry_days: Option<u32>,
    /// Refuse passwords that everybody tries first.
    pub refuse_common: bool,
}

impl Default for PasswordRules {
    fn default() -> Self {
        Self { min_length: 12, upper: false, lower: false, digit: false, special: false, history: 5, expiry_days: None, refuse_common: true }
    }
}

/// A rule that a new password breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Violation {
    /// Fewer characters than asked.
    TooShort(usize),
    /// More characters than [`MAX_LENGTH`].
    TooLong,
    /// Control characters cannot be typed everywhere.
    Control,
    /// No upper-case letter.
    Upper,
    /// No lower-case letter.
    Lower,
    /// No digit.
    Digit,
    /// No special character.
    Special,
    /// Among the passwords that everybody tries first, or one of them with decoration.
    Common,
    /// Contains the user name, or little else.
    ContainsUsername,
    /// One of the last so many passwords.
    Reused(usize),
}

impl Violation {
    /// Stable code of the sentence for people.
    pub const fn code(self) -> &'static str {
        match self {
            Violation::TooShort(_) => "password.too_short",
            Violation::TooLong => "password.too_long",
            Violation::Control => "password.control",
            Violation::Upper => "password.upper",
            Violation::Lower => "password.lower",
            Violation::Digit => "password.digit",
            Violation::Special => "password.special",
            Violation::Common => "password.common",
            Violation::ContainsUsername => "password.contains_username",
            Violation::Reused(_) => "password.reused",
        }
    }
    /// The sentence for people.
    pub fn message(self) -> MessagePair {
        let m = MessagePair::new(self.code(), format!("new password refused: {self:?}"));
        match self {
            Violation::TooShort(n) => m.with("min", n.to_string()),
            Violation::TooLong => m.with("max", MAX_LENGTH.to_string()),
            Violation::Reused(n) => m.with("count", n.to_string()),
            _ => m,
        }
    }
}

impl PasswordRules {
    /// Every rule that `password` breaks for the person of that login name. Empty = accepted.
    pub fn check(&self, password: &str, username: &str) -> Vec<Violation> {
        let length = password.chars().count();
        let mut broken = Vec::new();
        let mut rule = |is_broken: bool, v| {
            if is_broken {
                broken.push(v);
            }
        };
        rule(length < self.min_length.max(1), Violation::TooShort(self.min_length.max(1)));
        rule(length > MAX_LENGTH, Violation::TooLong);
        rule(password.chars().any(char::is_control), Violation::Control);
        rule(self.upper && !password.chars().any(char::is_uppercase), Violation::Upper);
        rule(self.lower && !password.chars().any(char::is_lowercase), Violation::Lower);
        rule(self.digit && !password.chars().any(|c| c.is_ascii_digit()), Violation::Digit);
        rule(self.special && password.chars().all(char::is_alphanumeric), Violation::Special);
        if length <= MAX_LENGTH {
            rule(self.refuse_common && is_common(password), Violation::Common);
            rule(contains_username(password, username), Violation::ContainsUsername);
        }
        broken
    }

    /// Whether a password set at that time must be changed now. An unknown time never expires.
    pub fn is_expired(&self, set: Option<Time>, now: Time) -> bool {
        match (self.expiry_days, set) {
            (Some(days), Some(set)) => now.signed_duration_since(set) >= TimeDelta::days(i64::from(days)),
            _ => false,
        }
    }
}

/// The login name, or the part of it before an `@`, makes up the password or a part of it that is not small change.
fn contains_username(password: &str, username: &str) -> bool {
    let password = plain(password);
    let whole = plain(username);
    let local = plain(username.split('@').next().unwrap_or_default());
    [whole, local].iter().any(|name| match name.chars().count() {
        0 => false,
        // a very short name is in many good passwords; only the password made of nothing else is refused
        1..=2 => password.trim_start_matches(name.as_str()).is_empty(),
        n => password.contains(name.as_str()) && password.chars().count() < n + 12,
    })
}

/// Lower case, and the usual digits-for-letters undone.
fn plain(s: &str) -> String {
    s.to_lowercase()
        .chars()
        .map(|c| match c {
            '@' | '4' => 'a',
            '0' => 'o',
            '3' => 'e',
            '1' | '!' => 'i',
            '$' | '5' => 's',
            '7' => 't',
            c => c,
        })
        .collect()
}

/// Exactly a well-known password, a well-known word with decoration, a keyboard walk, a sequence or a repetition.
fn is_common(password: &str) -> bool {
    let lower = password.to_lowercase();
    if COMMON.contains(&lower.as_str()) || is_walk(&lower) || is_repetition(&lower) {
        return true;
    }
    // the word inside the decoration: `Passw0rd!2024` → `password`
    let decoration = |c: char| !c.is_alphabetic();
    let undone = plain(lower.trim_end_matches(|c: char| c.is_ascii_digit() || c.is_ascii_punctuation()));
    let core = lower.trim_matches(decoration);
    [undone.trim_matches(decoration), core].iter().any(|w| WORDS.contains(w) || is_repetition_of_word(w))
}

fn is_repetition_of_word(word: &str) -> bool {
    WORDS.iter().any(|w| !word.is_empty() && word.len() > w.len() && word.replace(w, "").is_empty())
}

/// The same one to four characters again and again.
fn is_repetition(s: &str) -> bool {
    let chars: Vec<char> = s.chars().collect();
    (1..=4usize).any(|n| chars.len() > n && chars.iter().zip(chars.iter().skip(n)).all(|(a, b)| a == b))
}

/// Made of runs along the alphabet, the digits or a keyboard row, none shorter than three: `123456789012`, `qwertyasdfgh`.
fn is_walk(s: &str) -> bool {
    const ROWS: [&str; 8] = [
        "abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiop", "asdfghjkl", "zxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik", "!@#$%^&*()",
        "qazwsxedcrfvtgbyhnujmikolp",
    ];
    let chars: Vec<char> = s.chars().collect();
    if chars.len() < 6 || !s.is_ascii() {
        return false;
    }
    let backwards: Vec<String> = ROWS.iter().map(|r| r.chars().rev().collect()).collect();
    let rows: Vec<&str> = ROWS.iter().copied().chain(backwards.iter().map(String::as_str)).collect();
    let mut rest = s;
    while !rest.is_empty() {
        let run = (3..=rest.len()).rev().find(|n| rest.get(..*n).is_some_and(|head| rows.iter().any(|r| r.contains(head))));
        match run.and_then(|n| rest.get(n..)) {
            Some(tail) => rest = tail,
            None => return false,
        }
    }
    true
}

/// Words that make a password guessable when little else is in it.
const WORDS: &[&str] = &[
    "password", "passwort", "motdepasse", "passphrase", "changeme", "changemenow", "changethis", "letmein", "letmeinnow", "welcome", "welcomeback", "admin",
    "administrator", "adminadmin", "root", "rootroot", "toor", "superuser", "sysadmin", "superadmin", "manager", "operator", "guest", "default", "rampart",
    "jumpserver", "bastion", "secret", "topsecret", "security", "secure", "qwerty", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertz", "azerty", "iloveyou",
    "iloveyousomuch", "monkey", "dragon", "sunshine", "princess", "football", "baseball", "basketball", "superman", "batman", "trustno", "master", "shadow",
    "michael", "jordan", "jennifer", "hunter", "killer", "whatever", "starwars", "computer", "internet", "server", "database", "oracle", "mysql", "postgres",
    "linux", "windows", "microsoft", "google", "cisco", "huawei", "samsung", "summer", "winter", "spring", "autumn", "monday", "january", "company", "testing",
    "test", "tester", "testtest", "temp", "temporary", "demo", "example", "login", "user", "username", "passpass", "pass", "passw", "mypassword",
    "yourpassword", "thisismypassword", "newpassword", "passwordpassword", "nopassword", "qwertyqwerty", "correcthorsebatterystaple", "woaini", "wodemima",
    "mima", "aini",
];

/// Well-known passwords that none of the patterns above finds.
const COMMON: &[&str] = &[
    "1q2w3e4r5t6y", "1q2w3e4r5t", "1q2w3e4r", "q1w2e3r4t5y6", "q1w2e3r4t5", "zaq12wsxcde3", "zaq12wsx", "zaq1xsw2cde3", "1qaz2wsx3edc", "1qaz@wsx#edc",
    "1qaz@wsx3edc", "!qaz2wsx#edc", "!qaz@wsx#edc", "qwe123qwe123", "qweasdzxc123", "asd123asd123", "abc123abc123", "abcd1234abcd", "abcd12345678",
    "a1b2c3d4e5f6", "aa123456789", "a123456789a", "123456789abc", "123456abcdef", "1234qwerasdf", "1234qwerasdfzxcv", "147258369147", "147258369",
    "159753456852", "741852963741", "741852963", "p@ssw0rd1234", "p@ssw0rd", "pa$$w0rd", "pa$$word1234", "passw0rd", "admin123456", "admin@123456",
    "root@1234567", "huawei@12345", "q123456789", "5201314520", "520131420", "woaini520131", "1123581321345589", "3141592653589", "314159265358",
    "112233445566", "123123123123", "121212121212", "789456123", "789456123000", "987654321abc", "00112233445566", "10203040506070", "monkey123456",
    "dragon123456", "iloveyou1234", "letmein12345", "welcome12345", "changeme1234",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(password: &str) -> Vec<Violation> {
        PasswordRules::default().check(password, "alice.miller@example.org")
    }

    #[test]
    fn a_long_sentence_is_a_good_password() {
        for good in ["seven green bicycles", "tK9#vv2!mQpz", "Grüße aus dem Münsterland", "我们在山上看见了七只白色的鹿呢", "moving.Rusty-lamp77"]
        {
            assert_eq!(broken(good), vec![], "{good}");
        }
    }

    #[test]
    fn length_is_counted_in_characters_and_bounded_on_both_sides() {
        assert_eq!(broken("k7!pQz#vR2x"), vec![Violation::TooShort(12)]);
        assert_eq!(broken("山川草木鳥獣虫魚花"), vec![Violation::TooShort(12)]);
        assert!(broken(&"kT9#".repeat(65)).contains(&Violation::TooLong));
        assert!(PasswordRules { min_length: 0, ..Default::default() }.check("", "u").contains(&Violation::TooShort(1)));
    }

    #[test]
    fn what_everybody_tries_first_is_refused() {
        for bad in [
            "password1234", "Passw0rd!2024", "P@ssw0rd2025!", "123456789012", "abcdefghijkl", "qwertyuiop123", "aaaaaaaaaaaaaa", "abababababab",
            "Administrator1!", "changeme12345", "ChangeMe!!!!!", "987654321098", "Welcome2024!!", "passwordpassword", "qwertyasdfgh", "1qaz2wsx3edc4rfv",
            "adminadminadmin",
        ] {
            assert!(broken(bad).contains(&Violation::Common), "{bad}");
        }
        assert_eq!(PasswordRules { refuse_common: false, ..Default::default() }.check("password1234", "u"), vec![]);
    }

    #[test]
    fn the_user_name_is_not_a_password() {
        assert!(broken("alice.miller1").contains(&Violation::ContainsUsername));
        assert!(broken("X-Alice.Miller!").contains(&Violation::ContainsUsername));
        assert!(PasswordRules::default().check("b0bb0bb0bb0b", "bob").contains(&Violation::ContainsUsername));
        assert!(!PasswordRules::default().check("the bobsled went downhill", "bob").contains(&Violation::ContainsUsername));
    }

    #[test]
    fn classes_are_asked_for_only_when_switched_on() {
        let all = PasswordRules { upper: true, lower: true, digit: true, special: true, ..Default::default() };
        assert_eq!(all.check("purple elephant", "u"), vec![Violation::Upper, Violation::Digit]);
        assert_eq!(all.check("Purple Elephant 9", "u"), vec![]);
        assert_eq!(all.check("PURPLEELEPHANT9", "u"), vec![Violation::Lower, Violation::Special]);
    }

    #[test]
    fn a_password_expires_after_its_days() {
        let set: Time = "2026-01-01T00:00:00Z".parse().unwrap();
        let rules = PasswordRules { expiry_days: Some(90), ..Default::default() };
        assert!(!rules.is_expired(Some(set), set + TimeDelta::days(90) - TimeDelta::seconds(1)));
        assert!(rules.is_expired(Some(set), set + TimeDelta::days(90)));
        assert!(!rules.is_expired(None, set));
        assert!(!PasswordRules::default().is_expired(Some(set), set + TimeDelta::days(90_000)));
    }
}
