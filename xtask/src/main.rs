//! `cargo xtask COMMAND`: the project's own commands. This file only finds the command that was asked for.

mod artifact;
mod bench;
mod codegen;
mod demo;
mod project;
mod sh;
mod stamp;
mod test;
mod tidy;
mod tools;
mod wasm;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::project::Project;

struct Command {
    name: &'static str,
    about: &'static str,
    run: fn(&Project, &[String]) -> Result<()>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "demo",
        about: "build everything and serve the demo at a printed URL [--no-serve: build only]",
        run: demo::run,
    },
    Command {
        name: "test",
        about: "run every check and test [STAGE…: only these and what they need] [--list] [simulation --seeds COUNT]",
        run: test::run,
    },
    Command { name: "wasm", about: "build the browser client into npm-package/wasm", run: wasm::run },
    Command {
        name: "codegen",
        about: "write what is generated from the Rust types [--check: fail where it differs]",
        run: codegen::run,
    },
    Command {
        name: "bench",
        about: "measure server and client beside their peers [--quick] [--only …] [--peers …] [--json …]",
        run: bench::run,
    },
    Command { name: "tidy", about: "check the invariants of ARCHITECTURE.md", run: tidy::run },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<()> {
    let Some((name, rest)) = args.split_first() else {
        bail!("no command was given\n{}", usage());
    };
    if matches!(name.as_str(), "help" | "-h" | "--help") {
        println!("{}", usage());
        return Ok(());
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        bail!("there is no command `{name}`\n{}", usage());
    };
    (command.run)(&Project::find()?, rest)
}

fn usage() -> String {
    let mut text = String::from("\nusage: cargo xtask COMMAND [ARGUMENTS]\n");
    for command in COMMANDS {
        text.push_str(&format!("\n  {:<8} {}", command.name, command.about));
    }
    text
}
