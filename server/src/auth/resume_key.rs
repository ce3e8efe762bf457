//! The key of resume tokens: made from a secret of the settings, else kept in a file beside the streams, so that clients resume
//! over a restart; a key of this process alone where nothing else outlives it either.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{mint, resume::ResumeKeys};
use crate::config::{Config, EngineKind, Secret};

/// In `DATA_DIR`.
const FILE: &str = "resume.key";
/// What is less could be guessed.
const MIN_BYTES: usize = 32;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum ResumeKeyError {
    /// The file can't be read or written.
    #[error("{path}: {error}. Make the file and its directory readable and writable for the server")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file holds something else.
    #[error("{0} holds no key. Delete it: a new one is made, and each client gets a new id once")]
    Damaged(PathBuf),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

impl ResumeKeys {
    /// The keys for `config`; with a durable engine, whose directory exists, the same ones after each restart. Another
    /// `JWT_SECRET`, or without one a deleted file, makes every token of before invalid.
    ///
    /// # Errors
    /// The key's file can't be used.
    pub fn from_config(config: &Config) -> Result<Self, ResumeKeyError> {
        let auth = &config.auth;
        let key = match auth.jwt_secret.as_ref().or(auth.supabase_jwt_secret.as_ref()) {
            Some(secret) => secret.clone(),
            None if config.engine.kind == EngineKind::Memory => mint::random_secret()?,
            None => kept(&config.engine.data_dir)?,
        };
        Ok(Self::new(&key))
    }
}

/// The key in the file, which is made where there is none. The engine's lock keeps other processes out of `dir`.
fn kept(dir: &Path) -> Result<Secret, ResumeKeyError> {
    let path = dir.join(FILE);
    let failed = |error| ResumeKeyError::File { path: path.clone(), error };
    match fs::read_to_string(&path) {
        Ok(text) => {
            for_owner_only(&path).map_err(failed)?;
            let key = text.trim_end();
            if key.len() < MIN_BYTES { Err(ResumeKeyError::Damaged(path)) } else { Ok(key.into()) }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = mint::random_secret()?;
            write(dir, &path, &key).map_err(failed)?;
            Ok(key)
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(ResumeKeyError::Damaged(path)),
        Err(error) => Err(failed(error)),
    }
}

/// All of it or nothing, whenever the machine stops.
fn write(dir: &Path, path: &Path, key: &Secret) -> io::Result<()> {
    let unfinished = path.with_extension("key.new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    for_owner_only(&unfinished)?;
    file.write_all(key.reveal().as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// Whoever reads the key could take over the sessions of clients without a user.
#[cfg(unix)]
fn for_owner_only(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut permissions = fs::metadata(path)?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(0o600);
        fs::set_permissions(path, permissions)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn for_owner_only(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that ends with the test.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("osbackend-resume-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir).expect("a directory");
            Self(dir)
        }

        fn config(&self) -> Config {
            let mut config = Config::default();
            config.engine.kind = EngineKind::Sqlite;
            config.engine.data_dir.clone_from(&self.0);
            config
        }

        fn keys(&self) -> Result<ResumeKeys, ResumeKeyError> {
            ResumeKeys::from_config(&self.config())
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn token(keys: &ResumeKeys) -> String {
        keys.grant("c-1", None, 1_000_000).expect("signed").token
    }

    fn takes(keys: &ResumeKeys, token: &str) -> bool {
        keys.verify(token, "c-1", None, 1_000_001)
    }

    #[test]
    fn without_a_secret_the_key_is_kept_beside_the_streams_for_the_owner_only() {
        let dir = Dir::new("kept");
        let token = token(&dir.keys().expect("made"));
        assert!(takes(&dir.keys().expect("read"), &token), "after a restart");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let path = dir.0.join(FILE);
            let mode = || fs::metadata(&path).expect("there").permissions().mode() & 0o777;
            assert_eq!(mode(), 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("loosened");
            dir.keys().expect("read");
            assert_eq!(mode(), 0o600, "tightened again");
        }
        fs::remove_file(dir.0.join(FILE)).expect("deleted");
        assert!(!takes(&dir.keys().expect("made anew"), &token), "rotated by deleting the file");
    }

    #[test]
    fn a_secret_of_the_settings_is_the_key_and_another_one_rotates_it() {
        let dir = Dir::new("secret");
        let with = |jwt: Option<&str>, supabase: Option<&str>| {
            let mut config = dir.config();
            config.auth.jwt_secret = jwt.map(Secret::from);
            config.auth.supabase_jwt_secret = supabase.map(Secret::from);
            ResumeKeys::from_config(&config).expect("keys")
        };
        let (one, two) = ("a secret of at least 32 bytes, kept", "another secret of at least 32 bytes");
        let token = token(&with(Some(one), None));
        assert!(takes(&with(Some(one), Some(two)), &token));
        assert!(takes(&with(None, Some(one)), &token), "any of the two is a secret");
        assert!(!takes(&with(Some(two), None), &token));
        assert!(!dir.0.join(FILE).exists(), "nothing is written that isn't needed");
    }

    #[test]
    fn a_damaged_file_is_an_error_that_tells_what_to_do() {
        let dir = Dir::new("damaged");
        for bytes in [&b"short"[..], &[0xff; 64][..]] {
            fs::write(dir.0.join(FILE), bytes).expect("written");
            let error = dir.keys().err().expect("refused").to_string();
            assert!(error.contains("Delete it") && error.contains(FILE), "{error}");
        }
    }
}
