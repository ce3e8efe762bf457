//! `osbackend token`: a signed token for scripts and trials.

use crate::auth::mint::{MintError, Token};
use crate::config::{Secret, parse_time};

/// What the token says.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The user: the token's `sub`.
    #[arg(long = "sub", alias = "user")]
    user: String,
    /// The token's `role`; `admin` and `service_role` may publish and use the whole API.
    #[arg(long)]
    role: Option<String>,
    /// How long it is valid, such as 15m, 24h or 7d.
    #[arg(long, default_value = "1h")]
    expires_in: String,
    /// The secret that the server checks tokens with.
    #[arg(long, env = "JWT_SECRET", hide_env_values = true)]
    jwt_secret: Option<String>,
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenError {
    #[error("no JWT_SECRET is set. Set it to the secret that the server checks tokens with")]
    NoSecret,
    #[error("--expires-in={0:?} is not allowed. Use a time such as 15m, 24h or 7d")]
    Lifetime(String),
    #[error("--sub must not be empty")]
    NoUser,
    #[error(transparent)]
    Mint(#[from] MintError),
}

pub(super) fn run(args: &Args) -> Result<String, TokenError> {
    let secret = args.jwt_secret.as_deref().filter(|secret| !secret.is_empty()).ok_or(TokenError::NoSecret)?;
    let lifetime = parse_time(&args.expires_in).filter(|time| time.as_secs() > 0);
    let lifetime = lifetime.ok_or_else(|| TokenError::Lifetime(args.expires_in.clone()))?;
    if args.user.is_empty() {
        return Err(TokenError::NoUser);
    }
    let token = Token::for_user(&args.user).lifetime(lifetime);
    let token = args.role.iter().fold(token, |token, role| token.role(role));
    Ok(token.sign(&Secret::from(secret))?)
}
