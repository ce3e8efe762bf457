//! Rule that holds the table of promises against the tests.

use std::collections::HashSet;

use super::tree::{Finding, Tree};

const DOCUMENT: &str = "docs/PROMISES.md";

/// Every row of the table names a test, and every test that is named exists.
pub(super) fn every_promise_has_a_test(tree: &Tree) -> Vec<Finding> {
    let finding = |line: usize, what: String| Finding { path: DOCUMENT.to_owned(), line, what };
    let Some(document) = tree.text(DOCUMENT) else {
        return vec![finding(0, "is missing".to_owned())];
    };
    let tests = functions(tree);
    let mut findings = Vec::new();
    for (number, line) in document.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        let Some(names) = tests_of(line) else { continue };
        if names.is_empty() {
            findings.push(finding(number, "the promise names no test".to_owned()));
        }
        findings.extend(
            names
                .into_iter()
                .filter(|name| !tests.contains(name))
                .map(|name| finding(number, format!("the test `{name}` does not exist"))),
        );
    }
    findings
}

/// The names in the last cell of a row; `None` for a line that is no row of promises.
fn tests_of(line: &str) -> Option<Vec<&str>> {
    let cells: Vec<&str> = line.strip_prefix('|')?.trim_end().strip_suffix('|')?.split('|').map(str::trim).collect();
    let [promise, _, tests] = cells[..] else { return None };
    if promise == "promise" || promise.starts_with("---") {
        return None;
    }
    Some(tests.split('`').skip(1).step_by(2).collect())
}

/// The names of all functions in Rust files.
fn functions(tree: &Tree) -> HashSet<&str> {
    let rust = tree.texts().filter(|(file, _)| file.path.ends_with(".rs"));
    let after_fn = rust.flat_map(|(_, text)| text.split("fn ").skip(1));
    after_fn.filter_map(|rest| rest.split(['(', '<']).next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::File;

    fn tree(row: &str) -> Tree {
        let document = format!("# P\n\n| promise | document | test |\n| --- | --- | --- |\n{row}\n");
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: Some(text.to_owned()) };
        Tree { files: vec![file(DOCUMENT, &document), file("a/tests/it.rs", "#[test]\nfn it_holds() {}\n")] }
    }

    #[test]
    fn a_promise_with_its_test_is_fine() {
        assert_eq!(every_promise_has_a_test(&tree("| It holds. | README | `it_holds` |")), []);
    }

    #[test]
    fn a_promise_without_a_test_or_with_one_that_is_gone_is_found() {
        for row in ["| It holds. | README | by hand |", "| It holds. | README | `it_held` |"] {
            let findings = every_promise_has_a_test(&tree(row));
            assert_eq!((findings.len(), findings[0].line), (1, 5), "{row}");
        }
    }
}
