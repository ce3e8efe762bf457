//! Who a rule lets through: one condition, or any of several.

use super::{Denied, Identity, claims};
use crate::room::RoomName;
use std::fmt;

/// Who is let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone, with a token or without.
    Public,
    /// Anyone with a valid token.
    Authenticated,
    /// The user whose `sub`, percent-encoded as in §5, is the room's id; and `admin` and `service_role`.
    Owner,
    /// Who has this role. `admin` and `service_role` are one: either has both. Any other role is only itself.
    Role(String),
    /// Who has this claim with this value, or a list with it.
    Claim {
        /// Dotted path of the claim.
        path: String,
        /// The value, as text.
        value: String,
    },
    /// Nobody.
    Nobody,
    /// Whoever the application's backend says.
    Webhook,
}

/// A text is no access.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// Not one of the forms.
    #[error(
        "{0:?} is not allowed. Use public, authenticated, owner, role:NAME, claim:PATH=VALUE, nobody, webhook, or a list of them"
    )]
    Unknown(String),
    /// A claim that no rule may name.
    #[error(
        "the claim {0:?} can't decide: user_metadata is the user's own to edit; for sub and role use owner and role:NAME; times are no claims"
    )]
    Claim(String),
    /// Nothing at all.
    #[error("the list is empty. Use nobody where nobody may")]
    Empty,
}

pub(super) fn is_admin_role(role: &str) -> bool {
    matches!(role, "admin" | "service_role")
}

impl Access {
    /// The access that the policy's text names.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub fn parse(text: &str) -> Result<Self, AccessError> {
        let unknown = || AccessError::Unknown(text.to_owned());
        Ok(match text {
            "public" => Self::Public,
            "authenticated" => Self::Authenticated,
            "owner" => Self::Owner,
            "nobody" => Self::Nobody,
            "webhook" => Self::Webhook,
            _ => {
                if let Some(role) = text.strip_prefix("role:").filter(|role| !role.is_empty()) {
                    return Ok(Self::Role(role.to_owned()));
                }
                let (path, value) = text.strip_prefix("claim:").and_then(|rest| rest.split_once('=')).ok_or_else(unknown)?;
                if value.is_empty() {
                    return Err(unknown());
                }
                if !claims::is_for_rules(path) {
                    return Err(AccessError::Claim(path.to_owned()));
                }
                Self::Claim { path: path.to_owned(), value: value.to_owned() }
            }
        })
    }

    /// Whether it lets `identity` through in every room; an owner's own rooms are another question.
    fn everywhere(&self, identity: Option<&Identity>) -> bool {
        match self {
            Self::Public => true,
            Self::Authenticated => identity.is_some(),
            Self::Owner => identity.is_some_and(Identity::is_admin),
            Self::Role(role) if is_admin_role(role) => identity.is_some_and(Identity::is_admin),
            Self::Role(role) => identity.is_some_and(|who| who.role.as_ref() == Some(role)),
            Self::Claim { path, value } => identity.is_some_and(|who| claims::values(who, path).contains(value)),
            Self::Nobody | Self::Webhook => false,
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::Authenticated => f.write_str("authenticated"),
            Self::Owner => f.write_str("owner"),
            Self::Role(role) => write!(f, "role:{role}"),
            Self::Claim { path, value } => write!(f, "claim:{path}={value}"),
            Self::Nobody => f.write_str("nobody"),
            Self::Webhook => f.write_str("webhook"),
        }
    }
}

/// Several accesses, of which one is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnyOf(Vec<Access>);

impl From<Access> for AnyOf {
    fn from(access: Access) -> Self {
        Self(vec![access])
    }
}

impl AnyOf {
    /// Any of these.
    ///
    /// # Errors
    /// [`AccessError::Empty`]
    pub fn new(list: Vec<Access>) -> Result<Self, AccessError> {
        if list.is_empty() { Err(AccessError::Empty) } else { Ok(Self(list)) }
    }

    /// Those who have the role `admin` or `service_role`.
    pub fn admin() -> Self {
        Access::Role("admin".to_owned()).into()
    }

    /// Whether it leaves someone to the application's backend.
    pub fn asks_backend(&self) -> bool {
        self.0.contains(&Access::Webhook)
    }

    pub(super) fn everywhere(&self, identity: Option<&Identity>) -> bool {
        self.0.iter().any(|access| access.everywhere(identity))
    }

