//! Exec lines that move files. They are a door of their own with its own rights, which this gateway does not open yet.
//!
//! The remote shell decides what a line really does, so this is no fence against somebody who may run commands at all;
//! it keeps the ordinary tools (`scp`, `rsync`, `sftp`) from moving files past the file audit.

/// Which file tool a command line starts, if any.
pub fn file_tool(line: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(line.get(..line.len().min(4096)).unwrap_or_default());
    let mut words = text.split_whitespace().map(|w| w.trim_matches(['\'', '"', '\\']));
    // `exec`, `env A=b`, `command` and assignments before the program change nothing.
    let program = words.find(|w| !matches!(*w, "exec" | "env" | "command" | "nohup") && !is_assignment(w))?;
    let program = program.rsplit('/').next().unwrap_or(program);
    match program {
        "scp" => words.any(|w| w.starts_with('-') && !w.starts_with("--") && w.contains(['t', 'f'])).then_some("scp"),
        "rsync" => words.any(|w| w == "--server").then_some("rsync"),
        "sftp-server" | "internal-sftp" => Some("sftp"),
        _ => None,
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_tools_are_seen_in_their_server_role_only() {
        assert_eq!(file_tool(b"scp -t /tmp"), Some("scp"));
        assert_eq!(file_tool(b"scp -r -p -f -- /etc/hosts"), Some("scp"));
        assert_eq!(file_tool(b"/usr/bin/scp -pt x"), Some("scp"));
        assert_eq!(file_tool(b"rsync --server --sender -vlogDtpr . /srv"), Some("rsync"));
        assert_eq!(file_tool(b"'/usr/lib/openssh/sftp-server'"), Some("sftp"));
        assert_eq!(file_tool(b"exec env LC_ALL=C rsync --server ."), Some("rsync"));

        assert_eq!(file_tool(b"scp a b:c"), None);
        assert_eq!(file_tool(b"rsync -a x y"), None);
        assert_eq!(file_tool(b"echo scp -t"), None);
        assert_eq!(file_tool(b""), None);
        assert_eq!(file_tool(&[0xff, 0xfe, b' ', b'x']), None);
    }
}
