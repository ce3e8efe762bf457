//! The stages that cargo runs.

use std::path::PathBuf;

use anyhow::Result;

use super::seeds::Seeds;
use crate::artifact;
use crate::project::Project;
use crate::sh::{Cmd, cmd};
use crate::tools::{rust, wasm_tools as tools};

fn cargo(project: &Project) -> Cmd {
    cmd("cargo").dir(&project.root)
}

pub(super) fn fmt(project: &Project) -> Result<()> {
    rust::ensure_components(project)?;
    cargo(project).args(["fmt", "--all", "--", "--check"]).run()
}

pub(super) fn wasm_tools(project: &Project) -> Result<()> {
    tools::ensure_bindgen(project)?;
    tools::ensure_pack(project)?;
    tools::drop_build_files();
    Ok(())
}

pub(super) fn clippy(project: &Project) -> Result<()> {
    rust::ensure_components(project)?;
    cargo(project).args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]).run()
}

pub(super) fn clippy_wasm(project: &Project) -> Result<()> {
    rust::ensure_components(project)?;
    cargo(project)
        .args(["clippy", "--locked", "--package", "osbackend-client-wasm", "--all-targets"])
        .args(["--target", rust::WASM_TARGET, "--", "-D", "warnings"])
        .run()
}

/// Of the simulation only a taste: the stage of its own has all seeds.
pub(super) fn test(project: &Project) -> Result<()> {
    cargo(project).args(["test", "--locked", "--workspace", "--no-fail-fast"]).env("SIM_SEEDS", "200").run()
}

/// The workspace, so that nothing is built with other features than in `test`.
fn simulate(project: &Project) -> Cmd {
    let cargo = cargo(project).args(["test", "--locked", "--workspace", "--test", "simulation", "any_schedule"]);
    cargo.args(["--", "--nocapture"])
}

pub(super) fn simulation(project: &Project) -> Result<()> {
    simulate(project).run()
}

/// As long as it was asked for.
pub(super) fn simulation_of(project: &Project, seeds: &Seeds) -> Result<()> {
    simulate(project).env("SIM_SEEDS", seeds.count.to_string()).env("SIM_FROM", seeds.from.to_string()).run()
}

pub(super) fn doc(project: &Project) -> Result<()> {
    cargo(project).args(["doc", "--locked", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings").run()
}

/// The server, as `cargo test` built it for its integration tests. A `cargo build` would compile much of it again,
/// because it leaves out the features that only tests turn on.
pub(super) fn server(project: &Project) -> Result<PathBuf> {
    let build = cargo(project).args(["test", "--locked", "--workspace", "--no-run"]);
    artifact::build(build, "osbackend", std::env::consts::EXE_SUFFIX)
}
