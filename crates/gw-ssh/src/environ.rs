//! Environment variables a client may set on a target, and the language they say the person wants.

use messages::Lang;

/// Most variables a channel may set.
const MAX_COUNT: usize = 64;
/// Longest value in bytes.
const MAX_VALUE: usize = 4096;

/// Whether a variable may pass. Only what changes language, colours and clocks: nothing a loader or shell acts on.
pub fn allowed(name: &str, value: &str) -> bool {
    let named = match name {
        "LANG" | "LANGUAGE" | "COLORTERM" | "COLORFGBG" | "NO_COLOR" | "FORCE_COLOR" | "CLICOLOR" | "TERM_PROGRAM" | "TERM_PROGRAM_VERSION" | "TZ" => true,
        _ => name.strip_prefix("LC_").is_some_and(|rest| !rest.is_empty() && rest.len() <= 60 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')),
    };
    named && value.len() <= MAX_VALUE && !value.contains('\0')
}

/// What a channel has set so far.
#[derive(Debug, Clone, Default)]
pub struct Environ(Vec<(String, String)>);

impl Environ {
    /// Keeps an allowed variable; the last value of a name counts. Whether it was kept.
    pub fn set(&mut self, name: String, value: String) -> bool {
        if !allowed(&name, &value) {
            return false;
        }
        let room = self.0.len() < MAX_COUNT;
        match self.0.iter_mut().find(|(n, _)| *n == name) {
            Some((_, v)) => *v = value,
            None if room => self.0.push((name, value)),
            None => return false,
        }
        true
    }
    /// All of them in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
    /// The language POSIX would choose for messages.
    pub fn lang(&self) -> Option<Lang> {
        let get = |name: &str| self.0.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str());
        get("LC_ALL").or_else(|| get("LC_MESSAGES")).or_else(|| get("LANG")).and_then(Lang::best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_variables_pass() {
        assert!(allowed("LANG", "de_DE.UTF-8"));
        assert!(allowed("LC_TIME", "C"));
        assert!(!allowed("LC_", "C"));
        assert!(!allowed("LD_PRELOAD", "x"));
        assert!(!allowed("PATH", "/"));
        assert!(!allowed("LANG", "a\0b"));
        assert!(!allowed("LANG", &"x".repeat(5000)));
    }

    #[test]
    fn the_language_follows_posix_order() {
        let mut env = Environ::default();
        assert_eq!(env.lang(), None);
        env.set("LANG".into(), "ja_JP.UTF-8".into());
        assert_eq!(env.lang(), Some(Lang::Ja));
        env.set("LC_ALL".into(), "zh_CN.UTF-8".into());
        assert_eq!(env.lang(), Some(Lang::ZhCn));
    }

    #[test]
    fn the_number_of_variables_is_bounded() {
        let mut env = Environ::default();
        for i in 0..200 {
            env.set(format!("LC_X{i}"), "1".into());
        }
        assert_eq!(env.iter().count(), MAX_COUNT);
    }
}
