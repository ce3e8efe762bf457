//! Rules about versions: pins, lock files, one version for all packages.

use super::tree::{Finding, Tree};

/// Crate, CLI and test runner of wasm-bindgen work only when they have the same version.
pub(super) fn wasm_bindgen_is_pinned(tree: &Tree) -> Vec<Finding> {
    const FAMILY: &[&str] = &["wasm-bindgen", "wasm-bindgen-futures", "wasm-bindgen-test", "js-sys", "web-sys"];
    let mut findings = Vec::new();
    for (file, text) in tree.texts().filter(|(file, _)| file.path.ends_with("Cargo.toml")) {
        for (index, line) in text.lines().enumerate() {
            let Some((name, value)) = line.split_once('=') else { continue };
            let names_one = FAMILY.contains(&name.trim());
            // `x.workspace = true` and `{ workspace = true, … }` take the workspace's pin.
            if names_one && !value.contains("\"=") && !value.contains("workspace = true") {
                findings.push(file.finding(index + 1, format!("{} must be pinned with `=`", name.trim())));
            }
        }
    }
    findings
}

/// Without them two machines build two different things.
pub(super) fn lock_files_are_present(tree: &Tree) -> Vec<Finding> {
    ["Cargo.lock", "package-lock.json"]
        .iter()
        .filter(|path| tree.text(path).is_none())
        .map(|path| Finding { path: (*path).to_owned(), line: 0, what: "is missing: commit it".to_owned() })
        .collect()
}

/// The npm package and the crates are released together.
pub(super) fn packages_share_one_version(tree: &Tree) -> Vec<Finding> {
    let workspace = tree
        .text("Cargo.toml")
        .and_then(|text| text.split_once("[workspace.package]"))
        .and_then(|(_, section)| quoted_after(section, "version = \""));
    let package = tree.text("npm-package/package.json").and_then(|text| quoted_after(text, "\"version\": \""));
    if workspace.is_some() && workspace == package {
        return Vec::new();
    }
    vec![Finding {
        path: "npm-package/package.json".to_owned(),
        line: 0,
        what: format!("version {package:?} differs from {workspace:?} of [workspace.package] in Cargo.toml"),
    }]
}

fn quoted_after<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    Some(rest.split_once('"')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loose_wasm_bindgen_is_found() {
        let check = |line: &str| wasm_bindgen_is_pinned(&Tree::of("x/Cargo.toml", line)).len();
        assert_eq!(check("wasm-bindgen = \"0.2.129\"\n"), 1);
        assert_eq!(check("js-sys = { version = \"0.3\", default-features = false }\n"), 1);
        assert_eq!(check("wasm-bindgen = \"=0.2.129\"\n"), 0);
        assert_eq!(check("wasm-bindgen = { workspace = true, features = [\"x\"] }\n"), 0);
        assert_eq!(check("wasm-bindgen.workspace = true\n"), 0);
    }

    #[test]
    fn a_missing_lock_file_is_found() {
        let both = Tree::of("Cargo.lock", "").and("package-lock.json", "");
        assert!(lock_files_are_present(&both).is_empty());
        assert_eq!(lock_files_are_present(&Tree::of("Cargo.lock", "")).len(), 1);
    }

    #[test]
    fn two_versions_are_found() {
        let tree = |npm: &str| {
            Tree::of("Cargo.toml", "[workspace.package]\nversion = \"0.1.0\"\n")
                .and("npm-package/package.json", &format!("{{\n  \"version\": \"{npm}\"\n}}"))
        };
        assert!(packages_share_one_version(&tree("0.1.0")).is_empty());
        assert_eq!(packages_share_one_version(&tree("0.2.0")).len(), 1);
    }
}
