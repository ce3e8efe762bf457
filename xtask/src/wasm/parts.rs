//! `cargo xtask wasm --parts`: which crates the module's bytes are of.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;
use wasmparser::{Parser, Payload};

use super::shrink;

/// How many of the largest functions are listed.
const LARGEST: usize = 40;

/// Bytes by crate as lines of a Markdown table, and the largest functions; before gzip, which doesn't tell where it saves.
pub(super) fn table(named: &[u8]) -> Result<String> {
    let (imported, names) = shrink::functions(named)?;
    let mut crates: BTreeMap<&str, u64> = BTreeMap::new();
    let mut functions = Vec::new();
    let mut next = imported;
    for payload in Parser::new(0).parse_all(named) {
        let payload = payload?;
        if let Payload::CodeSectionEntry(body) = &payload {
            let bytes = body.range().end - body.range().start;
            let name = names.get(&next).map_or("?", String::as_str);
            next += 1;
            *crates.entry(part_of(name)).or_default() += bytes;
            functions.push((bytes, name));
            continue;
        }
        let part = match &payload {
            Payload::CodeSectionStart { .. } | Payload::CustomSection(_) => continue,
            Payload::DataSection(_) => "texts and tables",
            _ => "types, imports, exports",
        };
        if let Some((_, range)) = payload.as_section() {
            *crates.entry(part).or_default() += range.end - range.start;
        }
    }
    let total: u64 = crates.values().sum();
    let mut rows: Vec<_> = crates.into_iter().collect();
    rows.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    functions.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    let mut text = "| part of the module | bytes | share |\n| --- | --- | --- |\n".to_owned();
    for (part, bytes) in rows {
        writeln!(text, "| {part} | {bytes} | {} % |", (bytes * 100 + total / 2) / total)?;
    }
    text.push('\n');
    for (bytes, name) in functions.iter().take(LARGEST) {
        writeln!(text, "{bytes:6} {name}")?;
    }
    Ok(text)
}

/// The crate that a function was written in, as far as its name tells: of generic code the one that says what it is for.
fn part_of(name: &str) -> &'static str {
    const PARTS: &[(&str, &str)] = &[
        ("serde_json", "writing JSON (serde_json)"),
        ("de::Deserialize", "reading messages (serde)"),
        ("decode::", "reading messages (serde)"),
        ("serde_wasm_bindgen", "values for JavaScript (serde-wasm-bindgen)"),
        ("ser::Serialize", "values and messages written (serde)"),
        ("client_core", "the connection's machine (client-core)"),
        ("client_wasm", "the browser's shell (client-wasm)"),
        ("client_", "the browser's shell (client-wasm)"),
        ("core_", "the browser's shell (client-wasm)"),
        ("osbackend_protocol", "names of rooms, permissions (shared-protocol)"),
        ("rlsf", "memory (rlsf)"),
        ("__rdl", "memory (rlsf)"),
        ("__rust", "memory (rlsf)"),
        ("wasm_bindgen", "the way to JavaScript (wasm-bindgen)"),
        ("__wb", "the way to JavaScript (wasm-bindgen)"),
        ("externref", "the way to JavaScript (wasm-bindgen)"),
        ("js_sys", "the way to JavaScript (wasm-bindgen)"),
        ("web_sys", "the way to JavaScript (wasm-bindgen)"),
        ("gloo", "the way to JavaScript (wasm-bindgen)"),
        ("hashbrown", "hash tables (hashbrown)"),
    ];
    PARTS.iter().find(|(word, _)| name.contains(word)).map_or("standard library, shared by all", |(_, part)| part)
}

#[cfg(test)]
mod tests {
    use super::part_of;

    #[test]
    fn generic_code_counts_for_what_it_is_about() {
        assert_eq!(
            part_of("<osbackend_client_core::room::State as serde_core::ser::Serialize>::serialize"),
            "values and messages written (serde)"
        );
        assert_eq!(part_of("osbackend_client_core::machine::Machine::handle::h01"), "the connection's machine (client-core)");
        assert_eq!(part_of("core::fmt::write"), "standard library, shared by all");
    }
}
