//! The command line: what is written ([`Cli`]) and what it does ([`run`]).

mod args;
mod values;

use std::process::ExitCode;

pub use args::*;
pub use values::{Pin, Span, field_value, seconds, speed};

/// Does what the command line says. `serve` runs a node.
pub fn run(cli: Cli, serve: impl FnOnce(ServeArgs) -> ExitCode) -> ExitCode {
    match cli.command {
        Command::Serve(args) => serve(args),
        _ => ExitCode::from(2),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn check(command: &clap::Command) {
            for sub in command.get_subcommands() {
                if sub.has_subcommands() {
                    check(sub);
                } else if sub.get_name() != "help" {
                    let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
                    assert!(help.starts_with("Example"), "{} has no example", sub.get_name());
                }
            }
        }
        check(&Cli::command());
    }
}
