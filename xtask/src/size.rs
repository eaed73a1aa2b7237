//! Source files stay readable: a hard limit of lines, and an allow-list that may only shrink.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// A file above this fails unless it is on the list.
const LIMIT: usize = 600;
/// A file above this is mentioned.
const GOAL: usize = 500;
/// `path lines`, one a line; a listed file may shrink, never grow.
const LIST: &str = "xtask/large-files.txt";

/// Fails with every file that is too long, and with every entry of the list that is no longer needed.
pub fn check(root: &Path) -> Result<()> {
    let mut sizes = BTreeMap::new();
    for folder in ["crates", "xtask/src", "tests", "bench", "scripts"] {
        collect(root, &root.join(folder), &mut sizes)?;
    }
    let list = fs::read_to_string(root.join(LIST)).unwrap_or_default();
    let faults = faults(&sizes, &parse(&list)?);
    let mut err = std::io::stderr().lock();
    for (path, lines) in sizes.iter().filter(|(_, n)| **n > GOAL && **n <= LIMIT) {
        writeln!(err, "lint-size: note: {path} has {lines} lines, the goal is {GOAL}")?;
    }
    for fault in &faults {
        writeln!(err, "lint-size: {fault}")?;
    }
    if !faults.is_empty() {
        bail!("{} file size fault(s)", faults.len());
    }
    writeln!(err, "lint-size: {} files, none too long", sizes.len())?;
    Ok(())
}

fn collect(root: &Path, folder: &Path, sizes: &mut BTreeMap<String, usize>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path: PathBuf = entry?.path();
        if path.is_dir() {
            collect(root, &path, sizes)?;
        } else if path.extension().is_some_and(|e| e == "rs" || e == "py" || e == "sh") {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            sizes.insert(name, text.lines().count());
        }
    }
    Ok(())
}

fn parse(list: &str) -> Result<BTreeMap<String, usize>> {
    list.lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .map(|l| {
            let (path, lines) = l.split_once(' ').with_context(|| format!("{LIST}: `{l}` is not `path lines`"))?;
            Ok((path.to_owned(), lines.trim().parse().with_context(|| format!("{LIST}: `{l}` has no number of lines"))?))
        })
        .collect()
}

fn faults(sizes: &BTreeMap<String, usize>, listed: &BTreeMap<String, usize>) -> Vec<String> {
    let too_long = sizes.iter().filter(|(_, n)| **n > LIMIT).filter_map(|(path, n)| match listed.get(path) {
        None => Some(format!("{path} has {n} lines, the limit is {LIMIT}: split it by meaning")),
        Some(most) if n > most => Some(format!("{path} grew from {most} to {n} lines; the list in {LIST} may only shrink")),
        Some(_) => None,
    });
    let stale = listed
        .keys()
        .filter(|path| sizes.get(*path).is_none_or(|n| *n <= LIMIT))
        .map(|path| format!("{path} is short enough now (or gone): take it off {LIST}"));
    too_long.chain(stale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(files: &[(&str, usize)]) -> BTreeMap<String, usize> {
        files.iter().map(|(p, n)| ((*p).to_owned(), *n)).collect()
    }

    #[test]
    fn a_file_over_the_limit_fails_unless_listed_and_not_grown() {
        assert_eq!(faults(&map(&[("a.rs", 601)]), &map(&[])).len(), 1);
        assert_eq!(faults(&map(&[("a.rs", 700)]), &map(&[("a.rs", 700)])).len(), 0);
        assert_eq!(faults(&map(&[("a.rs", 701)]), &map(&[("a.rs", 700)])).len(), 1);
    }

    #[test]
    fn the_list_may_only_shrink() {
        let found = faults(&map(&[("a.rs", 100)]), &map(&[("a.rs", 700), ("gone.rs", 900)]));

        assert_eq!(found.len(), 2, "{found:?}");
    }
}
