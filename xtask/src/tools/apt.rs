//! Debian's packages: installed where this runs as root, else the command to run is told.

use anyhow::{Context, Result, bail};

use crate::sh::{cmd, which};

/// Installs packages for `what`, which is missing; `else_do` is for who has no apt.
pub(super) fn install(what: &str, packages: &[&str], else_do: &str) -> Result<()> {
    if which("apt-get").is_none() {
        bail!("{what} is missing. {else_do}");
    }
    let install = format!("apt-get update && apt-get install -y {}", packages.join(" "));
    if !is_root() {
        bail!("{what} is missing, and only root may install it. Run: sudo sh -c '{install}'");
    }
    let failed = || format!("{what} could not be installed. Run `{install}` and see what it says");
    cmd("apt-get").args(["-q", "update"]).run().with_context(failed)?;
    cmd("apt-get")
        .args(["-q", "install", "-y", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .run()
        .with_context(failed)
}

/// Whether this runs as root.
pub(super) fn is_root() -> bool {
    if !cfg!(unix) {
        return false;
    }
    cmd("id").arg("-u").read().is_ok_and(|id| id.trim() == "0")
}
