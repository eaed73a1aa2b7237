//! `rampart`: one binary, from the node to the client's verbs.

mod cli;
mod config;
mod serve;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse(), serve_node)
}

/// Runs a node on its own runtime; a mistake in the configuration is one clear message and exit code 2.
fn serve_node(args: cli::ServeArgs) -> ExitCode {
    let (config, secrets) = match config::load(args.config.as_deref(), args.data.as_deref(), &config::process_env) {
        Ok(loaded) => loaded,
        Err(problems) => {
            cli::out::problem(&format!("the configuration cannot be used:\n{problems}"));
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            cli::out::problem(&format!("the runtime cannot start: {e}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve::run(config, secrets)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            cli::out::problem(&format!("{e:#}"));
            ExitCode::FAILURE
        }
    }
}
