//! Which files and lines are test code: some rules are for tests only, others for everything else.

use super::tree::File;

/// Whether a file holds tests only.
pub(super) fn is_test_file(file: &File) -> bool {
    // These run tests, they are none.
    if file.path.starts_with("xtask/src/test/") || !file.has_extension(&["rs", "ts", "tsx", "js", "mjs"]) {
        return false;
    }
    file.path.split('/').any(|part| matches!(part, "tests" | "test" | "e2e" | "__tests__" | "tests.rs"))
        || file.path.contains(".test.")
        || file.path.contains(".spec.")
}

/// For each line of a Rust file, whether it belongs to an item under `#[cfg(test)]`. Relies on rustfmt: an item
/// closes with a brace as far indented as it began.
pub(super) fn test_lines(text: &str) -> Vec<bool> {
    let mut lines = Vec::new();
    // The indentation of the item that is open, and whether its first line is still to come.
    let mut open: Option<(usize, bool)> = None;
    for line in text.lines() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        if open.is_none() && code.starts_with("#[cfg(test)]") {
            open = Some((indent, true));
        }
        lines.push(open.is_some());
        let Some((from, first)) = open else { continue };
        if code.starts_with("#[") || code.starts_with("//") {
            continue;
        }
        let ends_at_once = first && (code.ends_with(';') || code.ends_with('}'));
        let closes = !first && indent == from && code.starts_with('}');
        open = if ends_at_once || closes { None } else { Some((from, false)) };
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_of_several_lines_ends_with_its_brace() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nfn c() {}\n";
        assert_eq!(test_lines(text), [false, true, true, true, true, true, false]);
    }

    #[test]
    fn a_module_in_a_file_of_its_own_ends_at_once() {
        let text = "#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests;\nfn c() {}\n";
        assert_eq!(test_lines(text), [true, true, true, false]);
    }

    #[test]
    fn a_method_for_tests_ends_inside_its_block() {
        let text = "impl A {\n    #[cfg(test)]\n    fn b(&self) {\n        x();\n    }\n    fn c() {}\n}\n";
        assert_eq!(test_lines(text), [false, true, true, true, true, false, false]);
    }

    #[test]
    fn test_files_are_known_by_their_place() {
        let is_test = |path: &str| is_test_file(&File { path: path.to_owned(), text: Some(String::new()) });
        assert!(is_test("server/tests/it/main.rs") && is_test("server/src/auth/tests.rs"));
        assert!(is_test("npm-package/src/a.test.ts") && is_test("web-demo/e2e/demo.ts"));
        assert!(!is_test("server/src/hub/mod.rs") && !is_test("xtask/src/test/mod.rs") && !is_test("docs/test/a.md"));
    }
}
