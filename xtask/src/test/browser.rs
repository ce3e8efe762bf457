//! The stages in Chromium: wasm-pack's tests of the client against a server, the React hooks, users' projects, and the demo's
//! end-to-end tests.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;

use super::dev_server::DevServer;
use super::{rust, web};
use crate::project::Project;
use crate::sh::cmd;
use crate::tools::chromium::{self, Browser};
use crate::tools::engines;
use crate::tools::node::npm;

/// `wasm-pack test --headless --chrome client-wasm`, by itself and with a server of its own for the tests to talk to.
pub(super) fn wasm_pack_test(project: &Project) -> Result<()> {
    let browser = chromium::ensure()?;
    // As somebody types it: with nothing but the driver on the PATH. The tests that need a server are ignored, and say so.
    cmd("wasm-pack").args(["test", "--headless", "--chrome", "client-wasm", "--locked"]).dir(&project.root).run()?;
    let server = DevServer::start(project, &rust::server(project)?)?;
    let result = cmd("wasm-pack")
        .args(["test", "--mode", "no-install", "--headless", "--chrome", "--chromedriver"])
        .arg(&browser.driver)
        .arg("client-wasm")
        .arg("--locked")
        // Read at compile time: the tests run in a page, which has no environment.
        .env("OSB_TEST_WS_URL", server.ws_url())
        .env("OSB_TEST_USER_TOKEN", server.user_token())
        .env("OSB_TEST_ADMIN_TOKEN", server.admin_token())
        .env("CHROMEDRIVER", &browser.driver)
        .env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", write_capabilities(project, &browser)?)
        .env("WASM_BINDGEN_TEST_TIMEOUT", "120")
        .dir(&project.root)
        .run();
    result.with_context(|| format!("the server's log is {}", server.log().display()))
}

/// The demo's own browser tests; they start, kill and restart the server themselves.
pub(super) fn e2e(project: &Project) -> Result<()> {
    let browser = chromium::ensure()?;
    npm(project)
        .args(["run", "e2e", "--workspace", "web-demo"])
        .env("OSB_SERVER", rust::server(project)?)
        // The keeper of `cargo xtask demo`, which the page asks to kill its server.
        .env("OSB_XTASK", std::env::current_exe().context("xtask can't find itself")?)
        .env("CHROME", &browser.chrome)
        .run()
}

/// The hooks, with each React that is supported; the tests start a server themselves.
pub(super) fn react(project: &Project) -> Result<()> {
    let browser = chromium::ensure()?;
    npm(project)
        .args(["run", "test:react", "--workspace", "npm-package"])
        .env("OSB_SERVER", rust::server(project)?)
        .env("CHROME", &browser.chrome)
        .run()
}

/// The package in tabs that share a connection and are ended one after the other; they start and kill the server themselves.
pub(super) fn tabs(project: &Project) -> Result<()> {
    let browser = chromium::ensure()?;
    npm(project)
        .args(["run", "e2e", "--workspace", "npm-package"])
        .env("OSB_SERVER", rust::server(project)?)
        .env("CHROME", &browser.chrome)
        .run()
}

/// The tests that Chromium, Firefox and WebKit all have to pass; they start the server themselves.
pub(super) fn engines(project: &Project) -> Result<()> {
    let browser = chromium::ensure()?;
    let others = engines::ensure()?;
    npm(project)
        .args(["run", "e2e:engines", "--workspace", "npm-package"])
        .env("OSB_SERVER", rust::server(project)?)
        .env("CHROME", &browser.chrome)
        .env("FIREFOX", &others.firefox)
        .env("WEBKIT_DRIVER", &others.webkit_driver)
        .env("WEBKIT_BROWSER", &others.webkit_browser)
        .run()
}

/// Users' projects with the packed tarball, in Chromium and Node.
pub(super) fn packaging(project: &Project) -> Result<()> {
    let browser = chromium::ensure()?;
    npm(project)
        .args(["run", "packaging", "--workspace", "packaging"])
        .env("OSB_TARBALL", web::tarball(project)?)
        .env("OSB_SERVER", rust::server(project)?)
        .env("CHROME", &browser.chrome)
        .run()
}

fn write_capabilities(project: &Project, browser: &Browser) -> Result<PathBuf> {
    let path = project.work_dir()?.join("webdriver.json");
    fs::write(&path, capabilities(&browser.chrome, chromium::needs_no_sandbox()).to_string())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn capabilities(chrome: &Path, no_sandbox: bool) -> serde_json::Value {
    // In containers /dev/shm is too small for Chromium.
    let mut args = vec!["--headless=new", "--disable-gpu", "--disable-dev-shm-usage"];
    if no_sandbox {
        args.push("--no-sandbox");
    }
    json!({ "goog:chromeOptions": { "binary": chrome, "args": args } })
}

#[cfg(test)]
mod tests {
    use super::capabilities;
    use std::path::Path;

    #[test]
    fn the_sandbox_is_off_only_where_it_cannot_work() {
        let options = |no_sandbox| capabilities(Path::new("chrome"), no_sandbox).to_string();
        assert!(options(true).contains("--no-sandbox"));
        assert!(!options(false).contains("--no-sandbox"));
    }
}
