//! History expansion: `sudo !!` is not what runs. The shell prints the line that does before it runs it.

/// Characters that end a history event in a line.
const ENDS: &str = " \t;|&<>()\"'`";

/// The line that the shell really ran, if `text` calls for history and `first`, the first line printed after it, can
/// be what came of it. `last` is the command before.
pub fn expanded<'a>(text: &str, first: &'a str, last: &str) -> Option<&'a str> {
    let first = first.trim_end();
    if text.contains('\n') || first.is_empty() || first == text || first.contains("event not found") {
        return None;
    }
    if let Some(body) = text.strip_prefix('^') {
        let mut parts = body.split('^');
        let (from, to) = (parts.next()?, parts.next()?);
        return (!from.is_empty() && last.replacen(from, to, 1) == first).then_some(first);
    }
    let (start, _) = text.char_indices().find(|(at, _)| is_event(text, *at))?;
    let event = text.get(start + 1..)?;
    let end = event.char_indices().find(|(_, c)| ENDS.contains(*c)).map_or(event.len(), |(at, _)| at);
    let (word, behind) = event.split_at_checked(end)?;
    let before = text.get(..start)?;
    let middle = first.strip_prefix(before)?;
    // a second event behind the first cannot be checked
    let more = behind.char_indices().any(|(at, _)| is_event(behind, at));
    let middle = if more { middle } else { middle.strip_suffix(behind)? };
    let known = match word.chars().next()? {
        '!' if word.len() == 1 => middle == last,
        '!' => true,
        '$' | '^' | '*' | ':' => !before.is_empty() || word.len() > 1,
        '0'..='9' | '-' => !middle.is_empty(),
        '?' => word.trim_matches('?').is_empty() || middle.contains(word.trim_matches('?')),
        _ => middle.starts_with(word.split(':').next().unwrap_or(word)),
    };
    known.then_some(first)
}

/// Does a history event begin at this byte: an exclamation mark that is neither quoted nor an operator?
fn is_event(text: &str, at: usize) -> bool {
    let Some(rest) = text.get(at..).and_then(|r| r.strip_prefix('!')) else { return false };
    let before = text.get(..at).unwrap_or("");
    let quoted = before.matches('\'').count() % 2 == 1 || before.ends_with('\\');
    !quoted && rest.chars().next().is_some_and(|c| !c.is_whitespace() && !"=(\"".contains(c))
}

#[cfg(test)]
mod tests {
    use super::expanded;

    #[test]
    fn the_line_that_the_shell_printed_is_taken_when_it_fits() {
        assert_eq!(expanded("sudo !!", "sudo id -u", "id -u"), Some("sudo id -u"));
        assert_eq!(expanded("!!", "id -u", "id -u"), Some("id -u"));
        assert_eq!(expanded("cat !$ | head", "cat file | head", "ls file"), Some("cat file | head"));
        assert_eq!(expanded("!ls", "ls -l", "id"), Some("ls -l"));
        assert_eq!(expanded("^foo^bar", "echo bar", "echo foo"), Some("echo bar"));
        assert_eq!(expanded("!42", "make", "id"), Some("make"));
    }

    #[test]
    fn anything_else_that_was_printed_is_output() {
        assert_eq!(expanded("!!", "something else", "id -u"), None);
        assert_eq!(expanded("!true", "false", ""), None);
        assert_eq!(expanded("echo hi!there", "bash: !there: event not found", ""), None);
        assert_eq!(expanded("[ 1 != 2 ] && echo yes", "yes", ""), None);
        assert_eq!(expanded("echo 'wow!x'", "wow!x", ""), None);
        assert_eq!(expanded("id", "uid=0", ""), None);
    }
}
