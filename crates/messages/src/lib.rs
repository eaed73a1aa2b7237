//! Every sentence a person can see, in every language.
//!
//! One file per area in `locales/`, one table per message, one key per language. A message is named `area.name`.
//! Placeholders are `{name}`; they are a closed list per message and replaced once, so a value that looks like a
//! placeholder is shown as it is. Values must already be safe to show (no control characters).
//!
//! INVARIANT (tests): every message has all languages, with the same placeholders.

use std::{collections::HashMap, sync::LazyLock};

use model::MessagePair;

/// A language people can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    ZhCn,
    /// Traditional Chinese.
    ZhHant,
    /// Japanese.
    Ja,
}

impl Lang {
    /// All of them, in the order menus show them.
    pub const ALL: [Lang; 4] = [Lang::En, Lang::ZhCn, Lang::ZhHant, Lang::Ja];

    /// BCP 47 tag.
    pub const fn tag(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::ZhCn => "zh-CN",
            Lang::ZhHant => "zh-Hant",
            Lang::Ja => "ja",
        }
    }

    /// The language's own name.
    pub const fn name(self) -> &'static str {
        match self {
            Lang::En => "English",
            Lang::ZhCn => "简体中文",
            Lang::ZhHant => "繁體中文",
            Lang::Ja => "日本語",
        }
    }

    /// The best match for a BCP 47 tag, a POSIX locale (`zh_CN.UTF-8`) or an `Accept-Language` header.
    pub fn best(wanted: &str) -> Option<Lang> {
        wanted.split(',').take(16).find_map(|part| {
            let tag = part.split([';', '.', '@']).next().unwrap_or_default().trim().replace('_', "-").to_lowercase();
            match tag.as_str() {
                "zh-tw" | "zh-hk" | "zh-mo" => Some(Lang::ZhHant),
                t if t.starts_with("zh-hant") => Some(Lang::ZhHant),
                t if t == "zh" || t.starts_with("zh-") => Some(Lang::ZhCn),
                t if t == "ja" || t.starts_with("ja-") => Some(Lang::Ja),
                t if t == "en" || t.starts_with("en-") => Some(Lang::En),
                _ => None,
            }
        })
    }
}

type Texts = HashMap<String, [String; 4]>;

const AREAS: &[(&str, &str)] = &[
    ("access", include_str!("../locales/access.toml")),
    ("api", include_str!("../locales/api.toml")),
    ("cli", include_str!("../locales/cli.toml")),
    ("login", include_str!("../locales/login.toml")),
    ("password", include_str!("../locales/password.toml")),
    ("key", include_str!("../locales/key.toml")),
    ("menu", include_str!("../locales/menu.toml")),
    ("session", include_str!("../locales/session.toml")),
    ("system", include_str!("../locales/system.toml")),
    ("target", include_str!("../locales/target.toml")),
];

static TEXTS: LazyLock<Texts> = LazyLock::new(|| {
    let mut all = Texts::new();
    for (area, source) in AREAS {
        // A file that does not parse yields no messages; the unit tests refuse that.
        let parsed: HashMap<String, HashMap<String, String>> = toml::from_str(source).unwrap_or_default();
        for (name, langs) in parsed {
            let text = |l: Lang| langs.get(l.tag()).or_else(|| langs.get("en")).cloned().unwrap_or_default();
            all.insert(format!("{area}.{name}"), Lang::ALL.map(text));
        }
    }
    all
});

/// The sentence `code` in `lang` with its placeholders filled. An unknown code is shown as itself.
pub fn text(lang: Lang, code: &str, args: &[(&str, &str)]) -> String {
    let Some(template) = TEXTS.get(code).map(|t| match lang {
        Lang::En => &t[0],
        Lang::ZhCn => &t[1],
        Lang::ZhHant => &t[2],
        Lang::Ja => &t[3],
    }) else {
        return code.to_owned();
    };
    let mut out = String::with_capacity(template.len() + 32);
    let mut rest = template.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        match after.split_once('}') {
            Some((name, tail)) => {
                match args.iter().find(|(n, _)| *n == name) {
                    Some((_, value)) => out.push_str(value),
                    None => {
                        out.push('{');
                        out.push_str(name);
                        out.push('}');
                    }
                }
                rest = tail;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// The sentence of an error for a person.
pub fn render(lang: Lang, message: &MessagePair) -> String {
    let args: Vec<(&str, &str)> = message.args.iter().map(|(n, v)| (*n, v.as_str())).collect();
    text(lang, message.code, &args)
}

/// Whether a sentence exists.
pub fn exists(code: &str) -> bool {
    TEXTS.contains_key(code)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn placeholders(s: &str) -> BTreeSet<String> {
        s.split('{').skip(1).filter_map(|p| p.split_once('}').map(|(n, _)| n.to_owned())).collect()
    }

    #[test]
    fn every_message_has_every_language_with_the_same_placeholders() {
        for (area, source) in AREAS {
            let parsed: HashMap<String, HashMap<String, String>> = toml::from_str(source).unwrap_or_else(|e| panic!("{area}: {e}"));
            for (name, langs) in parsed {
                let en = placeholders(langs.get("en").unwrap_or_else(|| panic!("{area}.{name} has no en")));
                for lang in Lang::ALL {
                    let text = langs.get(lang.tag()).unwrap_or_else(|| panic!("{area}.{name} has no {}", lang.tag()));
                    assert!(!text.trim().is_empty(), "{area}.{name} is empty in {}", lang.tag());
                    assert_eq!(placeholders(text), en, "{area}.{name} differs in {}", lang.tag());
                }
                assert_eq!(langs.len(), 4, "{area}.{name} has an unknown language");
            }
        }
    }

    #[test]
    fn values_that_look_like_placeholders_stay_as_they_are() {
        assert_eq!(text(Lang::En, "access.unknown_target", &[("name", "{name}")]).matches("{name}").count(), 1);
    }

    #[test]
    fn languages_are_matched_by_tag_locale_and_header() {
        assert_eq!(Lang::best("zh_CN.UTF-8"), Some(Lang::ZhCn));
        assert_eq!(Lang::best("zh-TW,zh;q=0.9"), Some(Lang::ZhHant));
        assert_eq!(Lang::best("fr-FR,ja;q=0.5"), Some(Lang::Ja));
        assert_eq!(Lang::best("C"), None);
    }
}
