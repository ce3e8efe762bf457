//! Where things are: the checkout, cargo's target directory and this tool's own working files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::sh::cmd;

/// The checkout that a command works on.
#[derive(Debug)]
pub(crate) struct Project {
    /// The folder of the workspace's Cargo.toml.
    pub(crate) root: PathBuf,
}

impl Project {
    /// Finds the checkout that `cargo xtask` was started in.
    pub(crate) fn find() -> Result<Self> {
        // At run time and not `env!`: several checkouts may share one target directory, and so this binary.
        let manifest_dir =
            std::env::var_os("CARGO_MANIFEST_DIR").context("CARGO_MANIFEST_DIR is not set: start this as `cargo xtask …`")?;
        let root = Path::new(&manifest_dir).parent().context("xtask has no parent folder")?.to_path_buf();
        Ok(Self { root })
    }

    /// A path inside the checkout.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Files that these commands keep between runs. In the checkout even where `CARGO_TARGET_DIR` points
    /// elsewhere, because they describe this checkout.
    pub(crate) fn work_dir(&self) -> Result<PathBuf> {
        let dir = self.path("target/xtask");
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(dir)
    }

    /// The version of a package in Cargo.lock, so that tools which must match it cannot drift.
    pub(crate) fn locked_version(&self, package: &str) -> Result<String> {
        let lock = self.read("Cargo.lock")?;
        locked_version(&lock, package).with_context(|| format!("Cargo.lock does not name exactly one version of {package}"))
    }

    /// Reads a text file of the checkout.
    pub(crate) fn read(&self, relative: &str) -> Result<String> {
        let path = self.path(relative);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// The paths that belong to the tree: tracked, or new and not ignored.
    pub(crate) fn files(&self) -> Result<Vec<String>> {
        let listed = cmd("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .dir(&self.root)
            .read()
            .context("tidy asks git which files belong to the tree")?;
        let mut files: Vec<String> =
            listed.split('\0').filter(|path| !path.is_empty() && self.path(path).is_file()).map(str::to_owned).collect();
        files.sort();
        files.dedup();
        if files.is_empty() {
            bail!("git lists no file in {}", self.root.display());
        }
        Ok(files)
    }
}

fn locked_version(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let mut found = lock.split("[[package]]").filter(|entry| entry.lines().any(|line| line == name)).filter_map(|entry| {
        let line = entry.lines().find_map(|line| line.strip_prefix("version = \""))?;
        line.strip_suffix('"').map(str::to_owned)
    });
    let version = found.next()?;
    found.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::locked_version;

    const LOCK: &str = "\n[[package]]\nname = \"one\"\nversion = \"1.2.3\"\n\n[[package]]\nname = \"two\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"two\"\nversion = \"2.0.0\"\n";

    #[test]
    fn a_single_version_is_read() {
        assert_eq!(locked_version(LOCK, "one").as_deref(), Some("1.2.3"));
    }

    #[test]
    fn none_and_two_versions_are_not_guessed() {
        assert_eq!(locked_version(LOCK, "two"), None);
        assert_eq!(locked_version(LOCK, "three"), None);
    }
}
