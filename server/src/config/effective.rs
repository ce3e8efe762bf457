//! Every setting with the value that stands and where it comes from, for `osbackend config show`; secrets are not shown.

use super::{SETTINGS, Setting, SettingFlags, SettingsError};

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag of the command line.
    Flag,
    /// An environment variable.
    Environment,
    /// The TOML file.
    File,
    /// Nothing was given.
    Default,
}

impl Source {
    /// One word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        }
    }
}

/// A setting as it stands.
#[derive(Clone, Debug)]
pub struct Effective {
    /// Which.
    pub setting: &'static Setting,
    /// Its value, `[redacted]` for a secret; `None`: unset.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: Source,
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl SettingFlags {
    /// Every setting as it stands, in the table's order.
    ///
    /// # Errors
    /// See [`SettingFlags::config`]: what can't be used can't be shown.
    pub fn effective(&self, dev: bool) -> Result<Vec<Effective>, SettingsError> {
        let (_, file) = self.resolve(dev)?;
        let of = |setting: &'static Setting| {
            let given = self.given(setting.name).map(|(value, source)| (Some(value.to_owned()), source));
            let in_file =
                || file.get(setting.name).filter(|value| !value.is_empty()).map(|value| (Some(value.to_owned()), Source::File));
            let (value, source) =
                given.or_else(in_file).unwrap_or_else(|| (setting.default_for(dev).map(str::to_owned), Source::Default));
            let value = value.map(|value| match setting.name {
                _ if setting.secret => "[redacted]".to_owned(),
                "MAX_CONNECTIONS" if value.eq_ignore_ascii_case("auto") => {
                    format!("{} (auto)", crate::limits::files::connections())
                }
                _ => super::without_secrets(&value),
            });
            Effective { setting, value, source }
        };
        Ok(SETTINGS.iter().map(of).collect())
    }
}
