//! The browser's share: the real package in headless Chromium, fed with frames of our real server.

use std::time::Instant;

use anyhow::{Context, Result};

use super::figures::Figures;
use super::options::Options;
use super::server::{Programs, SECRET, Server};
use crate::project::Project;
use crate::sh::cmd;
use crate::tools::{chromium, node, rust, wasm_tools};
use crate::{demo, wasm};

/// Builds the package and measures it.
pub(crate) fn measure(project: &Project, programs: &Programs, options: &Options, figures: &mut Figures) -> Result<()> {
    let chromium = chromium::ensure()?;
    rust::ensure_wasm_target(project)?;
    wasm_tools::ensure_bindgen(project)?;
    node::ensure_packages(project)?;
    wasm::build(project)?;
    demo::build_package(project)?;
    let rounds = if options.quick { "1" } else { "3" };
    let running = programs.start(Server::Ours)?;
    let started = Instant::now();
    let lines = cmd("node")
        .arg(project.path("xtask/bench/client/run.mjs"))
        .args(["--server", &format!("ws://{}/ws", running.addr), "--secret", SECRET, "--rounds", rounds])
        .arg("--package")
        .arg(project.path("npm-package"))
        .arg("--node-peers")
        .arg(programs.node_peers())
        .arg("--chromium")
        .arg(&chromium.chrome)
        .read_shown()
        .context("the bench of the client");
    eprintln!("  client: {:?}", started.elapsed());
    match lines {
        Ok(lines) => {
            for line in lines.lines() {
                let round = serde_json::from_str(line).context("run.mjs did not print JSON lines");
                figures.take(Server::Ours.name(), "client", round);
            }
        }
        Err(error) => figures.take(Server::Ours.name(), "client", Err(error)),
    }
    Ok(())
}
