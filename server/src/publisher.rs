//! Who publishes: idempotency keys (§3) are each publisher's own, so that nobody can suppress another's event, or learn of it,
//! by guessing its key.

use aws_lc_rs::digest::{SHA256, digest};

/// Whose idempotency key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publisher<'a> {
    /// A user, by whichever connection or the HTTP API.
    User(&'a str),
    /// A client without a user, by its id, which it keeps by resuming.
    Client(&'a str),
    /// A backend, by the name of its API key.
    ApiKey(&'a str),
    /// The program that embeds the server.
    Server,
}

impl Publisher<'_> {
    /// What engines remember for `key`: the same for the same publisher and key, in every process, and of one short length.
    pub fn key(self, key: &str) -> String {
        let (kind, name) = match self {
            Self::User(sub) => ("user", sub),
            Self::Client(id) => ("client", id),
            Self::ApiKey(name) => ("api-key", name),
            Self::Server => ("server", ""),
        };
        // The length keeps a name that ends like another's key begins apart from it.
        let text = format!("{kind}\0{}\0{name}{key}", name.len());
        let half =
            digest(&SHA256, text.as_bytes()).as_ref().iter().take(16).fold(0_u128, |all, byte| all << 8 | u128::from(*byte));
        format!("{half:032x}")
    }
}

#[cfg(test)]
mod tests {
    use super::Publisher::{ApiKey, Client, Server, User};
    use std::collections::BTreeSet;

    #[test]
    fn a_key_is_its_publishers_own() {
        let all = [
            User("ada").key("k"),
            User("ada").key("l"),
            User("eve").key("k"),
            User("ad").key("ak"),
            Client("ada").key("k"),
            ApiKey("ada").key("k"),
            Server.key("k"),
            Server.key("adak"),
        ];
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        assert!(all.iter().all(|key| key.len() == 32));
    }

    #[test]
    fn a_key_is_the_same_after_a_restart() {
        // A file of the durable engine holds it: another form would forget what was published before an update.
        assert_eq!(User("ada").key("k"), "e5935b99113bbc9499661dc8b3626785");
    }
}
