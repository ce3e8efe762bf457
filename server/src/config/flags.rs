//! The table of settings as command-line flags, so that `--help` and parsing can't differ from it.

use std::collections::HashMap;

use clap::{Arg, ArgMatches, Command};

use super::{Config, ConfigError, SETTINGS};

/// The settings that were given by flag or environment (a flag wins); `#[command(flatten)]` it.
#[derive(Clone, Default)]
pub struct SettingFlags {
    given: HashMap<&'static str, String>,
}

impl SettingFlags {
    /// The settings with defaults where nothing was given.
    ///
    /// # Errors
    /// The first setting whose value is not allowed.
    pub fn config(&self, dev: bool) -> Result<Config, ConfigError> {
        Config::resolve(dev, |name| self.given.get(name).cloned())
    }

    fn read(matches: &ArgMatches) -> Self {
        let given = SETTINGS
            .iter()
            .filter_map(|setting| Some((setting.name, matches.get_one::<String>(setting.name)?.clone())))
            .collect();
        Self { given }
    }
}

impl clap::FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self::read(matches))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::read(matches);
        Ok(())
    }
}

impl clap::Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        SETTINGS.iter().fold(command, |command, setting| {
            let default = match (setting.default, setting.dev_default) {
                (Some(default), Some(dev)) => format!(" [default: {default}, with --dev: {dev}]"),
                (Some(default), None) => format!(" [default: {default}]"),
                _ => String::new(),
            };
            let mut arg = Arg::new(setting.name)
                .long(setting.flag())
                .env(setting.name)
                .hide_env_values(true)
                .value_name("VALUE")
                .help_heading("Settings")
                .help(format!("{}{default}", setting.about));
            if setting.allowed == "true or false" {
                arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
            }
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        settings: SettingFlags,
    }

    #[test]
    fn flags_set_what_they_name() {
        let cli = Cli::parse_from(["osbackend", "--ws-port", "9001", "--allow-anonymous", "--heartbeat=3s"]);
        let config = cli.settings.config(false).unwrap();
        assert_eq!(config.listen.ws_port, 9001);
        assert!(config.auth.allow_anonymous);
        assert_eq!(config.liveness.heartbeat.unwrap().as_secs(), 3);
    }

    #[test]
    fn a_bad_flag_is_named_by_its_variable() {
        let cli = Cli::parse_from(["osbackend", "--max-rooms", "lots"]);
        assert_eq!(cli.settings.config(false).unwrap_err().variable, "MAX_ROOMS");
    }
}
