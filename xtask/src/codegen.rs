//! `cargo xtask codegen [--check]`: everything that is written from the Rust types.

use std::fs;

use anyhow::{Context, Result, anyhow, bail};
use osbackend_protocol::{schema, ts, ts_events, ts_verdicts};

use crate::project::Project;

const TYPES: &str = "npm-package/src/generated/protocol.ts";
const EVENTS: &str = "npm-package/src/generated/events.ts";
const VERDICTS: &str = "shared-protocol/fixtures/generated/verdicts.json";
const TYPES_HEADER: &str = "// Generated from shared-protocol by `cargo xtask codegen`; do not edit.\n\n";
const SCHEMA: &str = "shared-protocol/src/schema.rs";
const FINGERPRINT: (&str, &str) = ("pub const FINGERPRINT: &str = \"", "\";");

/// The command.
pub(crate) fn run(project: &Project, args: &[String]) -> Result<()> {
    match args {
        [] => write(project),
        [flag] if flag == "--check" => check(project),
        _ => bail!("`cargo xtask codegen` takes `--check` and nothing else"),
    }
}

/// Fails when a generated file is not what would be generated now.
pub(crate) fn check(project: &Project) -> Result<()> {
    let mut stale = Vec::new();
    for (path, wanted) in outputs(project)? {
        // A file that is missing differs in its first line.
        let found = project.read(path).unwrap_or_default();
        if let Some(difference) = first_difference(&found, &wanted) {
            stale.push(format!("{path}, {difference}"));
        }
    }
    if !stale.is_empty() {
        bail!("generated files differ from the types: run `cargo xtask codegen` and commit what changes\n{}", stale.join("\n"));
    }
    println!("generated files are up to date");
    Ok(())
}

fn write(project: &Project) -> Result<()> {
    for (path, wanted) in outputs(project)? {
        if project.read(path).is_ok_and(|found| found == wanted) {
            println!("{path} is up to date");
            continue;
        }
        let file = project.path(path);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        fs::write(&file, wanted).with_context(|| format!("cannot write {}", file.display()))?;
        println!("{path} written");
    }
    Ok(())
}

/// Each generated file with what belongs in it.
fn outputs(project: &Project) -> Result<Vec<(&'static str, String)>> {
    let declarations = ts::declarations();
    let fingerprint = schema::fingerprint(&declarations);
    let (start, end) = FINGERPRINT;
    let schema = replace_between(&project.read(SCHEMA)?, start, end, &fingerprint)
        .with_context(|| format!("{SCHEMA} has no `{start}…{end}` to fill in"))?;
    let events = ts_events::schemas().map_err(|problem| anyhow!("no schema of the domain events: {problem}"))?;
    Ok(vec![
        (TYPES, format!("{TYPES_HEADER}{}\n", declarations.trim_end())),
        (EVENTS, format!("{TYPES_HEADER}{events}")),
        (VERDICTS, ts_verdicts::verdicts()?),
        (SCHEMA, schema),
    ])
}

fn replace_between(text: &str, start: &str, end: &str, value: &str) -> Option<String> {
    let (before, rest) = text.split_once(start)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{start}{value}{end}{after}"))
}

fn first_difference(found: &str, wanted: &str) -> Option<String> {
    if found == wanted {
        return None;
    }
    let (mut old, mut new) = (found.lines(), wanted.lines());
    for number in 1.. {
        let pair = (old.next(), new.next());
        if pair == (None, None) {
            break;
        }
        if pair.0 != pair.1 {
            let shown = |line: Option<&str>| line.map_or_else(|| "(nothing)".to_owned(), str::to_owned);
            return Some(format!("line {number}:\n  - {}\n  + {}", shown(pair.0), shown(pair.1)));
        }
    }
    Some("in its line ends".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_shown_with_its_line() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        let shown = first_difference("a\nb\n", "a\nc\n").expect("differs");
        assert_eq!(shown, "line 2:\n  - b\n  + c");
        assert!(first_difference("", "a\n").expect("differs").starts_with("line 1"));
        assert_eq!(first_difference("a", "a\n").as_deref(), Some("in its line ends"));
    }

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        assert_eq!(replace_between("x = \"1\"; y", "x = \"", "\";", "2").as_deref(), Some("x = \"2\"; y"));
        assert_eq!(replace_between("y", "x = \"", "\";", "2"), None);
    }

    #[test]
    fn the_types_say_that_they_are_generated() {
        assert!(TYPES_HEADER.starts_with("// Generated") && TYPES_HEADER.contains("cargo xtask codegen"));
    }
}
