//! `cargo xtask wasm`: the browser client as wasm and JavaScript in `npm-package/wasm`.

mod at_rest;
mod parts;
mod shrink;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::artifact;
use crate::project::Project;
use crate::sh::cmd;
use crate::stamp::Stamp;
use crate::tools::rust::WASM_TARGET;
use crate::tools::{node, rust, wasm_tools};

const OUT: &str = "npm-package/wasm";
/// The module before wasm-opt, with the names of its functions, for who asks where the bytes go.
const NAMED: &str = "target/xtask/client-named.wasm";
const CRATE: &str = "osbackend_client_wasm";

/// What rustc turns on for this target by default; binaryen needs to be told.
const WASM_FEATURES: &[&str] = &[
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-call-indirect-overlong",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// The command.
pub(crate) fn run(project: &Project, args: &[String]) -> Result<()> {
    let parts = match args {
        [] => false,
        [flag] if flag == "--parts" => true,
        _ => bail!("`cargo xtask wasm` takes `--parts` and nothing else"),
    };
    rust::ensure_wasm_target(project)?;
    wasm_tools::ensure_bindgen(project)?;
    wasm_tools::drop_build_files();
    node::ensure_packages(project)?;
    build(project)?;
    if parts {
        let wasm = project.path("target/xtask/client-parts.wasm");
        // Names make it 0.2 KB larger, so this isn't the published one.
        optimize(project, &["--debuginfo"], &wasm)?;
        let module = fs::read(&wasm).with_context(|| format!("cannot read {}", wasm.display()))?;
        print!("{}", parts::table(&module)?);
    }
    Ok(())
}

/// Builds where something changed, and prints the sizes. The tools must be there.
pub(crate) fn build(project: &Project) -> Result<()> {
    let stamp = Stamp::new(
        project,
        "wasm",
        &[
            "Cargo.toml",
            "Cargo.lock",
            "shared-protocol/Cargo.toml",
            "shared-protocol/src",
            "client-core/Cargo.toml",
            "client-core/src",
            "client-wasm/Cargo.toml",
            "client-wasm/src",
            "client-wasm/js",
            "node_modules/binaryen/package.json",
            "xtask/src/wasm.rs",
            "xtask/src/wasm",
        ],
        &[OUT, NAMED],
    )?;
    let wasm = project.path(OUT).join(format!("{CRATE}_bg.wasm"));
    if stamp.is_fresh()? {
        eprintln!("{OUT} is up to date");
        return print_sizes(&wasm);
    }
    let module = compile(project)?;
    bind(project, &module)?;
    shrink(project, &wasm)?;
    optimize(project, &["--strip-debug", "--strip-producers", "--strip-target-features"], &wasm)?;
    stamp.record()?;
    print_sizes(&wasm)
}

fn compile(project: &Project) -> Result<PathBuf> {
    let cargo = cmd("cargo")
        .args(["build", "--locked", "--package", "osbackend-client-wasm", "--profile", "wasm"])
        .args(["--target", WASM_TARGET])
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags(project))
        .dir(&project.root);
    artifact::build(cargo, CRATE, ".wasm")
}

/// Panic messages carry file names: without these flags the paths of the machine that built it would be published.
fn rust_flags(project: &Project) -> String {
    let mut flags: Vec<String> = std::env::var("RUSTFLAGS").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    flags.push(format!("--remap-path-prefix={}=.", project.root.display()));
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    if let Some(home) = cargo_home {
        flags.push(format!("--remap-path-prefix={}=cargo", home.display()));
    }
    // The separator that cargo defines for this variable.
    flags.join("\u{1f}")
}

fn bind(project: &Project, module: &Path) -> Result<()> {
    let out = project.path(OUT);
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("cannot empty {}", out.display()))?;
    }
    cmd("wasm-bindgen").arg(module).args(["--target", "web", "--out-name", CRATE, "--out-dir", OUT]).dir(&project.root).run()
}

fn shrink(project: &Project, wasm: &Path) -> Result<()> {
    let script = project.path(OUT).join(format!("{CRATE}.js"));
    let module = fs::read(wasm).with_context(|| format!("wasm-bindgen wrote no {}", wasm.display()))?;
    let text = fs::read_to_string(&script).with_context(|| format!("wasm-bindgen wrote no {}", script.display()))?;
    let (module, text) = shrink::shrink(&module, &text)?;
    project.work_dir()?;
    let named = project.path(NAMED);
    fs::write(&named, module).with_context(|| format!("cannot write {}", named.display()))?;
    fs::write(&script, at_rest::at_rest(&text)?).with_context(|| format!("cannot write {}", script.display()))
}

/// `flags`: what becomes of the names.
fn optimize(project: &Project, flags: &[&str], wasm: &Path) -> Result<()> {
    cmd(node::package_bin(project, "wasm-opt")?)
        // Inlining saves calls that happen once a frame, and costs 2 KB after gzip; of small functions it saves some.
        .args(["--one-caller-inline-max-function-size=20", "--always-inline-max-function-size=0"])
        // Measured after gzip: flat code that is structured anew is 0.5 KB smaller than `-Oz`, and functions side by side
        // whose names are alike 0.8 KB.
        .args(["-Os", "--flatten", "--rereloop", "-Os", "-Os", "--reorder-functions-by-name"])
        .args(WASM_FEATURES)
        .args(flags)
        .arg(project.path(NAMED))
        .arg("-o")
        .arg(wasm)
        .dir(&project.root)
        .run()
}

fn print_sizes(wasm: &Path) -> Result<()> {
    let raw = fs::metadata(wasm).with_context(|| format!("wasm-bindgen wrote no {}", wasm.display()))?.len();
    let gzipped = cmd("node")
        .args(["-p", "require('node:zlib').gzipSync(require('node:fs').readFileSync(process.argv[1]), {level: 9}).length"])
        .arg(wasm)
        .read()?;
    println!("{CRATE}_bg.wasm: {raw} bytes, {} bytes with gzip -9", gzipped.trim());
    Ok(())
}
