//! `osbackend policy check`: explains, rule by rule, what someone may do in a room.

use osbackend_protocol::permission::explain;
use osbackend_protocol::{Action, Identity, RoomName, RoomNameError};
use serde_json::{Map, Value};

use crate::auth::{AuthError, Authenticator, SetupError};
use crate::config::{SettingFlags, SettingsError};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Explains the decision about a room. Ends with 0 where the action is allowed, with 1 where it is not.
    Check(Box<Check>),
}

/// Who asks for what.
#[derive(clap::Args)]
pub(super) struct Check {
    /// The token of who asks; it is checked as the server would. Without it and --sub: someone anonymous.
    #[arg(long, env = "OSBACKEND_TOKEN", hide_env_values = true, conflicts_with_all = ["sub", "role", "claims"])]
    token: Option<String>,
    /// The user who asks, in place of a token.
    #[arg(long)]
    sub: Option<String>,
    /// That user's role.
    #[arg(long, requires = "sub")]
    role: Option<String>,
    /// That user's further claims, as a JSON object.
    #[arg(long, value_name = "JSON", requires = "sub")]
    claims: Option<String>,
    /// The room.
    #[arg(long)]
    room: String,
    /// What the exit status tells of: join, publish, presence or history.
    #[arg(long, default_value = "join", value_parser = ["join", "publish", "presence", "history"])]
    action: String,
    #[command(flatten)]
    settings: SettingFlags,
}

/// Why nothing was decided.
#[derive(Debug, thiserror::Error)]
pub(super) enum PolicyError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("--room: {0}")]
    Room(#[from] RoomNameError),
    #[error("--token: {0}")]
    Token(#[from] AuthError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("--claims must be a JSON object, such as '{{\"team_id\": 7}}'")]
    Claims,
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// The explanation, and whether the action is allowed.
pub(super) fn run(Command::Check(check): Command) -> Result<(String, bool), PolicyError> {
    let (config, file) = check.settings.resolve(false)?;
    let room = RoomName::parse(&check.room)?;
    let identity = match (&check.token, &check.sub) {
        (Some(token), _) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let authenticator = Authenticator::from_config(&config)?;
            Some(runtime.block_on(authenticator.verify(token))?.identity)
        }
        (None, Some(sub)) => {
            let claims: Option<Map<String, Value>> = match &check.claims {
                Some(text) => Some(serde_json::from_str(text).map_err(|_| PolicyError::Claims)?),
                None => None,
            };
            Some(Identity { claims: claims.unwrap_or_default(), ..Identity::new(sub, check.role.as_deref()) })
        }
        (None, None) => None,
    };
    let policy = file.policy().cloned().unwrap_or_default();
    let explanation = explain(&policy, identity.as_ref(), &room);
    let allows = Action::from_name(&check.action).is_some_and(|action| explanation.allows(action));
    let origin = if file.policy().is_some() { "" } else { "no [policy] is configured: this is the default policy\n" };
    let verdict = if allows { "allowed" } else { "denied" };
    Ok((format!("{origin}{explanation}{}: {verdict}", check.action), allows))
}
