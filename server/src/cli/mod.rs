//! The command line of `osbackend`: the server, and the commands that talk to one.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod api_key;
mod completions;
mod config;
mod connection;
mod dev;
mod emit;
mod gateway;
mod health;
mod http;
pub mod listen;
mod listen_to;
mod load;
mod pages;
mod policy;
pub mod serve;
mod signals;
mod status;
mod terminal;
mod token;
mod waiting;

/// Realtime rooms for dashboards: a WebSocket server with an HTTP API.
#[derive(Parser)]
#[command(name = "osbackend", version, after_help = EXIT_STATUS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUS: &str =
    "Exit status: 0 done; 1 it failed, and stderr says why and what to do; 2 the command line or a setting is wrong.";

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
    /// Makes a random API key for a backend: prints it, and its entry for API_KEYS.
    ApiKey(api_key::Args),
    /// Publishes events: typed ones, or any into a room; from the command line or from stdin.
    Emit(Box<emit::Args>),
    /// Joins rooms and prints their events, reconnecting.
    Listen(Box<listen_to::Args>),
    /// Puts a server on this machine under load and checks every delivery.
    Load(Box<load::Args>),
    /// Tells how a server is; for health checks too.
    Status(Box<status::Args>),
    /// Asks the policy who may do what.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Prints every setting: its variable, default and what may be given; checks and shows those given.
    Config(config::Args),
    /// Prints the completions of a shell.
    Completions(completions::Args),
}

/// Runs the command that this process was started with. 0: done; 1: it failed, and stderr says why and what to do;
/// 2: the command line or a setting is wrong.
pub fn run() -> ExitCode {
    // Before the settings are looked at: one of them depends on it.
    crate::limits::files::raise();
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
        Command::ApiKey(args) => match api_key::run(&args) {
            Ok(key) => say(&key),
            Err(error) => fail(&error, error.is_usage()),
        },
        Command::Emit(args) => wait(emit::run(*args), emit::EmitError::is_usage),
        Command::Listen(args) => wait(listen_to::run(*args), listen_to::ListenError::is_usage),
        Command::Load(args) => wait(load::run(*args), load::LoadError::is_usage),
        Command::Status(args) => wait(status::run(*args), status::StatusError::is_usage),
        Command::Policy(command) => match policy::run(command) {
            Ok((text, true)) => say(&text),
            Ok((text, false)) => {
                say(&text);
                ExitCode::FAILURE
            }
            Err(error) => fail(&error, true),
        },
        Command::Config(args) => match config::run(&args) {
            Ok(text) => say(&text),
            Err(error) => fail(&error, true),
        },
        Command::Completions(args) => say(completions::script(&args).trim_end()),
    }
}

/// Runs a command that waits for sockets.
fn wait<E: std::error::Error>(command: impl Future<Output = Result<(), E>>, is_usage: impl Fn(&E) -> bool) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, false),
    };
    let outcome = runtime.block_on(command);
    // A read of stdin can't be called off, and nothing is left to wait for.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, is_usage(&error)),
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
