//! Rules about what a part must not know: crates without I/O, modules without `.await`.

use anyhow::Result;

use super::test_code::{is_test_file, test_lines};
use super::tree::{Finding, Tree};
use crate::project::Project;
use crate::sh::cmd;

/// The state machines and the contract: no runtime, no socket, no browser.
const PURE_CRATES: &[&str] = &["osbackend-protocol", "osbackend-client-core"];
const FORBIDDEN_CRATES: &[&str] = &["tokio", "axum", "wasm-bindgen", "web-sys", "js-sys"];

/// Checks the whole dependency tree of the pure crates, for the host and for wasm32.
pub(super) fn crates_without_io(project: &Project) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for name in PURE_CRATES {
        for target in [None, Some(crate::tools::rust::WASM_TARGET)] {
            let mut tree = cmd("cargo")
                .args(["tree", "--locked", "--package", name, "--all-features"])
                .args(["--edges", "normal,build", "--prefix", "none", "--format", "{p}"])
                .dir(&project.root);
            if let Some(target) = target {
                tree = tree.args(["--target", target]);
            }
            for dependency in forbidden_in(&tree.read()?) {
                findings.push(Finding {
                    path: name.to_string(),
                    line: 0,
                    what: format!(
                        "depends on {dependency} (for {}): this crate has no I/O; see `cargo tree -p {name} -i {dependency}`",
                        target.unwrap_or("the host")
                    ),
                });
            }
        }
    }
    Ok(findings)
}

fn forbidden_in(tree: &str) -> Vec<&str> {
    let mut found: Vec<&str> =
        tree.lines().filter_map(|line| line.split(' ').next()).filter(|name| FORBIDDEN_CRATES.contains(name)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The hub works under locks and the session is a machine without I/O: neither may wait.
pub(super) fn hub_and_session_are_synchronous(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, text) in tree.texts() {
        let inside = file.path.starts_with("server/src/hub") || file.path.starts_with("server/src/session");
        if !inside || !file.has_extension(&["rs"]) || is_test_file(file) {
            continue;
        }
        let in_tests = test_lines(text);
        for (index, line) in text.lines().enumerate().filter(|(index, _)| !in_tests[*index]) {
            let code = line.split("//").next().unwrap_or_default();
            for word in [".await", "async fn", "tokio::"] {
                if code.contains(word) {
                    findings.push(file.finding(index + 1, format!("`{word}` in synchronous code")));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_below_a_pure_crate_is_found() {
        let tree = "osbackend-client-core v0.1.0 (path)\nserde v1.0.0\ntokio v1.50.0\ntokio v1.50.0 (*)\n";
        assert_eq!(forbidden_in(tree), ["tokio"]);
        assert!(forbidden_in("serde v1.0.0\ntokio-free v1.0.0\n").is_empty());
    }

    #[test]
    fn waiting_in_the_hub_is_found_outside_its_tests() {
        let text = "//! Hub; no .await here.\nfn f() { x.await }\n#[cfg(test)]\nmod tests { fn g() { y.await } }\n";
        let found = hub_and_session_are_synchronous(&Tree::of("server/src/hub/mod.rs", text));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 2);
        assert!(hub_and_session_are_synchronous(&Tree::of("server/src/gateway.rs", text)).is_empty());
        let after = "//! Hub.\n#[cfg(test)]\nmod tests;\nfn f() { x.await }\n";
        assert_eq!(hub_and_session_are_synchronous(&Tree::of("server/src/hub/mod.rs", after)).len(), 1);
        let uses = "//! Session.\nuse tokio::sync::Notify;\n";
        assert_eq!(hub_and_session_are_synchronous(&Tree::of("server/src/session/a.rs", uses)).len(), 1);
    }
}
