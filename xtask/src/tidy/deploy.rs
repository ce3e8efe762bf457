//! Rules about `deploy/`: the image is built from a context with every crate in it, by the Rust that the workspace asks for; the
//! service may read what it recovers by.

use super::tree::{Finding, Tree};

const DOCKERFILE: &str = "deploy/Dockerfile";
const IGNORED: &str = "deploy/Dockerfile.dockerignore";
const UNIT: &str = "deploy/osbackend.service";

/// No crate of the workspace is left out of the build's context: cargo would not take the lock file.
pub(super) fn image_is_built_from_all_crates(tree: &Tree) -> Vec<Finding> {
    let (Some(cargo), Some(ignored)) = (tree.text("Cargo.toml"), tree.text(IGNORED)) else { return Vec::new() };
    let members = cargo.lines().find_map(|line| line.strip_prefix("members = [")).unwrap_or_default();
    let members: Vec<&str> = members.split('"').skip(1).step_by(2).collect();
    let leaves_out =
        |pattern: &str| members.iter().copied().find(|member| *member == pattern || member.starts_with(&format!("{pattern}/")));
    let mut findings = Vec::new();
    for (index, line) in ignored.lines().enumerate() {
        let line = line.trim().trim_end_matches('/');
        if line == "*" || line == "**" {
            findings.push(finding(IGNORED, index, "leaves out everything".to_owned()));
        } else if let Some(member) = leaves_out(line) {
            findings.push(finding(
                IGNORED,
                index,
                format!("leaves out the crate {member}: cargo build --locked fails without it"),
            ));
        }
    }
    findings
}

/// What the image copies of the checkout is there, and its Rust is that of Cargo.toml.
pub(super) fn image_names_what_exists(tree: &Tree) -> Vec<Finding> {
    let (Some(cargo), Some(dockerfile)) = (tree.text("Cargo.toml"), tree.text(DOCKERFILE)) else { return Vec::new() };
    let version = cargo.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap_or_default().trim_matches('"');
    let mut findings = Vec::new();
    for (index, line) in dockerfile.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["COPY", paths @ .., _] = words.as_slice()
            && !paths.iter().any(|path| path.starts_with("--from="))
        {
            for path in paths.iter().filter(|path| **path != "." && !path.starts_with("--")) {
                let folder = format!("{}/", path.trim_end_matches('/'));
                if !tree.files.iter().any(|file| file.path == *path || file.path.starts_with(&folder)) {
                    findings.push(finding(DOCKERFILE, index, format!("copies {path}, which does not exist")));
                }
            }
        }
        if let ["FROM", image, ..] = words.as_slice()
            && let Some((_, tag)) = image.split_once("/rust:")
            && tag.split('-').next() != Some(version)
        {
            findings.push(finding(DOCKERFILE, index, format!("builds with Rust {tag}; Cargo.toml asks for {version}")));
        }
    }
    findings
}

/// A tag is another image tomorrow.
pub(super) fn images_are_named_by_digest(tree: &Tree) -> Vec<Finding> {
    let dockerfiles = tree.texts().filter(|(file, _)| file.path.rsplit('/').next().is_some_and(is_dockerfile));
    let mut findings = Vec::new();
    for (file, text) in dockerfiles {
        let mut stages = vec!["scratch"];
        for (index, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_whitespace().filter(|word| !word.starts_with("--")).collect();
            let [from, image, rest @ ..] = words.as_slice() else { continue };
            if !from.eq_ignore_ascii_case("FROM") {
                continue;
            }
            let digest = image.split_once("@sha256:").map(|(_, digest)| digest);
            let is_digest =
                digest.is_some_and(|digest| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
            if !is_digest && !stages.contains(image) {
                findings.push(finding(&file.path, index, format!("{image} has no digest: write {image}@sha256:…")));
            }
            stages.extend(rest.last());
        }
    }
    findings
}

fn is_dockerfile(name: &str) -> bool {
    name == "Dockerfile" || name.ends_with(".Dockerfile") || (name.starts_with("Dockerfile.") && !name.ends_with("ignore"))
}

/// The engine tells a crash of the process from one of the machine by the boot's name (`engine/sqlite/file.rs`). A unit that hides it makes
/// clients start anew after each crash.
pub(super) fn service_may_read_the_boot(tree: &Tree) -> Vec<Finding> {
    let Some(unit) = tree.text(UNIT) else { return Vec::new() };
    let hides = |line: &str| ["ProcSubset=pid", "InaccessiblePaths=/proc"].iter().any(|what| line.starts_with(what));
    let hiding = unit.lines().enumerate().filter(|(_, line)| hides(line.trim()));
    hiding.map(|(index, line)| finding(UNIT, index, format!("{line} hides /proc/sys/kernel/random/boot_id"))).collect()
}

fn finding(path: &str, index: usize, what: String) -> Finding {
    Finding { path: path.to_owned(), line: index + 1, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARGO: &str = "members = [\"server\", \"xtask/bench/load\"]\nrust-version = \"1.95\"\n";

    #[test]
    fn a_crate_that_is_left_out_is_found() {
        let of = |ignored| image_is_built_from_all_crates(&Tree::of("Cargo.toml", CARGO).and(IGNORED, ignored));
        assert!(of("docs\n**/target\n").is_empty());
        assert_eq!(of("docs\nserver/\n")[0].line, 2);
        assert_eq!(of("xtask\n").len(), 1);
        assert_eq!(of("*\n").len(), 1);
    }

    #[test]
    fn a_path_that_is_not_there_and_another_rust_are_found() {
        let of = |dockerfile| {
            let tree = Tree::of("Cargo.toml", CARGO).and("server/src/main.rs", "");
            image_names_what_exists(&tree.and(DOCKERFILE, dockerfile))
        };
        let good = "FROM docker.io/library/rust:1.95-bookworm AS build\nCOPY . .\nCOPY Cargo.toml server /src/\nCOPY --from=build /x /y\n";
        assert_eq!(of(good), []);
        assert_eq!(of("COPY Cargo.toml gone /src/\n").len(), 1);
        assert_eq!(of("FROM rust:1.95\nFROM docker.io/library/rust:1.90\n").len(), 1);
    }

    #[test]
    fn an_image_without_a_digest_is_found() {
        let of = |text: &str| images_are_named_by_digest(&Tree::of(DOCKERFILE, text));
        let digest = "0123456789abcdef".repeat(4);
        assert_eq!(
            of(&format!("FROM --platform=x a/b:1@sha256:{digest} AS build\nFROM build\nFROM scratch\nCOPY FROM /x\n")),
            []
        );
        assert_eq!(of(&format!("FROM a/b:1\nfrom a/b@sha256:12\nFROM c@sha256:{digest}\n")).len(), 2);
    }

    #[test]
    fn a_service_that_cannot_see_the_boot_is_found() {
        let of = |unit| service_may_read_the_boot(&Tree::of(UNIT, unit));
        assert_eq!(of("[Service]\nProtectProc=invisible\n# No ProcSubset=pid: it hides the boot\n"), []);
        assert_eq!(of("[Service]\nProcSubset=pid\n")[0].line, 2);
    }
}
