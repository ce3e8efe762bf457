//! The TOML file (`--config`, `OSBACKEND_CONFIG`): the settings of §10 in lower case by group, and the policy.
//!
//! ```toml
//! [limits]
//! max_rooms = 50
//! message_rate = 20
//!
//! [auth]
//! allowed_origins = ["https://app.example.com"]
//! ```

use std::{collections::HashMap, fmt, path::Path};

use osbackend_protocol::Policy;
use toml::{Table, Value};

use super::policy::PolicyError;
use super::{SETTINGS, Setting};

/// Groups of the file that are no settings; their own readers check them.
const OTHER_GROUPS: [&str; 1] = ["policy"];

/// What a file says, its keys checked.
#[derive(Clone, Debug, Default)]
pub struct ConfigFile {
    settings: HashMap<&'static str, String>,
    policy: Option<Policy>,
}

/// A file can't be used. The message names the key's path and what is allowed.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be read.
    #[error("{path}: {source}. Give the path of a TOML file with --config or OSBACKEND_CONFIG")]
    Read {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is no TOML. The text there is not shown: a secret may stand in it.
    #[error("{path}: line {line}, column {column}: {message}")]
    Syntax {
        /// The file.
        path: String,
        /// Where, from 1 on.
        line: usize,
        /// Where in the line, in characters from 1 on.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// It has a key that nothing reads.
    #[error("{file}: {key}: unknown key. Use one of {allowed}")]
    UnknownKey {
        /// The file.
        file: String,
        /// The key's path.
        key: String,
        /// The keys that may stand there.
        allowed: String,
    },
    /// The policy has a value that can't be used.
    #[error("{file}: {key}: {reason}")]
    Policy {
        /// The file.
        file: String,
        /// The key's path.
        key: String,
        /// What is wrong with it, and what may be given.
        reason: String,
    },
    /// A key has a value that can't be a setting's.
    #[error("{file}: {key}{} is not allowed. Use {allowed}", super::shown(.value))]
    BadValue {
        /// The file.
        file: String,
        /// The key's path.
        key: String,
        /// What was given, as far as it may be shown; `None` where it is a secret.
        value: Option<String>,
        /// What may be given.
        allowed: String,
    },
    /// More than one of these.
    #[error("{0}")]
    Several(Lines<FileError>),
}

/// Errors that are told together, each in a line.
#[derive(Debug, PartialEq, Eq)]
pub struct Lines<E>(pub Vec<E>);

impl<E: fmt::Display> fmt::Display for Lines<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| FileError::Read { path: file.clone(), source })?;
        Self::parse(&file, &text)
    }

    /// Reads the text of a file that messages call `file`.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn parse(file: &str, text: &str) -> Result<Self, FileError> {
        let table: Table = text.parse().map_err(|error| syntax(file, text, &error))?;
        let (mut read, mut errors) = (Self::default(), Vec::new());
        for (group, value) in table {
            if let Err(error) = read.group(file, group, value, &mut errors) {
                errors.push(error);
            }
        }
        match errors.len() {
            0 => Ok(read),
            1 => Err(errors.remove(0)),
            _ => Err(FileError::Several(Lines(errors))),
        }
    }

    /// Reads one group; what is wrong with its keys is added to `errors`.
    fn group(&mut self, file: &str, group: String, value: Value, errors: &mut Vec<FileError>) -> Result<(), FileError> {
        if group == "policy" {
            let Value::Table(policy) = value else {
                return Err(bad(file, "policy", None, "a table: [policy]"));
            };
            self.policy = Some(super::policy::read(&policy).map_err(|error| of_policy(file, error))?);
            return Ok(());
        }
        let known: Vec<&Setting> = SETTINGS.iter().filter(|setting| setting.group == group).collect();
        if known.is_empty() {
            return Err(FileError::UnknownKey { file: file.to_owned(), key: group, allowed: groups().join(", ") });
        }
        let Value::Table(values) = value else {
            return Err(bad(file, &group, None, &format!("a table: [{group}]")));
        };
        for (key, value) in values {
            if let Err(error) = self.setting(file, &known, &group, &key, &value) {
                errors.push(error);
            }
        }
        Ok(())
    }

    fn setting(&mut self, file: &str, known: &[&Setting], group: &str, key: &str, value: &Value) -> Result<(), FileError> {
        let name = key.to_ascii_uppercase();
        let path = format!("{group}.{key}");
        let setting = known.iter().find(|setting| setting.name == name && key == key.to_ascii_lowercase());
        let Some(setting) = setting else {
            let allowed = known.iter().map(|setting| setting.name.to_ascii_lowercase()).collect::<Vec<_>>().join(", ");
            return Err(FileError::UnknownKey { file: file.to_owned(), key: path, allowed });
        };
        let shown = || (!setting.secret).then(|| super::without_secrets(&text_of(value).unwrap_or_else(|| value.to_string())));
        let text = text_of(value).ok_or_else(|| bad(file, &path, shown(), setting.allowed))?;
        let set = setting.set(&mut super::Config::unset(false), &text);
        set.map_err(|error| bad(file, &path, error.value, error.allowed))?;
        self.settings.insert(setting.name, text);
        Ok(())
    }

    /// The value of a setting, by its variable's name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    /// The policy of `[policy]`, where the file has it.
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }
}

