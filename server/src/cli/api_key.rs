//! `osbackend api-key`: makes a key for a backend.

use crate::auth::api_key::generate;
use crate::config::SETTINGS;

/// Whose key it is.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Name of the backend, such as `billing`; it appears in the log where the key is used.
    name: String,
}

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiKeyError {
    #[error("the name {0:?} is not allowed. Use letters, digits, `-`, `_` and `.`")]
    Name(String),
    #[error("the system has no randomness for a key: {0}")]
    Random(#[from] getrandom::Error),
}

impl ApiKeyError {
    pub(super) fn is_usage(&self) -> bool {
        matches!(self, Self::Name(_))
    }
}

/// The key, and the setting that lets it in.
pub(super) fn run(args: &Args) -> Result<String, ApiKeyError> {
    let made = generate(&args.name)?;
    // The setting itself knows which names it takes.
    let takes = SETTINGS
        .iter()
        .any(|setting| setting.name == "API_KEYS" && setting.set(&mut crate::config::Config::default(), &made.entry).is_ok());
    if !takes || args.name.contains(',') {
        return Err(ApiKeyError::Name(args.name.clone()));
    }
    Ok(format!(
        "key, for the backend (it is shown once, and the server keeps only its hash):\n{}\n\nfor the server; entries of several keys stand with commas between:\nAPI_KEYS={}",
        made.key, made.entry
    ))
}
