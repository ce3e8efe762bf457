//! The command line of `osbackend`: `serve`, `gateway`, `token` and `config`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod dev;
mod gateway;
mod health;
pub mod listen;
mod pages;
pub mod serve;
mod signals;
mod token;

/// Realtime rooms for dashboards: a WebSocket server with an HTTP API.
#[derive(Parser)]
#[command(name = "osbackend", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the server until SIGTERM or Ctrl-C.
    Serve(Box<serve::Args>),
    /// Passes `/ws` on `PORT` on to `WS_UPSTREAM`, and does nothing else, until SIGTERM or Ctrl-C.
    Gateway(Box<gateway::Args>),
    /// Asks the server or gateway with these settings on this machine whether it is alive, for health checks of containers.
    Health(Box<health::Args>),
    /// Prints a token signed with JWT_SECRET, for scripts and trials.
    Token(token::Args),
    /// Prints every setting: its variable, default and what may be given.
    #[command(after_help = crate::config::text_table())]
    Config {
        /// As the Markdown table of the README.
        #[arg(long)]
        markdown: bool,
    },
}

/// Runs the command that this process was started with. 0: done; 1: it failed, and stderr says why and what to do;
/// 2: the command line or a setting is wrong.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => match serve::run(*args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, error.is_usage()),
        },
        Command::Gateway(args) => match gateway::run(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, error.is_usage()),
        },
        Command::Health(args) => match health::run(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, error.is_usage()),
        },
        Command::Token(args) => match token::run(&args) {
            Ok(token) => say(&token),
            Err(error) => fail(&error, true),
        },
        Command::Config { markdown: true } => say(crate::config::markdown_table().trim_end()),
        Command::Config { markdown: false } => say(crate::config::text_table().trim_start().trim_end()),
    }
}

/// Writes to stdout; a reader that went away (`| head`) is no failure.
fn say(text: &str) -> ExitCode {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{text}");
    ExitCode::SUCCESS
}

fn fail(error: &dyn std::error::Error, usage: bool) -> ExitCode {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "osbackend: {error}");
    ExitCode::from(if usage { 2 } else { 1 })
}
