//! Rules about what may not be written: unfinished work, machine paths, sleeping and skipped tests.

use super::test_code::{is_test_file, test_lines};
use super::tree::{File, Finding, Tree};

/// The rules and their tests have to spell what they forbid.
const RULES_THEMSELVES: &str = "xtask/src/tidy/";

const CODE: &[&str] = &["rs", "ts", "tsx", "js", "mjs", "cjs", "css", "html", "toml", "sh", "yml"];
const SCRIPT: &[&str] = &["ts", "tsx", "js", "mjs", "cjs"];

/// What is not done is an issue, not a note in the code.
pub(super) fn nothing_is_left_undone(tree: &Tree) -> Vec<Finding> {
    const MARKS: &[&str] = &["TODO", "FIXME", "todo!(", "unimplemented!(", "dbg!("];
    find(tree, |file| file.has_extension(CODE), MARKS, "marks unfinished work")
}

/// A path of the machine it was written on means nothing elsewhere.
pub(super) fn no_machine_paths(tree: &Tree) -> Vec<Finding> {
    const PATHS: &[&str] = &["/work/", "/root/", "/home/", "/Users/", "C:\\Users"];
    find(tree, |file| !file.is_lock(), PATHS, "is a path of one machine")
}

/// Tests wait for events, never for the wall clock.
pub(super) fn tests_do_not_sleep(tree: &Tree) -> Vec<Finding> {
    const SLEEPS: &[&str] = &["sleep(", "waitForTimeout("];
    const WHY: &str = "waits for the clock in a test; wait for the event";
    let mut findings = find(tree, is_test_file, SLEEPS, WHY);
    let others = |file: &File| file.has_extension(&["rs"]) && !is_test_file(file) && !exempt(file);
    for (file, text) in tree.texts().filter(|(file, _)| others(file)) {
        let in_tests = test_lines(text);
        findings.extend(search(file, text, SLEEPS, WHY).filter(|finding| in_tests[finding.line - 1]));
    }
    findings
}

/// A test that does not run, or that keeps the others from running.
pub(super) fn tests_are_not_skipped(tree: &Tree) -> Vec<Finding> {
    let mut findings = find(
        tree,
        |file| file.has_extension(SCRIPT) && is_test_file(file),
        &[".only(", ".skip(", ".todo(", "xit(", "xdescribe("],
        "keeps a test from running",
    );
    findings.extend(find(tree, |file| file.has_extension(&["rs"]), &["#[ignore"], "keeps a test from running"));
    findings
}

fn exempt(file: &File) -> bool {
    file.path.starts_with(RULES_THEMSELVES)
}

fn find(tree: &Tree, applies: impl Fn(&File) -> bool, words: &'static [&'static str], why: &'static str) -> Vec<Finding> {
    tree.texts()
        .filter(|(file, _)| applies(file) && !exempt(file))
        .flat_map(|(file, text)| search(file, text, words, why))
        .collect()
}

fn search<'a>(
    file: &'a File,
    text: &'a str,
    words: &'static [&'static str],
    why: &'static str,
) -> impl Iterator<Item = Finding> + 'a {
    text.lines().enumerate().flat_map(move |(index, line)| {
        words.iter().filter(move |word| has_word(line, word)).map(move |word| file.finding(index + 1, format!("`{word}` {why}")))
    })
}

/// Whether `line` contains `word` and not only as the end of a longer name (`async_sleep(` is not `sleep(`).
fn has_word(line: &str, word: &str) -> bool {
    let bounded = word.starts_with(|first: char| first.is_ascii_alphabetic());
    line.match_indices(word)
        .any(|(at, _)| !bounded || !line[..at].ends_with(|before: char| before.is_ascii_alphanumeric() || before == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_work_is_found_with_its_line() {
        let found = nothing_is_left_undone(&Tree::of("a.rs", "//! A.\n// TODO: later\n"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 2);
        assert_eq!(nothing_is_left_undone(&Tree::of("a.rs", "todo!()\n")).len(), 1);
        assert!(nothing_is_left_undone(&Tree::of("a.rs", "let mastodon = 1;\n")).is_empty());
    }

    #[test]
    fn machine_paths_are_found_anywhere_but_in_locks() {
        assert_eq!(no_machine_paths(&Tree::of("README.md", "cd /home/me/x\n")).len(), 1);
        assert!(no_machine_paths(&Tree::of("README.md", "cd osbackend\n")).is_empty());
        assert!(no_machine_paths(&Tree::of("package-lock.json", "\"/home/x\"\n")).is_empty());
    }

    #[test]
    fn a_sleep_is_found_in_tests_only() {
        let sleepy = "async fn f() { tokio::time::sleep(d).await; }\n";
        assert_eq!(tests_do_not_sleep(&Tree::of("server/tests/it/a.rs", sleepy)).len(), 1);
        assert!(tests_do_not_sleep(&Tree::of("server/src/a.rs", sleepy)).is_empty());
        let inside = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{sleepy}}}\n");
        assert_eq!(tests_do_not_sleep(&Tree::of("server/src/a.rs", &inside)).len(), 1);
        let page = "await page.waitForTimeout(500);\n";
        assert_eq!(tests_do_not_sleep(&Tree::of("web-demo/e2e/demo.test.ts", page)).len(), 1);
    }

    #[test]
    fn a_skipped_test_is_found() {
        assert_eq!(tests_are_not_skipped(&Tree::of("npm-package/src/a.test.ts", "it.only('x')\n")).len(), 1);
        assert_eq!(tests_are_not_skipped(&Tree::of("a.rs", "#[ignore]\n")).len(), 1);
        assert!(tests_are_not_skipped(&Tree::of("a.rs", "iter.skip(1)\n")).is_empty());
    }
}
