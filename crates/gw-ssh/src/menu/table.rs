//! Tables and paragraphs that fit a screen of any width, with wide characters counted right and names made harmless.

use messages::{Lang, text};
use session::Target;

/// Between two columns.
const GAP: usize = 2;

/// A column: its heading, the least it may be cut to, and whether a narrow screen may lose it.
struct Column {
    heading: String,
    cells: Vec<String>,
    least: usize,
}

/// Targets as lines no wider than `columns`. Rows are numbered from `first`.
pub fn targets(lang: Lang, columns: usize, first: u64, rows: &[Target]) -> Vec<String> {
    let heading = |code: &str| text(lang, code, &[]);
    let cells = |f: &dyn Fn(&Target) -> &str| rows.iter().map(|t| terminal::safe(f(t))).collect();
    let ids: Vec<String> = (first..).take(rows.len()).map(|n| n.to_string()).collect();
    let id_width = ids.iter().map(|s| s.len()).max().unwrap_or(2).max(2);
    layout(
        columns,
        vec![
            Column { heading: heading("menu.column_id"), cells: ids, least: id_width },
            Column { heading: heading("menu.column_name"), cells: cells(&|t| &t.asset.name), least: 16 },
            Column { heading: heading("menu.column_address"), cells: cells(&|t| &t.asset.address), least: 15 },
            Column { heading: heading("menu.column_platform"), cells: cells(&|t| &t.platform), least: 8 },
            Column { heading: heading("menu.column_organization"), cells: cells(&|t| &t.org), least: 10 },
            Column { heading: heading("menu.column_comment"), cells: cells(&|t| &t.asset.comment), least: 8 },
        ],
    )
}

/// Two columns: a number and a text each.
pub fn numbered(columns: usize, items: impl IntoIterator<Item = (u64, String)>) -> Vec<String> {
    let items: Vec<_> = items.into_iter().collect();
    let digits = items.iter().map(|(n, _)| n.to_string().len()).max().unwrap_or(1).max(2);
    items.iter().map(|(n, what)| format!("  {n:>digits$}  {}", terminal::truncate(what, columns.saturating_sub(digits + 5).max(1)))).collect()
}

/// Cuts columns to the screen: the rightmost are dropped while even the least widths do not fit, then what is left over is
/// shared out, the leftmost first.
fn layout(columns: usize, mut table: Vec<Column>) -> Vec<String> {
    let room = columns.saturating_sub(1);
    let natural = |c: &Column| c.cells.iter().chain([&c.heading]).map(|s| terminal::width(s)).max().unwrap_or(0);
    let mut widths: Vec<usize> = table.iter().map(|c| natural(c).min(c.least.max(terminal::width(&c.heading)))).collect();
    let total = |w: &[usize]| w.iter().sum::<usize>() + GAP * w.len().saturating_sub(1);
    while widths.len() > 2 && total(&widths) > room {
        widths.pop();
        table.pop();
    }
    let mut spare = room.saturating_sub(total(&widths));
    for (column, width) in table.iter().zip(widths.iter_mut()) {
        let more = natural(column).saturating_sub(*width).min(spare);
        *width += more;
        spare -= more;
    }
    if let Some(over) = total(&widths).checked_sub(room)
        && let Some(last) = widths.last_mut()
    {
        *last = last.saturating_sub(over).max(1);
    }
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, w)| terminal::pad(cell, *w)).collect();
        padded.join(&" ".repeat(GAP)).trim_end().to_owned()
    };
    let rows = table.first().map_or(0, |c| c.cells.len());
    let mut lines = Vec::with_capacity(rows + 2);
    lines.push(line(table.iter().map(|c| c.heading.as_str()).collect()));
    lines.push(widths.iter().map(|w| "-".repeat(*w)).collect::<Vec<_>>().join(&" ".repeat(GAP)));
    lines.extend((0..rows).map(|n| line(table.iter().map(|c| c.cells.get(n).map_or("", String::as_str)).collect())));
    lines
}

/// A sentence broken into lines no wider than `columns`: at blanks, and between wide characters.
pub fn wrap(sentence: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(8);
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), 0);
    for word in words(sentence) {
        let w = terminal::width(word.trim_end());
        if used > 0 && used + w > columns {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
            used = 0;
        }
        if w > columns {
            // A word longer than the line is cut wherever the line ends.
            for c in word.chars() {
                let cw = terminal::width(c.encode_utf8(&mut [0; 4]));
                if used + cw > columns {
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                }
                line.push(c);
                used += cw;
            }
            continue;
        }
        line.push_str(word);
        used += terminal::width(word);
    }
    if !line.trim_end().is_empty() || lines.is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// Pieces that stay together: words with the blanks behind them, single wide characters.
fn words(sentence: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut before = None;
    for (at, c) in sentence.char_indices() {
        let wide = |c: char| terminal::width(c.encode_utf8(&mut [0; 4])) == 2;
        let breaks = before.is_some_and(|b: char| (b == ' ' && c != ' ') || ((wide(b) || wide(c)) && c != ' ' && !closes(c)));
        if breaks {
            pieces.extend(sentence.get(start..at));
            start = at;
        }
        before = Some(c);
    }
    pieces.extend(sentence.get(start..).filter(|s| !s.is_empty()));
    pieces
}

/// Punctuation that must not begin a line.
fn closes(c: char) -> bool {
    matches!(c, ',' | '.' | ';' | ':' | '!' | '?' | ')' | '，' | '。' | '、' | '；' | '：' | '！' | '？' | '）' | '」' | '』' | '”' | '·')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
    use super::*;

    #[test]
    fn sentences_are_wrapped_at_blanks_and_between_wide_characters() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("输入编号即可连接,按回车翻页", 12), ["输入编号即可", "连接,按回车", "翻页"]);
        assert_eq!(wrap("abcdefghijkl", 8), ["abcdefgh", "ijkl"]);
        assert_eq!(wrap("", 8), [""]);
    }

    #[test]
    fn no_wrapped_line_is_wider_than_the_screen() {
        for lang in Lang::ALL {
            for code in ["menu.hint_list", "menu.help_text", "menu.hint_folders", "menu.idle"] {
                for columns in [40, 53, 80] {
                    assert!(wrap(&text(lang, code, &[]), columns).iter().all(|l| terminal::width(l) <= columns));
                }
            }
        }
    }
}
