//! What a person writes before the `@rampart-host`: who he is and, optionally, where he wants to go.
//!
//! ```text
//! login                       the menu
//! login@account@asset         direct; also login#account#asset
//! login:asset                 direct, account if unambiguous; also login:account@asset
//! JMS-token                   a connection token
//! ```
//!
//! Read from the right, so that logins which look like mail addresses work: `alice@corp.com@root@web1`. One `@` alone
//! belongs to the login. An account may be an alias: `alice@@INPUT@web1`.

/// Longest user name that is looked at, in bytes.
pub const MAX: usize = 512;

/// A parsed user name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username {
    /// Who.
    pub login: String,
    /// Where to.
    pub destination: Destination,
}

/// Where a person wants to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Nowhere yet: the menu.
    Menu,
    /// A target.
    Direct {
        /// User name, account name or alias as written; `None` means whatever is unambiguous.
        account: Option<String>,
        /// Name, address or start of the id.
        asset: String,
    },
    /// A one-time connection token.
    Token,
}

/// Why a user name cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadUsername {
    /// Longer than [`MAX`].
    #[error("the user name is too long")]
    TooLong,
    /// No login in it, or control characters.
    #[error("the user name is not usable")]
    Unusable,
}

impl Username {
    /// Reads a user name from the wire.
    ///
    /// # Errors
    /// [`BadUsername`].
    pub fn parse(raw: &str) -> Result<Self, BadUsername> {
        if raw.len() > MAX {
            return Err(BadUsername::TooLong);
        }
        if raw.chars().any(char::is_control) {
            return Err(BadUsername::Unusable);
        }
        if raw.starts_with("JMS-") {
            return Ok(Self { login: raw.to_owned(), destination: Destination::Token });
        }
        let (login, destination) = split(raw);
        if login.is_empty() {
            return Err(BadUsername::Unusable);
        }
        Ok(Self { login: login.to_owned(), destination })
    }
}

fn split(raw: &str) -> (&str, Destination) {
    if let Some((login, account, asset)) = triple(raw, '#') {
        return (login, direct(Some(account), asset));
    }
    let last_at = raw.rfind('@');
    let colon = raw.find(':');
    // A colon right of the last `@` of an at-form belongs to an IPv6 address.
    let at_form_first = match (last_at, colon) {
        (Some(at), Some(colon)) => colon > at,
        (Some(_), None) => true,
        _ => false,
    };
    if at_form_first && let Some((login, account, asset)) = triple(raw, '@') {
        return (login, direct(Some(account), asset));
    }
    if let Some((login, rest)) = raw.split_once(':') {
        return match rest.rsplit_once('@') {
            Some((account, asset)) => (login, direct(Some(account), asset)),
            None => (login, direct(None, rest)),
        };
    }
    (raw, Destination::Menu)
}

/// `login SEP account SEP asset` from the right. `login@@USER@asset` names the alias `@USER`.
fn triple(raw: &str, sep: char) -> Option<(&str, &str, &str)> {
    let (rest, asset) = raw.rsplit_once(sep)?;
    let (login, account) = rest.rsplit_once(sep)?;
    if sep == '@' && is_alias(account) && login.ends_with('@') {
        let login = login.strip_suffix('@')?;
        let account = rest.get(login.len() + 1..)?;
        return Some((login, account, asset));
    }
    Some((login, account, asset))
}

fn is_alias(account: &str) -> bool {
    matches!(account, "USER" | "INPUT" | "ANON")
}

fn direct(account: Option<&str>, asset: &str) -> Destination {
    Destination::Direct { account: account.filter(|a| !a.is_empty()).map(str::to_owned), asset: asset.to_owned() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(raw: &str) -> (String, Option<(Option<String>, String)>) {
        let u = Username::parse(raw).unwrap();
        let to = match u.destination {
            Destination::Direct { account, asset } => Some((account, asset)),
            _ => None,
        };
        (u.login, to)
    }

    fn to(login: &str, account: &str, asset: &str) -> (String, Option<(Option<String>, String)>) {
        (login.into(), Some((Some(account.into()).filter(|a: &String| !a.is_empty()), asset.into())))
    }

    #[test]
    fn every_form_is_read_from_the_right() {
        assert_eq!(parsed("alice"), ("alice".into(), None));
        assert_eq!(parsed("alice@corp.com"), ("alice@corp.com".into(), None));
        assert_eq!(parsed("alice@root@web1"), to("alice", "root", "web1"));
        assert_eq!(parsed("alice#root#web1"), to("alice", "root", "web1"));
        assert_eq!(parsed("alice:web1"), to("alice", "", "web1"));
        assert_eq!(parsed("alice:root@web1"), to("alice", "root", "web1"));
        assert_eq!(parsed("alice@corp.com@root@web1"), to("alice@corp.com", "root", "web1"));
        assert_eq!(parsed("alice@corp.com#root#web1"), to("alice@corp.com", "root", "web1"));
        assert_eq!(parsed("alice@corp.com:web1"), to("alice@corp.com", "", "web1"));
        assert_eq!(parsed("alice@corp.com:root@web1"), to("alice@corp.com", "root", "web1"));
        assert_eq!(parsed("alice@@web1"), to("alice", "", "web1"));
    }

    #[test]
    fn addresses_with_colons_are_assets() {
        assert_eq!(parsed("alice@root@2001:db8::1"), to("alice", "root", "2001:db8::1"));
        assert_eq!(parsed("alice@corp.com@root@::1"), to("alice@corp.com", "root", "::1"));
        assert_eq!(parsed("alice#root#::1"), to("alice", "root", "::1"));
        assert_eq!(parsed("alice:root@::1"), to("alice", "root", "::1"));
        assert_eq!(parsed("alice:2001:db8::1"), to("alice", "", "2001:db8::1"));
    }

    #[test]
    fn aliases_keep_their_sign() {
        assert_eq!(parsed("alice@@INPUT@web1"), to("alice", "@INPUT", "web1"));
        assert_eq!(parsed("alice@corp.com@@USER@web1"), to("alice@corp.com", "@USER", "web1"));
        assert_eq!(parsed("alice#@USER#web1"), to("alice", "@USER", "web1"));
        assert_eq!(parsed("alice:@INPUT@web1"), to("alice", "@INPUT", "web1"));
    }

    #[test]
    fn bad_names_are_refused() {
        assert_eq!(Username::parse(""), Err(BadUsername::Unusable));
        assert_eq!(Username::parse("@root@web1"), Err(BadUsername::Unusable));
        assert_eq!(Username::parse("a\u{1b}[2J"), Err(BadUsername::Unusable));
        assert_eq!(Username::parse(&"a".repeat(MAX + 1)), Err(BadUsername::TooLong));
        assert_eq!(Username::parse("JMS-abc").unwrap().destination, Destination::Token);
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_panic(raw in ".{0,600}") {
            let _ = Username::parse(&raw);
        }

        #[test]
        fn what_was_written_comes_back(
            login in "[a-z][a-z0-9._-]{0,12}(@[a-z]{1,8}\\.[a-z]{2,3})?",
            account in "[a-zA-Z0-9._-]{1,12}",
            asset in "[a-zA-Z0-9._-]{1,20}",
            form in 0..3,
        ) {
            let raw = match form {
                0 => format!("{login}@{account}@{asset}"),
                1 => format!("{login}#{account}#{asset}"),
                _ => format!("{login}:{account}@{asset}"),
            };
            prop_assert_eq!(parsed(&raw), to(&login, &account, &asset));
        }
    }
}
