//! One setting as a value: its names, what it may be, and how it gets into a [`Config`].

use super::{Config, ConfigError};

/// One setting of §10.
pub struct Setting {
    /// Heading under which the tables show it.
    pub group: &'static str,
    /// Name of the environment variable; the flag is the same in lower case with dashes.
    pub name: &'static str,
    /// Value where none is given; `None`: unset.
    pub default: Option<&'static str>,
    /// Value with `--dev` where none is given and it differs.
    pub dev_default: Option<&'static str>,
    /// What may be given, to end the sentence "Use …".
    pub allowed: &'static str,
    /// What the setting does, in one line.
    pub about: &'static str,
    /// Whether the value must not be shown.
    pub secret: bool,
    apply: fn(&mut Config, &str) -> Option<()>,
}

impl Setting {
    pub(super) const fn dev(self, value: &'static str) -> Self {
        Self { dev_default: Some(value), ..self }
    }

    pub(super) const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// The name of the command-line flag, without dashes in front.
    pub fn flag(&self) -> String {
        self.name.to_ascii_lowercase().replace('_', "-")
    }

    /// Where the setting stands in the TOML file, such as `limits.max_rooms`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.group, self.name.to_ascii_lowercase())
    }

    /// The value that stands where none is given.
    pub fn default_for(&self, dev: bool) -> Option<&'static str> {
        if dev { self.dev_default.or(self.default) } else { self.default }
    }

    /// Puts `value` into `config`.
    ///
    /// # Errors
    /// `value` is not allowed for this setting.
    pub fn set(&self, config: &mut Config, value: &str) -> Result<(), ConfigError> {
        (self.apply)(config, if self.secret { value } else { value.trim() }).ok_or_else(|| ConfigError {
            variable: self.name,
            value: (!self.secret).then(|| super::without_secrets(value)),
            allowed: self.allowed,
        })
    }
}

pub(super) const fn setting(
    group: &'static str,
    name: &'static str,
    default: Option<&'static str>,
    allowed: &'static str,
    about: &'static str,
    apply: fn(&mut Config, &str) -> Option<()>,
) -> Setting {
    Setting { group, name, default, dev_default: None, allowed, about, secret: false, apply }
}

/// `into!(group.field, parser)`: puts what the parser makes of the text into that field.
macro_rules! into {
    ($group:ident . $field:ident, $parse:expr) => {
        |config: &mut Config, value: &str| {
            config.$group.$field = $parse(value)?;
            Some(())
        }
    };
}
pub(super) use into;
