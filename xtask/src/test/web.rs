//! The stages that npm runs.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::rust;
use crate::demo;
use crate::project::Project;
use crate::sh::cmd;
use crate::tools::node::{npm, package_bin};

pub(super) fn biome(project: &Project) -> Result<()> {
    cmd(package_bin(project, "biome")?).args(["ci", "--error-on-warnings", "."]).dir(&project.root).run()
}

pub(super) fn build_package(project: &Project) -> Result<()> {
    demo::build_package(project)
}

pub(super) fn build_page(project: &Project) -> Result<()> {
    demo::build_page(project)
}

pub(super) fn typecheck(project: &Project) -> Result<()> {
    npm(project).args(["run", "typecheck", "--workspaces"]).run()
}

pub(super) fn vitest(project: &Project) -> Result<()> {
    npm(project).args(["run", "test", "--workspaces", "--if-present"]).run()
}

/// Builds a page for each entry, and has size-limit weigh what it loads.
pub(super) fn size(project: &Project) -> Result<()> {
    npm(project).args(["run", "size", "--workspace", "npm-package"]).run()
}

/// The package's reference: everything that is exported has a description, and every link a target.
pub(super) fn reference(project: &Project) -> Result<()> {
    npm(project).args(["run", "docs", "--workspace", "npm-package"]).run()
}

/// The package's tests that start, kill and restart the server themselves.
pub(super) fn live(project: &Project) -> Result<()> {
    npm(project).args(["run", "test:live", "--workspace", "npm-package"]).env("OSB_SERVER", rust::server(project)?).run()
}

/// Packs the tarball that would be published, and lets publint and attw look into it.
pub(super) fn pack(project: &Project) -> Result<()> {
    let folder = pack_folder(project)?;
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    npm(project)
        .args(["pack", "--workspace", "npm-package", "--pack-destination"])
        .arg(&folder)
        // Built already; a `prepack` would do it again.
        .arg("--ignore-scripts")
        .run()?;
    let tarball = tarball(project)?;
    cmd(package_bin(project, "publint")?).args(["run", "--strict"]).arg(&tarball).dir(&project.root).run()?;
    cmd(package_bin(project, "attw")?)
        .arg(&tarball)
        // ES modules only, so what CommonJS would make of them isn't asked; a file of bytes has no types.
        .args(["--profile", "esm-only", "--exclude-entrypoints", "client.wasm", "--no-emoji"])
        .dir(&project.root)
        .run()
}

/// What `pack` has made.
pub(super) fn tarball(project: &Project) -> Result<PathBuf> {
    only_file(&pack_folder(project)?)
}

fn pack_folder(project: &Project) -> Result<PathBuf> {
    Ok(project.work_dir()?.join("pack"))
}

fn only_file(folder: &PathBuf) -> Result<PathBuf> {
    let mut files = fs::read_dir(folder)
        .with_context(|| format!("cannot list {}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    match (files.pop(), files.is_empty()) {
        (Some(file), true) => Ok(file),
        _ => bail!("`npm pack` should have written exactly one file into {}", folder.display()),
    }
}
