//! `cargo xtask tidy`: the invariants of ARCHITECTURE.md that a machine can check.
//!
//! Each rule is a function from the tree to findings; a rule that nobody can break is no rule, so each has a
//! test that breaks it.

mod deploy;
mod layout;
mod promises;
mod protocol_doc;
mod purity;
mod test_code;
mod tree;
mod versions;
mod words;

use anyhow::{Result, bail};

use self::tree::{Finding, Tree};
use crate::project::Project;

type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: &[Rule] = &[
    deploy::image_is_built_from_all_crates,
    deploy::image_names_what_exists,
    deploy::images_are_named_by_digest,
    deploy::service_may_read_the_boot,
    layout::starts_with_a_header,
    layout::generated_files_say_so,
    layout::files_stay_short,
    layout::no_binary_files,
    purity::hub_and_session_are_synchronous,
    promises::every_promise_has_a_test,
    protocol_doc::codes_of_the_document_exist,
    versions::wasm_bindgen_is_pinned,
    versions::lock_files_are_present,
    versions::packages_share_one_version,
    words::nothing_is_left_undone,
    words::no_machine_paths,
    words::tests_do_not_sleep,
    words::tests_are_not_skipped,
];

/// The command.
pub(crate) fn run(project: &Project, args: &[String]) -> Result<()> {
    if !args.is_empty() {
        bail!("`cargo xtask tidy` takes no arguments");
    }
    check(project)
}

/// Checks all rules and prints every finding.
pub(crate) fn check(project: &Project) -> Result<()> {
    let tree = Tree::read(project)?;
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    findings.extend(purity::crates_without_io(project)?);
    for warning in layout::long_files(&tree) {
        eprintln!("note: {warning}");
    }
    for finding in &findings {
        eprintln!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings in {} files of the tree", findings.len(), tree.files.len());
    }
    println!("tidy: {} files, nothing found", tree.files.len());
    Ok(())
}
