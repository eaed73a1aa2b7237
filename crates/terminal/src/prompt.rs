//! What prompts look like. Guesses, used only where the shell's own marks (bracketed paste, OSC 133) are missing.

/// Characters that end a prompt.
const ENDS: [char; 14] = ['$', '#', '%', '>', '❯', '➜', 'λ', '»', '›', '⟩', '▶', '⮞', '\u{e0b0}', '❱'];

/// Does the text left of the cursor look like a prompt of a shell or an interpreter?
pub fn looks_like_prompt(left: &str) -> bool {
    let text = left.trim_end();
    let Some(last) = text.chars().next_back() else { return false };
    if text.chars().count() > 200 {
        return false;
    }
    match last {
        // progress displays end in "42%"; a prompt of that form has a blank behind and no digit before
        '%' => left.ends_with(' ') && !text.trim_end_matches('%').ends_with(|c: char| c.is_ascii_digit()),
        // Huawei and H3C system view
        ']' => text.starts_with('[') && !text.contains(' '),
        '.' => text == "..." || text.ends_with(" ..."),
        last => ENDS.contains(&last),
    }
}

/// Where the text behind the prompt begins in a row whose prompt is not known: the byte behind the first prompt
/// character that is followed by a blank.
pub fn guess_end(row: &str) -> Option<usize> {
    let mut chars = row.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if ENDS.contains(&c) && matches!(chars.peek(), Some((_, ' '))) && looks_like_prompt(row.get(..at + c.len_utf8() + 1)?) {
            return Some(at + c.len_utf8() + 1);
        }
    }
    None
}

/// The words of zsh's continuation prompt (`PS2='%_> '`).
const ZSH_WORDS: [&str; 31] = [
    "for", "while", "until", "repeat", "select", "if", "then", "elif", "else", "case", "function", "quote", "dquote", "bquote", "heredoc", "heredocd",
    "cmdsubst", "cmdor", "cmdand", "pipe", "errpipe", "braceparam", "subsh", "cursh", "array", "mathsubst", "math", "always", "foreach", "cond", "elif-then",
];

/// Is `prompt`, which came up at once after a line at the prompt `first`, the prompt for the rest of the same
/// command? `so_far` is that command's text.
pub fn continues(prompt: &str, first: &str, so_far: &str) -> bool {
    let (trimmed, first) = (prompt.trim(), first.trim());
    if trimmed == first {
        return is_incomplete(so_far) && !trimmed.is_empty();
    }
    if trimmed == "$" || trimmed == "#" || trimmed == "%" || trimmed == ">>>" {
        return false;
    }
    if so_far.contains("PS1=") && !is_incomplete(so_far) {
        return false;
    }
    if let Some(words) = trimmed.strip_suffix('>') {
        let words = words.trim_end();
        if words.split_whitespace().all(|w| ZSH_WORDS.contains(&w)) {
            return true;
        }
        // mysql: "    -> ", "    '> ", "    \"> ", "    `> ", "   /*> "
        if matches!(words.trim_start(), "-" | "'" | "\"" | "`" | "/*") {
            return true;
        }
        // MariaDB [db]> keeps the width of its prompt
    }
    // psql: "db=# " continues as "db-# ", "db(# ", "db'# ", …
    if let (Some(a), Some(b)) = (psql_stem(trimmed), psql_stem(first)) {
        return a.0 == b.0 && a.1 != '=' && b.1 == '=';
    }
    // "...", "…", "->", "::", "∙": signs only
    if !trimmed.is_empty() && trimmed.chars().count() <= 6 && !trimmed.chars().any(char::is_alphanumeric) && !trimmed.ends_with(['$', '#', '%']) {
        return true;
    }
    // a customised continuation prompt: believed when the text cannot be a whole command
    !trimmed.is_empty() && !looks_alike(trimmed, first) && is_incomplete(so_far)
}

fn psql_stem(prompt: &str) -> Option<(&str, char)> {
    let body = prompt.strip_suffix(['#', '>'])?;
    let state = body.chars().next_back()?;
    "=-*'\"$(!^".contains(state).then(|| (body.trim_end_matches(state), state))
}

/// Two prompts of the same shell that differ in a part (directory, time, mode): same last sign, same beginning.
pub fn looks_alike(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim_end(), b.trim_end());
    let same_end = a.chars().next_back() == b.chars().next_back();
    let same_start = a.chars().zip(b.chars()).take_while(|(x, y)| x == y).count();
    same_end && same_start * 3 >= a.chars().count().min(b.chars().count())
}

/// Can this not yet be a whole shell command: an open quote, a here-document without its end, a line that ends
/// in a backslash or an operator?
pub fn is_incomplete(text: &str) -> bool {
    let mut quote: Option<char> = None;
    let mut escaped = false;
    let mut comment = false;
    let mut previous = ' ';
    let mut depth = 0i32;
    for c in text.chars() {
        if escaped {
            escaped = false;
        } else if comment {
            comment = c != '\n';
        } else {
            match (quote, c) {
                (Some('\''), '\'') => quote = None,
                (Some('\''), _) => {}
                (_, '\\') => escaped = true,
                (Some(q), c) if c == q => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"' | '`') => quote = Some(c),
                (None, '#') if previous.is_whitespace() => comment = true,
                (None, '(' | '{') => depth += 1,
                (None, ')' | '}') => depth -= 1,
                _ => {}
            }
        }
        previous = c;
    }
    let end = text.trim_end();
    let operator = end.ends_with('|') || end.ends_with("&&");
    let block = ["do", "then", "else"].iter().any(|w| end == *w || end.ends_with(&format!(" {w}")) || end.ends_with(&format!("\n{w}")));
    let opened = |open: &[&str], close: &str| {
        let first = text.split_whitespace().next().unwrap_or("");
        open.contains(&first) && !text.split(|c: char| c.is_whitespace() || c == ';').any(|w| w == close)
    };
    escaped
        || quote.is_some()
        || (depth > 0 && !comment)
        || (operator && !comment)
        || (block && !comment)
        || opened(&["for", "while", "until", "select"], "done")
        || opened(&["if"], "fi")
        || opened(&["case"], "esac")
        || open_here_document(text)
}

fn open_here_document(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, behind)) = rest.split_once("<<") {
        rest = behind;
        if let Some(string) = behind.strip_prefix('<') {
            rest = string;
            continue;
        }
        let word = behind.strip_prefix('-').unwrap_or(behind).trim_start_matches(' ');
        let word: String = word.chars().take_while(|c| !c.is_whitespace() && !";|&<>()".contains(*c)).collect();
        let word: String = word.chars().filter(|c| !"'\"\\".contains(*c)).collect();
        if word.is_empty() || word.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        if !text.lines().skip(1).any(|line| line.trim_start_matches('\t') == word) {
            return true;
        }
    }
    false
}

/// Is this what a password field shows instead of the text?
pub fn is_bullets(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.chars().all(|c| "*●•∙·⚫⬤∗✱".contains(c))
}
