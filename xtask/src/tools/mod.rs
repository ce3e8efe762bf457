//! What the commands need beyond Rust and Node: found, else installed, else the exact command to run is printed.

mod apt;
pub(crate) mod chromium;
pub(crate) mod engines;
pub(crate) mod node;
pub(crate) mod postgres;
pub(crate) mod python;
pub(crate) mod rust;
pub(crate) mod wasm_tools;

use std::path::PathBuf;

/// The user's cache folder for the tools of this project; shared by all checkouts.
pub(crate) fn dir() -> Option<PathBuf> {
    Some(cache_dir()?.join("osbackend-realtime").join("tools"))
}

/// Where `cargo install --root` puts programs.
pub(crate) fn bin_dir() -> Option<PathBuf> {
    Some(dir()?.join("bin"))
}

fn cache_dir() -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if cfg!(windows) {
        return from("LOCALAPPDATA");
    }
    let home = || from("HOME");
    if cfg!(target_os = "macos") {
        return Some(home()?.join("Library").join("Caches"));
    }
    from("XDG_CACHE_HOME").filter(|path| path.is_absolute()).or_else(|| Some(home()?.join(".cache")))
}
