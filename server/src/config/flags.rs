//! The table of settings as command-line flags, so that `--help` and parsing can't differ from it.

use std::{collections::HashMap, path::PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::file::Lines;
use super::{Config, ConfigError, ConfigFile, FileError, SETTINGS, Source};

/// Name of the flag and id of the argument that names the TOML file.
const FILE: &str = "config";

/// The settings that were given by flag, environment or file (in this order of precedence); `#[command(flatten)]` it.
#[derive(Clone, Default)]
pub struct SettingFlags {
    given: HashMap<&'static str, (String, Source)>,
    file: Option<PathBuf>,
}

/// The settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A value.
    #[error(transparent)]
    Value(#[from] ConfigError),
    /// Several of them.
    #[error("{0}")]
    Values(Lines<ConfigError>),
}

impl SettingFlags {
    /// The settings with defaults where nothing was given.
    ///
    /// # Errors
    /// The file can't be used, or the first setting whose value is not allowed.
    pub fn config(&self, dev: bool) -> Result<Config, SettingsError> {
        Ok(self.resolve(dev)?.0)
    }

    /// As [`Self::config`], with the file, which has the policy.
    ///
    /// # Errors
    /// See [`Self::config`].
    pub fn resolve(&self, dev: bool) -> Result<(Config, ConfigFile), SettingsError> {
        let file = self.file.as_deref().map(ConfigFile::read).transpose()?.unwrap_or_default();
        let given = |name: &str| self.given(name).map(|(value, _)| value);
        let given = |name: &str| given(name).or_else(|| file.get(name)).map(str::to_owned);
        let config = Config::resolve(dev, given).map_err(|first| {
            let all = Config::errors(dev, given);
            if all.len() > 1 { SettingsError::Values(Lines(all)) } else { first.into() }
        })?;
        Ok((config, file))
    }

    /// What a flag or the environment says of a setting, by its variable's name. An empty value counts as unset.
    pub(super) fn given(&self, name: &str) -> Option<(&str, Source)> {
        self.given.get(name).filter(|(value, _)| !value.is_empty()).map(|(value, source)| (value.as_str(), *source))
    }

    fn read(matches: &ArgMatches) -> Self {
        let given = SETTINGS
            .iter()
            .filter_map(|setting| {
                let source = match matches.value_source(setting.name) {
                    Some(ValueSource::EnvVariable) => Source::Environment,
                    _ => Source::Flag,
                };
                Some((setting.name, (matches.get_one::<String>(setting.name)?.clone(), source)))
            })
            .collect();
        Self { given, file: matches.get_one::<PathBuf>(FILE).cloned().filter(|path| !path.as_os_str().is_empty()) }
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
        let file = Arg::new(FILE)
            .long(FILE)
            .env("OSBACKEND_CONFIG")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("TOML file with settings in lower case by group; flags and environment win");
        SETTINGS.iter().fold(command.arg(file), |command, setting| {
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
        assert!(cli.settings.config(false).unwrap_err().to_string().starts_with("MAX_ROOMS="));
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let cli =
            Cli::parse_from(["osbackend", "--max-rooms", "lots", "--ws-upstream", "ws://ada:hunter2@host", "--jwt-secret="]);
        let error = cli.settings.config(false).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 2, "{error}");
        assert!(error.contains("MAX_ROOMS=\"lots\"") && error.contains("WS_UPSTREAM") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file = std::env::temp_dir().join(format!("osbackend-flags-{}.toml", std::process::id()));
        std::fs::write(&file, "[limits]\nmax_rooms = 7\nmessage_rate = 8\n").unwrap();
        let cli = Cli::parse_from(["osbackend", "--config", file.to_str().unwrap(), "--max-rooms", "9"]);
        let config = cli.settings.config(false);
        std::fs::remove_file(&file).unwrap();
        let limits = config.unwrap().limits;
        assert_eq!((limits.max_rooms, limits.message_rate, limits.message_burst), (Some(9), Some(8), Some(100)));
    }
}
