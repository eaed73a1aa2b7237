//! What a line of the menu means, and what a list of targets spans.

use model::{Category, Page};
use session::{Target, TargetQuery};

/// Searches inside the result that may be stacked.
const MAX_REFINED: usize = 16;
/// Most rows that are looked through for a search inside the result; the store's own cap.
const WHOLE: u64 = 10_000;

/// A line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Leave,
    Help,
    Language,
    All,
    Hosts,
    Search { words: String, connect_single: bool },
    Refine(String),
    Number(u64),
    Folders,
    Folder(u64),
    Next,
    Previous,
    Refresh,
}

/// Reads a line. A number is a row while `listed` rows are shown, and words to search for otherwise.
pub(super) fn parse(line: &str, listed: u64) -> Command {
    match line {
        "q" | "quit" | "exit" => return Command::Leave,
        "?" => return Command::Help,
        "s" => return Command::Language,
        "p" => return Command::All,
        "h" => return Command::Hosts,
        "g" => return Command::Folders,
        "" | "n" => return Command::Next,
        "b" => return Command::Previous,
        "r" => return Command::Refresh,
        _ => {}
    }
    if let Some(words) = line.strip_prefix("//") {
        return Command::Refine(words.trim().to_owned());
    }
    if let Some(words) = line.strip_prefix('/') {
        return Command::Search { words: words.trim().to_owned(), connect_single: false };
    }
    let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit()).then(|| s.parse::<u64>().ok()).flatten();
    if let Some(n) = line.strip_prefix('g').map(str::trim_start).filter(|s| !s.is_empty()).and_then(plain) {
        return Command::Folder(n);
    }
    match plain(line) {
        Some(n) if (1..=listed).contains(&n) => Command::Number(n),
        _ => Command::Search { words: line.to_owned(), connect_single: true },
    }
}

/// Which targets a list spans, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct View {
    pub(super) search: String,
    pub(super) node: Option<String>,
    pub(super) category: Option<Category>,
    pub(super) refined: Vec<String>,
    pub(super) offset: u64,
}

impl View {
    /// No condition at all.
    pub(super) fn is_everything(&self) -> bool {
        self.search.is_empty() && self.node.is_none() && self.category.is_none() && self.refined.is_empty()
    }

    /// Only what also matches these words; begins at the first row.
    pub(super) fn refine(&mut self, words: String) {
        self.offset = 0;
        if !words.is_empty() && self.refined.len() < MAX_REFINED {
            self.refined.push(words.to_lowercase());
        }
    }

    /// What to ask for. Conditions that the query cannot say need all rows; [`Self::narrow`] then cuts the page out.
    pub(super) fn query(&self, limit: u64) -> TargetQuery {
        let (offset, limit) = if self.narrows() { (0, WHOLE) } else { (self.offset, limit) };
        TargetQuery { search: self.search.clone(), node: self.node.clone(), protocol: None, offset, limit }
    }

    /// The page of this view out of the answer to [`Self::query`].
    pub(super) fn narrow(&self, page: Page<Target>, limit: u16) -> Page<Target> {
        if !self.narrows() {
            return page;
        }
        let keep: Vec<Target> = page.rows.into_iter().filter(|t| self.matches(t)).collect();
        let count = keep.len() as u64;
        let skip = usize::try_from(self.offset).unwrap_or(usize::MAX);
        Page { count, rows: keep.into_iter().skip(skip).take(usize::from(limit)).collect() }
    }

    fn narrows(&self) -> bool {
        self.category.is_some() || !self.refined.is_empty()
    }

    fn matches(&self, target: &Target) -> bool {
        let asset = &target.asset;
        let texts = [&asset.name, &asset.address, &asset.comment].map(|t| t.to_lowercase());
        self.category.is_none_or(|c| c == asset.category) && self.refined.iter().all(|words| texts.iter().any(|t| t.contains(words.as_str())))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
    use super::*;

    #[test]
    fn lines_mean_what_the_help_says() {
        assert_eq!(parse("exit", 0), Command::Leave);
        assert_eq!(parse("", 5), Command::Next);
        assert_eq!(parse("3", 5), Command::Number(3));
        assert_eq!(parse("3", 2), Command::Search { words: "3".into(), connect_single: true });
        assert_eq!(parse("0", 2), Command::Search { words: "0".into(), connect_single: true });
        assert_eq!(parse("g12", 0), Command::Folder(12));
        assert_eq!(parse("g 2", 0), Command::Folder(2));
        assert_eq!(parse("gw1", 0), Command::Search { words: "gw1".into(), connect_single: true });
        assert_eq!(parse("/ web", 0), Command::Search { words: "web".into(), connect_single: false });
        assert_eq!(parse("//db", 0), Command::Refine("db".into()));
        assert_eq!(parse("10.0.0.5", 99), Command::Search { words: "10.0.0.5".into(), connect_single: true });
        assert_eq!(parse("99999999999999999999999", 99), Command::Search { words: "99999999999999999999999".into(), connect_single: true });
    }
}
