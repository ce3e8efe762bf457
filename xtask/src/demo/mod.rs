//! `cargo xtask demo`: builds everything and keeps the server with the demo page running.

mod control;
mod keeper;

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::project::Project;
use crate::sh::cmd;
use crate::stamp::Stamp;
use crate::tools::node::npm;
use crate::tools::{node, rust, wasm_tools};
use crate::{artifact, wasm};

/// The command.
pub(crate) fn run(project: &Project, args: &[String]) -> Result<()> {
    let serve = match args {
        [] => true,
        [flag] if flag == "--no-serve" => false,
        // For the tests of the page, which have built everything.
        [flag, server] if flag == "--serve-only" => return keeper::keep(project, Path::new(server)),
        _ => bail!("`cargo xtask demo` takes `--no-serve`, or `--serve-only` and a built server, and nothing else"),
    };
    if serve {
        // Before minutes of building, not after.
        check_ports()?;
    }
    rust::ensure_wasm_target(project)?;
    wasm_tools::ensure_bindgen(project)?;
    wasm_tools::drop_build_files();
    node::ensure_packages(project)?;
    wasm::build(project)?;
    build_package(project)?;
    build_page(project)?;
    // Last: the page goes into it.
    let server = build_server(project)?;
    if !serve {
        println!("built: {}", server.display());
        return Ok(());
    }
    keeper::keep(project, &server)
}

fn build_server(project: &Project) -> Result<PathBuf> {
    let cargo = cmd("cargo")
        .args(["build", "--locked", "--release", "--package", "osbackend-server", "--bin", "osbackend"])
        .dir(&project.root);
    artifact::build(cargo, "osbackend", std::env::consts::EXE_SUFFIX)
}

/// Builds `@osbackend/realtime` from its sources and the wasm.
pub(crate) fn build_package(project: &Project) -> Result<()> {
    let stamp = Stamp::new(project, "npm-package", &["package-lock.json", "npm-package"], &["npm-package/dist"])?;
    if stamp.is_fresh()? {
        eprintln!("npm-package/dist is up to date");
        return Ok(());
    }
    npm(project).args(["run", "build", "--workspace", "npm-package"]).run()?;
    stamp.record()
}

/// Builds the demo's page, which uses the built package.
pub(crate) fn build_page(project: &Project) -> Result<()> {
    let stamp = Stamp::new(project, "web-demo", &["package-lock.json", "npm-package/dist", "web-demo"], &["web-demo/dist"])?;
    if stamp.is_fresh()? {
        eprintln!("web-demo/dist is up to date");
        return Ok(());
    }
    npm(project).args(["run", "build", "--workspace", "web-demo"]).run()?;
    stamp.record()
}

fn check_ports() -> Result<()> {
    for (variable, default) in [("PORT", "8080"), ("WS_PORT", "8082")] {
        let value = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
        let port: u16 = value.parse().with_context(|| format!("{variable} must be a port number, not {value:?}"))?;
        TcpListener::bind(("127.0.0.1", port)).with_context(|| {
            format!("port {port} is taken: stop what listens there, or choose another: {variable}=… cargo xtask demo")
        })?;
    }
    Ok(())
}