fn bad(file: &str, key: &str, value: Option<String>, allowed: &str) -> FileError {
    FileError::BadValue { file: file.to_owned(), key: key.to_owned(), value, allowed: allowed.to_owned() }
}

/// The library's own text would show the line.
fn syntax(path: &str, text: &str, error: &toml::de::Error) -> FileError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let (line, column) = (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1);
    FileError::Syntax { path: path.to_owned(), line, column, message: error.message().to_owned() }
}

fn of_policy(file: &str, error: PolicyError) -> FileError {
    let file = file.to_owned();
    match error {
        PolicyError::UnknownKey { key, allowed } => FileError::UnknownKey { file, key, allowed: allowed.to_owned() },
        PolicyError::BadValue { key, reason } => FileError::Policy { file, key, reason },
    }
}

fn groups() -> Vec<&'static str> {
    let mut groups: Vec<_> = SETTINGS.iter().map(|setting| setting.group).collect();
    groups.dedup();
    groups.extend(OTHER_GROUPS);
    groups
}

/// A value as an environment variable would have it; lists with commas between.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Array(values) => values.iter().map(text_of).collect::<Option<Vec<_>>>().map(|list| list.join(",")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        ConfigFile::parse("osbackend.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn every_setting_has_its_key() {
        let file = ConfigFile::parse(
            "f",
            "[listen]\nws_port = 9000\n[auth]\nallow_anonymous = true\nallowed_origins = [\"https://a.example\", \"https://b.example\"]\n[limits]\nhandshake_timeout = \"3s\"\n[policy]\ndefault = true",
        )
        .unwrap();
        assert_eq!(file.get("WS_PORT"), Some("9000"));
        assert_eq!(file.get("ALLOW_ANONYMOUS"), Some("true"));
        assert_eq!(file.get("ALLOWED_ORIGINS"), Some("https://a.example,https://b.example"));
        assert_eq!(file.get("HANDSHAKE_TIMEOUT"), Some("3s"));
        assert_eq!(file.get("PORT"), None);
        assert_eq!(file.policy(), Some(&Policy::default()));
    }

    #[test]
    fn what_is_wrong_is_told_with_the_path_and_what_is_allowed() {
        let unknown = error("[limits]\nmax_room = 3");
        assert!(unknown.contains("osbackend.toml: limits.max_room: unknown key") && unknown.contains("max_rooms"), "{unknown}");
        let group = error("[limit]\nmax_rooms = 3");
        assert!(group.contains("limit: unknown key") && group.contains("limits") && group.contains("policy"), "{group}");
        let value = error("[limits]\nmax_rooms = \"many\"");
        assert!(value.contains("limits.max_rooms") && value.contains("whole number"), "{value}");
        assert!(error("[limits]\nmax_rooms = 1.5").contains("limits.max_rooms"));
        let policy = error("[[policy.rooms]]\nmatch = \"a:*\"\njoin = \"all\"");
        assert!(policy.contains("osbackend.toml: policy.rooms[0].join: \"all\"") && policy.contains("authenticated"), "{policy}");
        assert!(error("limits = 3").contains("[limits]"));
        assert!(error("[limits\n").contains("osbackend.toml"));
        assert!(error("[limits]\nMAX_ROOMS = 1").contains("unknown key"));
        assert!(!error("[auth]\napi_keys = \"billing:very-secret\"").contains("very-secret"));
        let many =
            error("[limits]\nmax_rooms = \"many\"\nmessage_rate = 1.5\n[listen]\nprot = 1\nws_upstream = \"ws://a:hunter2@b\"");
        let lines: Vec<_> = many.lines().collect();
        assert_eq!(lines.len(), 4, "{many}");
        for what in [
            "limits.max_rooms=\"many\"",
            "limits.message_rate=\"1.5\"",
            "listen.prot: unknown",
            "ws_upstream=\"ws://[redacted]@b\"",
        ] {
            assert!(lines.iter().any(|line| line.contains(what)), "{what}: {many}");
        }
    }

    #[test]
    fn a_line_that_may_hold_a_secret_is_never_shown() {
        for secret in [
            "jwt_secret = \"hunter2",
            "jwt_secret = hunter2",
            "jwt_secret = 'hunter2",
            "jwt_secret = \"\"\"hunter2",
            "jwt_secret \"hunter2\"",
            "jwt_secret = \"a\" hunter2",
            "jwt_secret = \"hunter2\\q\"",
            "jwt_secret = \"a\"\njwt_secret = \"hunter2\"",
            "jwt_secret: hunter2",
            "jwt_secret = [hunter2]",
            "jwt_secret = { hunter2 = 1",
            "jwt_secret = 7hunter2",
            "hunter2",
        ] {
            let error = error(&format!("[auth]\n\u{e9} = 1\n{secret}\n").replace("\u{e9} = 1", "allow_anonymous = true"));
            assert!(!error.contains("hunter2") && error.starts_with("osbackend.toml: line "), "{secret}: {error}");
        }
        assert!(error("[auth]\n\njwt_secret = \"hunter2").contains("line 3, column"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = ConfigFile::read(Path::new("no/such/file.toml")).unwrap_err().to_string();
        assert!(error.contains("no/such/file.toml") && error.contains("--config"), "{error}");
    }
}
