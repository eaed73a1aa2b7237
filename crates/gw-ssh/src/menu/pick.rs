//! Choosing an account of an asset: a numbered list, and the user name when the person types it.

use messages::{Lang, text};
use session::{AccountAsk, AccountChoice};

use super::table;

/// Wrong answers before the choice is given up.
const TRIES: u8 = 3;

/// The state of one choice.
#[derive(Debug, Clone)]
pub struct Picker {
    asset: String,
    choices: Vec<AccountChoice>,
    tries: u8,
    naming: bool,
}

/// What a line led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picked {
    /// This one.
    Account(AccountAsk),
    /// Ask again, after these lines.
    Again(Vec<String>),
    /// Never mind.
    Back,
}

impl Picker {
    /// A choice among `choices` on the asset of that (unescaped) name; at once decided when there is nothing to choose.
    ///
    /// # Errors
    /// The account, when there is only one and nothing to type.
    pub fn new(asset: &str, choices: Vec<AccountChoice>) -> Result<Self, AccountAsk> {
        if let [only] = choices.as_slice()
            && !is_typed(only)
        {
            return Err(only.ask.clone());
        }
        let naming = choices.len() == 1;
        Ok(Self { asset: terminal::safe(asset), choices, tries: TRIES, naming })
    }

    /// What stands above the prompt.
    pub fn show(&self, lang: Lang, columns: usize) -> Vec<String> {
        if self.naming {
            return Vec::new();
        }
        let mut lines = table::wrap(&text(lang, "menu.accounts_title", &[("asset", &self.asset)]), columns.saturating_sub(1));
        lines.extend(table::numbered(columns, (1..).zip(self.choices.iter().map(|c| label(lang, c)))));
        lines.extend(table::wrap(&text(lang, "menu.hint_pick", &[]), columns.saturating_sub(1)));
        lines
    }

    /// The prompt.
    pub fn prompt(&self, lang: Lang) -> String {
        text(lang, if self.naming { "menu.prompt_username" } else { "menu.prompt_account" }, &[]) + "> "
    }

    /// One line of input.
    pub fn line(&mut self, lang: Lang, line: &str) -> Picked {
        if self.naming {
            return self.name(lang, line);
        }
        if matches!(line, "b" | "back" | "q" | "quit" | "exit") {
            return Picked::Back;
        }
        let by_number = line.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).and_then(|i| self.choices.get(i));
        let mut named = self.choices.iter().filter(|c| !line.is_empty() && (c.username == line || c.name == line));
        let by_name = named.next().filter(|_| named.next().is_none());
        match by_number.or(by_name) {
            Some(choice) if is_typed(choice) => {
                self.naming = true;
                Picked::Again(Vec::new())
            }
            Some(choice) => Picked::Account(choice.ask.clone()),
            None => self.wrong(lang, "menu.bad_choice"),
        }
    }

    fn name(&mut self, lang: Lang, line: &str) -> Picked {
        if line.is_empty() {
            return Picked::Back;
        }
        if line.chars().count() > 128 || line.chars().any(char::is_whitespace) {
            return self.wrong(lang, "menu.bad_username");
        }
        Picked::Account(AccountAsk::Input(line.to_owned()))
    }

    fn wrong(&mut self, lang: Lang, code: &str) -> Picked {
        self.tries = self.tries.saturating_sub(1);
        if self.tries == 0 { Picked::Back } else { Picked::Again(vec![text(lang, code, &[])]) }
    }
}

/// Whether the person types the user name.
fn is_typed(choice: &AccountChoice) -> bool {
    matches!(&choice.ask, AccountAsk::Input(name) if name.is_empty()) || (choice.username.is_empty() && !matches!(choice.ask, AccountAsk::Id(_)))
}

fn label(lang: Lang, choice: &AccountChoice) -> String {
    let (name, username) = (terminal::safe(&choice.name), terminal::safe(&choice.username));
    let mut label = match choice.ask {
        _ if is_typed(choice) => return text(lang, "menu.account_typed", &[]),
        AccountAsk::SameName => text(lang, "menu.account_same", &[("username", &username)]),
        _ if username.is_empty() || name == username => name,
        _ => format!("{name} ({username})"),
    };
    if choice.types_secret {
        label.push_str(" · ");
        label.push_str(&text(lang, "menu.types_secret", &[]));
    }
    label
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
    use super::*;

    fn choice(ask: AccountAsk, name: &str, username: &str) -> AccountChoice {
        AccountChoice { ask, name: name.into(), username: username.into(), types_secret: false }
    }

    fn two() -> Vec<AccountChoice> {
        vec![choice(AccountAsk::Written("root".into()), "root", "root"), choice(AccountAsk::Input(String::new()), "@INPUT", "")]
    }

    #[test]
    fn one_stored_account_needs_no_question() {
        let only = vec![choice(AccountAsk::SameName, "@USER", "alice")];

        assert_eq!(Picker::new("web1", only).unwrap_err(), AccountAsk::SameName);
    }

    #[test]
    fn accounts_are_chosen_by_number_or_name() {
        for line in ["1", "root"] {
            assert_eq!(Picker::new("web1", two()).unwrap().line(Lang::En, line), Picked::Account(AccountAsk::Written("root".into())));
        }
    }

    #[test]
    fn a_typed_account_asks_for_the_user_name() {
        let mut picker = Picker::new("web1", two()).unwrap();

        assert_eq!(picker.line(Lang::En, "2"), Picked::Again(Vec::new()));
        assert_eq!(picker.prompt(Lang::En), "User name> ");
        assert_eq!(picker.line(Lang::En, "bob"), Picked::Account(AccountAsk::Input("bob".into())));
    }

    #[test]
    fn three_wrong_answers_lead_back() {
        let mut picker = Picker::new("web1", two()).unwrap();

        assert!(matches!(picker.line(Lang::En, "0"), Picked::Again(_)));
        assert!(matches!(picker.line(Lang::En, "3"), Picked::Again(_)));
        assert_eq!(picker.line(Lang::En, "99999999999999999999"), Picked::Back);
    }
}
