//! `osbackend config`: the table of settings, and what the settings given here come to.

use super::serve::{self, ServeError};
use super::terminal::Paint;
use crate::config::{Effective, SettingFlags, Source};

/// What to print.
#[derive(clap::Args)]
#[command(after_help = crate::config::text_table())]
pub(super) struct Args {
    /// As the Markdown tables of docs/CONFIGURATION.md.
    #[arg(long)]
    markdown: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Loads the settings as `serve` would (file, environment, flags) and says whether it can start with them. Ports, the data
    /// directory and other servers are not tried.
    #[command(after_help = "Exit status: 0 they can be used; 2 they can't, and stderr names the key and what is allowed.")]
    Check(Box<Given>),
    /// Prints every setting as it stands and where it comes from; secrets are not shown.
    Show(Box<Given>),
}

#[derive(clap::Args)]
struct Given {
    /// With the defaults of `serve --dev`.
    #[arg(long)]
    dev: bool,
    #[command(flatten)]
    settings: SettingFlags,
}

/// What was asked for.
pub(super) fn run(args: &Args) -> Result<String, ServeError> {
    match &args.command {
        None if args.markdown => Ok(crate::config::markdown_table().trim_end().to_owned()),
        None => Ok(crate::config::text_table().trim().to_owned()),
        Some(Command::Check(given)) => {
            let effective = given.settings.effective(given.dev)?;
            let (config, file) = given.settings.resolve(given.dev)?;
            serve::check(&config, &file.policy().cloned().unwrap_or_default())?;
            let own = effective.iter().filter(|one| one.source != Source::Default).count();
            Ok(format!("`serve` can start with these settings: {own} given, {} by default", effective.len() - own))
        }
        Some(Command::Show(given)) => Ok(table(&given.settings.effective(given.dev)?, Paint::of_stdout())),
    }
}

fn table(settings: &[Effective], paint: Paint) -> String {
    let shown = |one: &Effective| one.value.clone().unwrap_or_else(|| "unset".to_owned());
    let width = settings.iter().map(|one| one.setting.name.len()).max().unwrap_or(0);
    let values = settings.iter().map(|one| shown(one).chars().count()).max().unwrap_or(0).min(48);
    let mut out = Vec::new();
    let mut group = "";
    for one in settings {
        if one.setting.group != group {
            out.extend((!group.is_empty()).then(String::new));
            group = one.setting.group;
            out.push(paint.bold(group));
        }
        let value = format!("{:<values$}", shown(one));
        let value = if one.source == Source::Default { paint.dim(&value) } else { value };
        out.push(format!("  {:<width$}  {value}  {}", one.setting.name, one.source.name()));
    }
    out.join("\n")
}
