//! The command line: what is written ([`Cli`]) and what it does ([`run`]).

mod admin;
mod apply;
mod args;
mod audit;
mod client;
mod export;
mod fail;
mod local;
mod login;
mod ls;
mod native;
pub mod out;
mod play;
mod prompt;
mod values;

use std::{process::ExitCode, sync::OnceLock};

use clap::CommandFactory as _;
use messages::Lang;

pub use args::*;
pub use client::{ApiClient, query};
pub use fail::{Done, Failure};
pub use values::{Pin, Span, field_value, seconds, speed};

/// Does what the command line says. `serve` runs a node.
pub fn run(cli: Cli, serve: impl FnOnce(ServeArgs) -> ExitCode) -> ExitCode {
    let command = match cli.command {
        Command::Serve(args) => return serve(args),
        command => command,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return Failure::failed(e.to_string()).report(),
    };
    let done = runtime.block_on(perform(command));
    // A reader thread that waits for the terminal must not keep the program alive.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn perform(command: Command) -> Done {
    match command {
        Command::Serve(_) => Ok(()),
        Command::Apply(args) => apply::run(args).await,
        Command::Export(args) => export::run(args).await,
        Command::Ls(args) => ls::run(args).await,
        Command::Play(args) => play::run(args).await,
        Command::Login(args) => login::login(args).await,
        Command::Logout(args) => login::logout(args).await,
        Command::Ssh(args) => native::ssh("ssh", &args),
        Command::Sftp(args) => native::ssh("sftp", &args),
        Command::Scp(args) => native::scp(&args),
        Command::Audit(AuditCommand::Verify(args)) => audit::verify(args).await,
        Command::Audit(AuditCommand::Export(args)) => audit::export(args).await,
        Command::Admin(command) => admin::run(command).await,
        Command::Completion { shell } => completion(shell),
        Command::Version { output } => version(output),
    }
}

fn completion(shell: clap_complete::Shell) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rampart", &mut script);
    out::print(|out| out.write_all(&script))
}

fn version(output: Output) -> Done {
    let version = env!("CARGO_PKG_VERSION");
    match output {
        Output::Json => {
            out::json(&serde_json::json!({"name": "rampart", "version": version, "target": std::env::consts::ARCH, "system": std::env::consts::OS}))
        }
        Output::Table => {
            out::line(&format!("rampart {version}"));
            Ok(())
        }
    }
}

/// A variable of the environment, if it says anything.
pub fn env(name: &str) -> Option<String> {
    crate::config::process_env(name).filter(|v| !v.is_empty())
}

/// The language of the person, as the environment says.
pub fn lang() -> Lang {
    static LANG: OnceLock<Lang> = OnceLock::new();
    *LANG.get_or_init(|| ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|n| env(n)).and_then(|v| Lang::best(&v)).unwrap_or_default())
}

/// A sentence in that language.
pub fn say(code: &str, args: &[(&str, &str)]) -> String {
    messages::text(lang(), code, args)
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
