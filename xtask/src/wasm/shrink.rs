//! What wasm-opt can't know of the browser client: that nobody reads a panic's message, and that the names of imports are
//! between the module and its own script.
//!
//! A panic in this module is a trap (`unreachable`), after a text was put together for an output that browsers don't have.
//! Here the functions that begin a panic become the trap itself, and all that makes texts for them falls away.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;

use anyhow::{Result, anyhow};
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{CodeSection, Function, ImportSection, Instruction, Module};
use wasmparser::{FunctionBody, Imports, KnownCustom, Name, Parser, Payload};

/// The module and its script, smaller, and otherwise as they were.
pub(super) fn shrink(wasm: &[u8], script: &str) -> Result<(Vec<u8>, String)> {
    let (imported, names) = functions(wasm)?;
    // Without names, or with those of another compiler, everything would stay, in silence.
    anyhow::ensure!(names.values().any(|name| begins_a_panic(name)), "no function of the module begins a panic, by its name");
    let mut shrinker = Shrinker { next: imported, names, renamed: BTreeMap::new() };
    let mut module = Module::new();
    shrinker
        .parse_core_module(&mut module, Parser::new(0), wasm)
        .map_err(|error| anyhow!("the module can't be rewritten: {error}"))?;
    let mut script = script.to_owned();
    for (long, short) in &shrinker.renamed {
        anyhow::ensure!(script.contains(long.as_str()), "the script has no {long}, which the module imports");
        script = script.replace(long.as_str(), short);
    }
    Ok((module.finish(), script))
}

/// How many functions are imported, and the names of all.
pub(super) fn functions(wasm: &[u8]) -> Result<(u32, HashMap<u32, String>)> {
    let mut imported = 0;
    let mut names = HashMap::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    imported += u32::from(matches!(import?.ty, wasmparser::TypeRef::Func(_)));
                }
            }
            Payload::CustomSection(section) => {
                let KnownCustom::Name(subsections) = section.as_known() else { continue };
                for subsection in subsections {
                    let Name::Function(map) = subsection? else { continue };
                    for naming in map {
                        let naming = naming?;
                        names.insert(naming.index, plain(naming.name));
                    }
                }
            }
            _ => {}
        }
    }
    Ok((imported, names))
}

/// A name without the hashes of its crates: `core[1f0a]::fmt::write`.
fn plain(name: &str) -> String {
    let mut plain = String::new();
    for (number, part) in name.split('[').enumerate() {
        match part.split_once(']') {
            Some((hash, rest)) if number > 0 && hash.chars().all(|letter| letter.is_ascii_hexdigit()) => plain.push_str(rest),
            _ if number > 0 => plain.extend(["[", part]),
            _ => plain.push_str(part),
        }
    }
    plain
}

/// Functions of the standard library that return never (`-> !`), and do nothing but panic.
fn begins_a_panic(name: &str) -> bool {
    const PREFIXES: &[&str] = &[
        "core::panicking::",
        "core::cell::panic_already_",
        "core::option::unwrap_failed",
        "core::option::expect_failed",
        "core::result::unwrap_failed",
        "core::slice::index::slice_index_fail",
        "core::str::slice_error_fail",
        "alloc::alloc::handle_alloc_error",
        "alloc::raw_vec::capacity_overflow",
        "alloc::raw_vec::handle_error",
        "std::thread::local::panic_access_error",
    ];
    // `insert` and `remove` of a `Vec`.
    let in_vec = name.contains("vec::Vec<") && name.ends_with("::assert_failed");
    in_vec || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

struct Shrinker {
    /// The function whose body comes next.
    next: u32,
    names: HashMap<u32, String>,
    /// Of the imports: wasm-bindgen's names, with a hash each, and ours.
    renamed: BTreeMap<String, String>,
}

impl Reencode for Shrinker {
    type Error = Infallible;

    fn parse_function_body(&mut self, code: &mut CodeSection, body: FunctionBody<'_>) -> Result<(), Error> {
        let name = self.names.get(&self.next);
        self.next += 1;
        if name.is_some_and(|name| begins_a_panic(name)) {
            let mut trap = Function::new([]);
            trap.instruction(&Instruction::Unreachable).instruction(&Instruction::End);
            code.function(&trap);
            return Ok(());
        }
        utils::parse_function_body(self, code, body)
    }

    fn parse_imports(&mut self, section: &mut ImportSection, imports: Imports<'_>) -> Result<(), Error> {
        let Imports::Single(_, import) = imports else {
            return utils::parse_imports(self, section, imports);
        };
        let ty = self.entity_type(import.ty)?;
        if !import.name.starts_with("__wb") {
            section.import(import.module, import.name, ty);
            return Ok(());
        }
        let number = self.renamed.len();
        let short = self.renamed.entry(import.name.to_owned()).or_insert_with(|| format!("i{number}"));
        section.import(import.module, short, ty);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{EntityType, FunctionSection, NameMap, NameSection, TypeSection};

    /// One import, a function that panics and one that doesn't.
    fn module(import: &str) -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let mut imports = ImportSection::new();
        imports.import("m", import, EntityType::Function(0));
        let mut functions = FunctionSection::new();
        functions.function(0).function(0);
        let mut code = CodeSection::new();
        for _ in 0..2 {
            let mut body = Function::new([]);
            body.instruction(&Instruction::Call(0)).instruction(&Instruction::End);
            code.function(&body);
        }
        let mut names = NameMap::new();
        names.append(1, "core[1f0a]::panicking::panic_fmt");
        names.append(2, "client::connect");
        let mut section = NameSection::new();
        section.functions(&names);
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions).section(&code).section(&section);
        module.finish()
    }

    #[test]
    fn a_panic_becomes_a_trap_and_what_isnt_one_stays() {
        let (shrunk, _) = shrink(&module("__wbg_now_0123456789abcdef"), "{ __wbg_now_0123456789abcdef: f }").expect("shrunk");
        let mut first = Vec::new();
        for payload in Parser::new(0).parse_all(&shrunk) {
            if let Payload::CodeSectionEntry(body) = payload.expect("valid") {
                first.push(format!("{:?}", body.get_operators_reader().expect("body").read().expect("instruction")));
            }
        }
        assert_eq!(first, ["Unreachable", "Call { function_index: 0 }"]);
    }

    #[test]
    fn imports_have_the_same_short_name_in_module_and_script() {
        let (shrunk, script) =
            shrink(&module("__wbg_now_0123456789abcdef"), "{ __wbg_now_0123456789abcdef: f }").expect("shrunk");
        assert_eq!(script, "{ i0: f }");
        let name = Parser::new(0).parse_all(&shrunk).find_map(|payload| match payload.expect("valid") {
            Payload::ImportSection(imports) => Some(imports.into_imports().next()?.expect("import").name.to_owned()),
            _ => None,
        });
        assert_eq!(name.as_deref(), Some("i0"));
        assert!(shrink(&module("__wbg_now_0123456789abcdef"), "{}").is_err());
    }

    #[test]
    fn names_lose_their_hashes_only() {
        assert_eq!(plain("core[c59]::fmt::write"), "core::fmt::write");
        assert_eq!(plain("<[u8] as a[1]::B>::c"), "<[u8] as a::B>::c");
        assert!(!begins_a_panic("std::panicking::panic_count::increase"));
    }
}
