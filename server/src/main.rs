//! The binary `osbackend`: see [`osbackend_server::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    osbackend_server::cli::run()
}
