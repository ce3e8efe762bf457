//! Parts of the Rust toolchain that a minimal installation lacks: the wasm target, rustfmt and clippy.

use std::path::Path;

use anyhow::{Context, Result};

use crate::project::Project;
use crate::sh::cmd;

pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// Makes sure that the standard library for wasm32 is there.
pub(crate) fn ensure_wasm_target(project: &Project) -> Result<()> {
    if has_wasm_target(project)? {
        return Ok(());
    }
    cmd("rustup").args(["target", "add", WASM_TARGET]).dir(&project.root).run().with_context(|| {
        format!(
            "the Rust target {WASM_TARGET} is missing and could not be added. Run `rustup target add {WASM_TARGET}` \
                 where static.rust-lang.org can be reached; without rustup, install your distribution's package of it \
                 (Debian: libstd-rust-dev-wasm32)"
        )
    })
}

fn has_wasm_target(project: &Project) -> Result<bool> {
    // Works with rustup and with a distribution's Rust alike. rustc prints the folder whether it exists or not.
    let libdir = cmd("rustc").args(["--print", "target-libdir", "--target", WASM_TARGET]).dir(&project.root).read()?;
    Ok(Path::new(libdir.trim()).is_dir())
}

/// Makes sure that `cargo fmt` and `cargo clippy` are there.
pub(crate) fn ensure_components(project: &Project) -> Result<()> {
    for (component, program) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        let version = cmd("cargo").args([program, "--version"]).dir(&project.root).read();
        if version.is_ok() {
            continue;
        }
        cmd("rustup").args(["component", "add", component]).dir(&project.root).run().with_context(|| {
            format!("`cargo {program}` is missing: run `rustup component add {component}` or install your distribution's package")
        })?;
    }
    Ok(())
}