    pub(super) fn has_owner(&self) -> bool {
        self.0.contains(&Access::Owner)
    }

    /// Whether `identity` is let through in `room`.
    pub(super) fn check(&self, identity: Option<&Identity>, room: &RoomName) -> Result<(), Denied> {
        let owns = || identity.is_some_and(|who| RoomName::with_id(room.prefix(), &who.sub).is_ok_and(|own| own == *room));
        if self.everywhere(identity) || self.has_owner() && owns() {
            return Ok(());
        }
        if self.asks_backend() {
            return Err(Denied::AskBackend);
        }
        if self.0.iter().all(|access| *access == Access::Nobody) {
            return Err(Denied::Nobody);
        }
        if identity.is_none() {
            return Err(Denied::NotAuthenticated);
        }
        Err(match self.0.as_slice() {
            [Access::Owner] => Denied::NotOwner,
            [Access::Role(role)] if is_admin_role(role) => Denied::NotAdmin,
            _ => Denied::Needs(self.needs()),
        })
    }

    /// What is missing, for people. Values of claims are not told.
    fn needs(&self) -> String {
        let needs = self.0.iter().filter(|access| **access != Access::Nobody).map(|access| match access {
            Access::Owner => "to be the room's user".to_owned(),
            Access::Role(role) => format!("the role {role}"),
            Access::Claim { path, .. } => format!("the right value of the claim {path}"),
            other => other.to_string(),
        });
        needs.collect::<Vec<_>>().join(" or ")
    }
}

impl fmt::Display for AnyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, access) in self.0.iter().enumerate() {
            write!(f, "{}{access}", if index > 0 { " or " } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_form_is_read_and_shown_again() {
        for text in ["public", "authenticated", "owner", "role:editor", "claim:app_metadata.plan=pro=x", "nobody", "webhook"] {
            assert_eq!(Access::parse(text).map(|access| access.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "admins", "role:", "claim:plan", "claim:plan=", "role", "Public"] {
            assert_eq!(Access::parse(text), Err(AccessError::Unknown(text.to_owned())));
        }
        for path in ["user_metadata.plan", "sub", "role"] {
            assert_eq!(Access::parse(&format!("claim:{path}=x")), Err(AccessError::Claim(path.to_owned())));
        }
        assert_eq!(AnyOf::new(vec![]), Err(AccessError::Empty));
    }

    #[test]
    fn who_is_let_through() {
        let room = RoomName::parse("doc:ada").expect("a room name");
        let check = |text: &str, who: Option<&Identity>| AnyOf::from(Access::parse(text).expect("an access")).check(who, &room);
        let mut ada = Identity::new("ada", Some("editor"));
        ada.claims.insert("teams".to_owned(), json!(["red", 7]));
        let (bob, root) = (Identity::new("bob", None), Identity::new("root", Some("service_role")));
        assert_eq!(check("public", None), Ok(()));
        assert_eq!(check("authenticated", Some(&bob)), Ok(()));
        assert_eq!(check("authenticated", None), Err(Denied::NotAuthenticated));
        assert_eq!(check("owner", Some(&ada)), Ok(()));
        assert_eq!(check("owner", Some(&root)), Ok(()));
        assert_eq!(check("owner", Some(&bob)), Err(Denied::NotOwner));
        assert_eq!(check("role:editor", Some(&ada)), Ok(()));
        assert!(matches!(check("role:editor", Some(&root)), Err(Denied::Needs(what)) if what.contains("editor")));
        assert_eq!(check("role:admin", Some(&root)), Ok(()), "service_role is an admin");
        assert_eq!(check("role:admin", Some(&ada)), Err(Denied::NotAdmin));
        assert_eq!(check("claim:teams=red", Some(&ada)), Ok(()));
        assert_eq!(check("claim:teams=7", Some(&ada)), Ok(()));
        assert!(matches!(check("claim:teams=blue", Some(&ada)), Err(Denied::Needs(what)) if !what.contains("blue")));
        assert_eq!(check("nobody", Some(&root)), Err(Denied::Nobody));
        assert_eq!(check("webhook", None), Err(Denied::AskBackend));
        let any = AnyOf::new(vec![Access::Owner, Access::Role("editor".into())]).expect("not empty");
        assert_eq!(any.check(Some(&ada), &RoomName::parse("doc:x").expect("a room name")), Ok(()));
        assert!(any.check(Some(&bob), &room).is_err());
    }
}
