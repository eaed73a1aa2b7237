//! The project's own checks: what a linter cannot know about this workspace.
//!
//! * `cargo xtask deps`: the borders between crates (ARCHITECTURE.md, "The map") hold in `cargo metadata`.
//! * `cargo xtask lint-size`: no source file grows into a god file.
//! * `cargo xtask ci`: both.

mod deps;
mod size;

use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};

/// The folder of the workspace: xtask's parent.
fn workspace() -> Result<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(PathBuf::from).context("xtask has no parent folder")
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            // The faults themselves were listed; a backtrace would hide them.
            let _ = writeln!(std::io::stderr(), "xtask: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let root = workspace()?;
    match std::env::args().nth(1).as_deref() {
        Some("deps") => deps::check(&root),
        Some("lint-size") => size::check(&root),
        Some("ci") => {
            deps::check(&root)?;
            size::check(&root)
        }
        other => bail!("unknown task {other:?}; there are: deps, lint-size, ci"),
    }
}
