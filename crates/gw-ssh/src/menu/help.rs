//! The help of the menu: every input with what it does.

use messages::{Lang, text};

use super::table;

/// Input as shown, message that explains it.
const INPUTS: [(&str, &str); 13] = [
    ("TEXT", "menu.help_text"),
    ("/TEXT", "menu.help_search"),
    ("//TEXT", "menu.help_refine"),
    ("NUMBER", "menu.help_number"),
    ("p", "menu.help_all"),
    ("h", "menu.help_hosts"),
    ("g", "menu.help_folders"),
    ("gNUMBER", "menu.help_folder"),
    ("n, b", "menu.help_pages"),
    ("r", "menu.help_refresh"),
    ("s", "menu.help_language"),
    ("?", "menu.help_help"),
    ("q", "menu.help_quit"),
];

/// The help, no line wider than the screen.
pub(super) fn lines(lang: Lang, columns: usize) -> Vec<String> {
    let left = 9;
    let indent = 2 + left + 2;
    INPUTS
        .iter()
        .flat_map(|(input, code)| {
            let explained = table::wrap(&text(lang, code, &[]), columns.saturating_sub(indent + 1));
            explained.into_iter().enumerate().map(|(n, line)| format!("  {}  {line}", terminal::pad(if n == 0 { input } else { "" }, left))).collect::<Vec<_>>()
        })
        .collect()
}
