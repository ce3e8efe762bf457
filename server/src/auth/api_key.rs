//! API keys: how backends use the HTTP API. The server knows their hashes only, and names a key by its name.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::{constant_time, digest};

use crate::config::ApiKey;

/// How a key that [`generate`] made begins: scanners for leaked secrets find it, and people tell it from a token.
pub const PREFIX: &str = "osb_";

/// The configured keys.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys(Arc<[ApiKey]>);

impl ApiKeys {
    /// These keys.
    pub fn new(keys: &[ApiKey]) -> Self {
        Self(keys.into())
    }

    /// Whether none is configured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of `key`, if it is one. Takes as long whichever it is: every hash is compared, each in constant time.
    pub fn name_of(&self, key: &str) -> Option<&str> {
        let hash = sha256(key);
        self.0.iter().fold(None, |found, known| {
            let same = constant_time::verify_slices_are_equal(&known.sha256, &hash).is_ok();
            if same { Some(known.name.as_str()) } else { found }
        })
    }
}

/// A key that was just made. It is shown once, to whoever asked for it; the server keeps the entry.
pub struct NewKey {
    /// The key itself: a secret.
    pub key: String,
    /// `name:sha256`, for `API_KEYS`.
    pub entry: String,
    /// The same, as the settings have it.
    pub setting: ApiKey,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey").field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// Makes a key of 256 random bits for `name`.
///
/// # Errors
/// The operating system has no randomness to give.
pub fn generate(name: &str) -> Result<NewKey, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    let key = format!("{PREFIX}{}", hex(&bytes));
    let sha256 = sha256(&key);
    let entry = format!("{name}:{}", hex(&sha256));
    Ok(NewKey { key, entry, setting: ApiKey { name: name.to_owned(), sha256 } })
}

fn sha256(key: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, key.as_bytes()).as_ref());
    hash
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_key_is_known_by_its_hash_and_told_by_its_name() {
        let (one, two) = (generate("billing").unwrap(), generate("crm").unwrap());
        let entries = format!("{},{}", one.entry, two.entry);
        let config = Config::resolve(false, |name| (name == "API_KEYS").then(|| entries.clone())).unwrap();
        let keys = ApiKeys::new(&config.auth.api_keys);
        assert_eq!((keys.name_of(&one.key), keys.name_of(&two.key)), (Some("billing"), Some("crm")));
        for wrong in ["", "osb_", one.entry.as_str(), &one.key[..one.key.len() - 1], &format!("{} ", one.key)] {
            assert_eq!(keys.name_of(wrong), None, "{wrong:?}");
        }
        assert_eq!(ApiKeys::default().name_of(&one.key), None);
        assert!(!format!("{one:?}{keys:?}").contains(&one.key[4..]), "neither shows the key");
    }

    #[test]
    fn the_hash_is_the_one_that_sha256sum_prints() {
        assert_eq!(hex(&sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
