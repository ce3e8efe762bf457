//! `osbackend completions`: what a shell needs to complete commands and flags.

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

const HOW: &str = r#"Examples:
  bash        source <(osbackend completions bash)
  zsh         osbackend completions zsh > "${fpath[1]}/_osbackend"
  fish        osbackend completions fish > ~/.config/fish/completions/osbackend.fish
  elvish      eval (osbackend completions elvish | slurp)
  powershell  osbackend completions powershell | Out-String | Invoke-Expression"#;

/// For which shell.
#[derive(clap::Args)]
#[command(after_help = HOW)]
pub(super) struct Args {
    /// The shell.
    shell: Shell,
}

/// The script.
pub(super) fn script(args: &Args) -> String {
    let mut script = Vec::new();
    generate(args.shell, &mut super::Cli::command(), "osbackend", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
