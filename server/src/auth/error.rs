//! Why a token is not accepted, and which of several reasons tells the most.

use osbackend_protocol::ErrorCode;

/// Why a token was not accepted. No variant holds the token or its claims' values.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum AuthError {
    /// Not three base64url parts of JSON with an `alg` that exists, or too long.
    #[error("the token is no signed JWT")]
    Malformed,
    /// The header names an algorithm that no configured source uses, or another one than the key's.
    #[error("the token's algorithm is not accepted by this server")]
    Algorithm,
    /// Signed with something else than the configured secret or key.
    #[error("the token's signature does not match this server's secret or key")]
    Signature,
    /// Its `kid` is none of the issuer's keys.
    #[error("the token's key (`kid`) is none of its issuer's; get a new token")]
    UnknownKey,
    /// A claim that must be there is not.
    #[error("the token has no `{0}` claim")]
    MissingClaim(&'static str),
    /// A claim is of the wrong type.
    #[error("the token's `{claim}` claim must be {expected}")]
    BadClaim {
        /// Which claim.
        claim: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// `sub` is a number, as some frameworks write it. Texts are compared and shown elsewhere, so none is made of it here.
    #[error("the token's `sub` is a number: sign it as a string")]
    NumberAsSub,
    /// `aud` names others.
    #[error("the token is for another audience (`aud`)")]
    Audience,
    /// `iss` is another one.
    #[error("the token is from another issuer (`iss`)")]
    Issuer,
    /// `exp` is in the past.
    #[error("the token has expired; get a new one")]
    Expired,
    /// `nbf` is in the future.
    #[error("the token is not valid yet (`nbf`)")]
    NotYetValid,
    /// An anon, publishable, service or secret key of a Supabase project: it names no user, and everyone has the first two.
    #[error("this is an API key of the Supabase project, no user's token; sign in and send the session's access token")]
    NotAUser,
    /// The issuer was asked and doesn't know the token (any more).
    #[error("the token's issuer does not accept it (any more); sign in again")]
    Rejected,
    /// Several tokens were given by the routes of §1, and they differ.
    #[error("several different tokens were given; give one")]
    Conflicting,
    /// No source of tokens is configured.
    #[error("this server accepts no tokens; set JWT_SECRET or SUPABASE_URL")]
    NoSource,
    /// A source could not be asked.
    #[error("the token can't be checked now; try again later")]
    Unavailable,
}

impl AuthError {
    /// The code to answer with (§6).
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Expired => ErrorCode::TokenExpired,
            Self::Unavailable => ErrorCode::Unavailable,
            _ => ErrorCode::Unauthorized,
        }
    }

    /// Whether a source knew the signature as its own and refused what the token says.
    pub(super) fn is_of_claims(&self) -> bool {
        self.rank() >= 5
    }

    /// The more telling of two sources' reasons: that of the one which got further with the token.
    pub(super) fn or(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }

    /// How far a source got before it refused. Not being able to ask outweighs "not mine", and yields to a source that
    /// knew the token as its own.
    fn rank(&self) -> u8 {
        match self {
            Self::NoSource | Self::Conflicting => 0,
            Self::Malformed => 1,
            Self::Algorithm => 2,
            Self::UnknownKey | Self::Signature => 3,
            Self::Unavailable => 4,
            Self::Audience | Self::Issuer => 5,
            Self::MissingClaim(_) | Self::BadClaim { .. } | Self::NumberAsSub | Self::Rejected => 6,
            Self::NotYetValid | Self::Expired | Self::NotAUser => 7,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AuthError::{Algorithm, Audience, Expired, Signature, Unavailable};

    #[test]
    fn the_source_that_got_furthest_is_heard() {
        assert_eq!(Algorithm.or(Signature), Signature);
        assert_eq!(Signature.or(Algorithm), Signature);
        assert_eq!(Signature.or(Unavailable), Unavailable, "it may be a good token of the source that can't be asked");
        assert_eq!(Unavailable.or(Expired), Expired, "the other source knew it as its own");
        assert_eq!(Expired.or(Audience), Expired);
    }
}
