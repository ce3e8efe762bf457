//! `wasm-bindgen` with its test runner, and `wasm-pack`: exactly the version that the sources need.

use std::{
    fs::{self, File},
    path::Path,
};

use anyhow::{Context, Result};

use super::{bin_dir, dir};
use crate::project::Project;
use crate::sh::cmd;

const WASM_PACK: &str = "0.15.1";

/// Makes sure that `wasm-bindgen` and `wasm-bindgen-test-runner` have the version of the crate in Cargo.lock.
pub(crate) fn ensure_bindgen(project: &Project) -> Result<()> {
    let version = project.locked_version("wasm-bindgen")?;
    ensure(project, "wasm-bindgen-cli", &version, &["wasm-bindgen", "wasm-bindgen-test-runner"])
}

/// Makes sure that `wasm-pack` is there.
pub(crate) fn ensure_pack(project: &Project) -> Result<()> {
    ensure(project, "wasm-pack", WASM_PACK, &["wasm-pack"])
}

fn ensure(project: &Project, package: &str, version: &str, programs: &[&str]) -> Result<()> {
    if programs.iter().all(|program| has_version(program, version)) {
        return Ok(());
    }
    let dir = dir().context("neither HOME nor a cache folder is set: the tools have no place to go")?;
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let _lock = lock(&dir)?;
    if programs.iter().all(|program| has_version(program, version)) {
        return Ok(());
    }
    eprintln!("{package} {version} is not on PATH: installing it into {}", dir.display());
    cmd("cargo")
        .args(["install", "--locked", "--force", package, "--version", version, "--root"])
        .arg(&dir)
        // One build folder for all tools: what they share is compiled once. Apart from the project's own.
        .arg("--target-dir")
        .arg(dir.join("build"))
        // These run for seconds and are built for minutes: build time counts.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .dir(&project.root)
        .run()
        .with_context(|| {
            format!("run `cargo install --locked {package} --version {version}` by hand, or put that version on PATH")
        })?;
    for program in programs {
        anyhow::ensure!(
            has_version(program, version),
            "{program} {version} was installed into {} but does not run from there",
            bin_dir().unwrap_or(dir).display()
        );
    }
    Ok(())
}

/// Waits for other runs of these commands on this machine: they share the folder. Held until the file is dropped.
fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

fn has_version(program: &str, version: &str) -> bool {
    cmd(program).arg("--version").read().is_ok_and(|output| names_version(&output, version))
}

fn names_version(output: &str, version: &str) -> bool {
    output.split_whitespace().any(|word| word == version)
}

/// Removes what building the tools left behind: some hundred MB that nobody needs again.
pub(crate) fn drop_build_files() {
    // Nothing is dropped from under another run that builds there now.
    if let Some(dir) = dir()
        && dir.join("build").exists()
        && let Ok(_lock) = lock(&dir)
    {
        // Left behind it costs disk and nothing else.
        let _ = fs::remove_dir_all(dir.join("build"));
    }
}

#[cfg(test)]
mod tests {
    use super::names_version;

    #[test]
    fn only_the_exact_version_counts() {
        assert!(names_version("wasm-bindgen 0.2.129\n", "0.2.129"));
        assert!(names_version("wasm-bindgen 0.2.129 (abc 2026-01-01)\n", "0.2.129"));
        assert!(!names_version("wasm-bindgen 0.2.12\n", "0.2.129"));
        assert!(!names_version("wasm-bindgen 0.2.1290\n", "0.2.129"));
    }
}
