//! The one place that prints. A reader that left (`rampart ls | head`) ends the program quietly.

use std::io::{self, Write};

use super::Failure;

/// Lines on standard output.
pub fn lines<S: AsRef<str>>(lines: &[S]) {
    let _ = print(|out| lines.iter().try_for_each(|l| writeln!(out, "{}", l.as_ref())));
}

/// One line on standard output.
pub fn line(text: &str) {
    lines(&[text]);
}

/// A sentence about something that went wrong, on standard error.
pub fn problem(text: &str) {
    let _ = writeln!(io::stderr().lock(), "rampart: {text}");
}

/// A remark that is not part of the data, on standard error.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A question, on standard error so that the data stays clean; no line break.
pub fn ask(text: &str) {
    let mut err = io::stderr().lock();
    let _ = write!(err, "{text}");
    let _ = err.flush();
}

/// Writes to standard output through a buffer.
///
/// # Errors
/// Standard output failed. A reader that left is not a failure.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let mut out = io::BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(e) => Err(Failure::failed(format!("{e}"))),
        Ok(()) => Ok(()),
    }
}

/// Indented JSON on standard output.
///
/// # Errors
/// As [`print`].
pub fn json(value: &serde_json::Value) -> Result<(), Failure> {
    print(|out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        writeln!(out)
    })
}

/// A table with headings, cut to `width` columns when that is known. Cells are made harmless; only the last column is cut.
pub fn table(headings: &[String], rows: &[Vec<String>], width: Option<usize>) -> Vec<String> {
    let rows: Vec<Vec<String>> = rows.iter().map(|r| r.iter().map(|c| terminal::safe(c)).collect()).collect();
    let widths: Vec<usize> = headings
        .iter()
        .enumerate()
        .map(|(n, h)| rows.iter().filter_map(|r| r.get(n)).map(|c| terminal::width(c)).chain([terminal::width(h)]).max().unwrap_or(0))
        .collect();
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(c, w)| terminal::pad(c, *w)).collect();
        let whole = padded.join("  ").trim_end().to_owned();
        width.map_or(whole.clone(), |w| terminal::truncate(&whole, w))
    };
    std::iter::once(line(headings)).chain(rows.iter().map(|r| line(r))).collect()
}

/// Columns of the terminal that standard output is, if it is one.
pub fn width() -> Option<usize> {
    use std::io::IsTerminal as _;
    if !io::stdout().is_terminal() {
        return None;
    }
    crossterm::terminal::size().ok().map(|(cols, _)| usize::from(cols.max(20)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(row: &[&str]) -> Vec<String> {
        row.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn columns_line_up_whatever_their_characters() {
        let lines = table(&cells(&["NAME", "ADDRESS"]), &[cells(&["web1", "10.0.0.1"]), cells(&["数据库", "10.0.0.2"]), cells(&["a\u{1b}[2J", "x"])], None);

        assert_eq!(lines, ["NAME        ADDRESS", "web1        10.0.0.1", "数据库      10.0.0.2", "a\\u{1b}[2J  x"]);
    }

    #[test]
    fn a_narrow_terminal_cuts_lines() {
        let lines = table(&cells(&["A", "B"]), &[cells(&["x", "a very long comment"])], Some(10));

        assert!(lines.iter().all(|l| terminal::width(l) <= 10), "{lines:?}");
    }
}
