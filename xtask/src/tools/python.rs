//! Programs of Python's registry, each in a folder of its own, in exactly the versions that its list of requirements has.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::apt;
use crate::project::Project;
use crate::sh::cmd;
use crate::stamp::Stamp;

/// The path of the list, from the checkout's root.
const SCHEMATHESIS: &str = "xtask/schemathesis/requirements.txt";

/// schemathesis, which asks an API whether it is as its document says.
pub(crate) fn ensure_schemathesis(project: &Project) -> Result<PathBuf> {
    let folder = "target/xtask/schemathesis";
    let venv = project.path(folder);
    let bin = venv.join(if cfg!(windows) { "Scripts" } else { "bin" });
    let program = bin.join(format!("schemathesis{}", std::env::consts::EXE_SUFFIX));
    let list = project.path(SCHEMATHESIS);
    // The file that pip wrote last: the folder as a whole has files that change by use.
    let kept = format!("{folder}/requirements.txt");
    let stamp = Stamp::new(project, "schemathesis", &[SCHEMATHESIS], &[&kept])?;
    if program.is_file() && stamp.is_fresh()? {
        return Ok(program);
    }
    if venv.exists() {
        fs::remove_dir_all(&venv).with_context(|| format!("cannot empty {}", venv.display()))?;
    }
    make(&venv)?;
    cmd(bin.join(format!("python{}", std::env::consts::EXE_SUFFIX)))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(&list)
        .run()
        .context("schemathesis could not be installed: is pypi.org, or the index of your pip.conf, reachable?")?;
    fs::copy(&list, project.path(&kept)).with_context(|| format!("cannot write {kept}"))?;
    stamp.record()?;
    Ok(program)
}

fn make(venv: &PathBuf) -> Result<()> {
    let made = || cmd("python3").args(["-m", "venv"]).arg(venv).read();
    // Debian's Python comes without it.
    if made().is_err() {
        apt::install("Python 3 with its module venv", &["python3-venv"], "Install it from https://www.python.org")?;
        made()?;
    }
    Ok(())
}
