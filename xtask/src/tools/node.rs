//! Node, npm and the packages of the npm workspace.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::project::Project;
use crate::sh::{Cmd, cmd};
use crate::stamp::Stamp;

/// The oldest Node that every package of the workspace runs on.
const OLDEST_NODE: (u32, u32) = (20, 19);

/// Makes sure that Node is new enough and that `node_modules` is what package-lock.json says.
pub(crate) fn ensure_packages(project: &Project) -> Result<()> {
    check_node()?;
    let stamp = Stamp::new(
        project,
        "npm-ci",
        &[
            "package-lock.json",
            "package.json",
            "npm-package/package.json",
            "packaging/package.json",
            "react-18/package.json",
            "web-demo/package.json",
        ],
        // Written by npm itself at the end of an installation.
        &["node_modules/.package-lock.json"],
    )?;
    if stamp.is_fresh()? {
        return Ok(());
    }
    cmd("npm").arg("--version").read().context("npm is needed; it comes with Node: https://nodejs.org")?;
    npm(project)
        .args(["ci", "--no-audit", "--no-fund"])
        .run()
        .context("the npm packages could not be installed: is registry.npmjs.org, or the registry of your .npmrc, reachable?")?;
    stamp.record()
}

/// npm, in the root of the workspace.
pub(crate) fn npm(project: &Project) -> Cmd {
    cmd("npm").dir(&project.root)
}

/// A program of the workspace's own packages.
pub(crate) fn package_bin(project: &Project, name: &str) -> Result<PathBuf> {
    let file = if cfg!(windows) { format!("{name}.cmd") } else { name.to_owned() };
    let path = project.path("node_modules/.bin").join(file);
    if !path.exists() {
        bail!("{} is missing: `npm ci` should have put it there", path.display());
    }
    Ok(path)
}

fn check_node() -> Result<()> {
    let (major, minor) = OLDEST_NODE;
    let version = cmd("node")
        .arg("--version")
        .read()
        .with_context(|| format!("Node {major}.{minor} or newer is needed: https://nodejs.org"))?;
    let parsed = parse_version(&version).with_context(|| format!("cannot read Node's version from {version:?}"))?;
    if parsed < OLDEST_NODE {
        bail!("Node {major}.{minor} or newer is needed, this is {}: https://nodejs.org", version.trim());
    }
    Ok(())
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().strip_prefix('v')?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{OLDEST_NODE, parse_version};

    #[test]
    fn versions_compare_as_numbers() {
        assert!(parse_version("v20.20.0\n").expect("version") >= OLDEST_NODE);
        assert!(parse_version("v100.1.0\n").expect("version") >= OLDEST_NODE);
        assert!(parse_version("v20.9.0\n").expect("version") < OLDEST_NODE);
        assert_eq!(parse_version("twenty"), None);
    }
}
