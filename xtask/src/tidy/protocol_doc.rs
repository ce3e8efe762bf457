//! Rules that hold docs/PROTOCOL.md against the types, where a machine can.

use osbackend_protocol::codes::{CloseCode, ErrorCode};

use super::tree::{Finding, Tree};

const DOCUMENT: &str = "docs/PROTOCOL.md";

/// The error and close codes that §6 names are those of `codes.rs`, both ways.
pub(super) fn codes_of_the_document_exist(tree: &Tree) -> Vec<Finding> {
    let finding = |what: String| Finding { path: DOCUMENT.to_owned(), line: 0, what };
    let Some(section) = tree.text(DOCUMENT).and_then(section_6) else {
        return vec![finding("has no section `## 6. Close codes`".to_owned())];
    };
    let mut findings = Vec::new();

    let named = error_codes(section);
    let known: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
    findings.extend(missing(&named, &known).map(|name| finding(format!("names the error code {name}, which codes.rs lacks"))));
    findings.extend(missing(&known, &named).map(|name| finding(format!("does not name the error code {name} of codes.rs"))));

    let named = close_codes(section);
    let known: Vec<u16> = CloseCode::ALL.iter().map(|code| code.code()).collect();
    findings.extend(missing(&named, &known).map(|code| finding(format!("names the close code {code}, which codes.rs lacks"))));
    findings.extend(missing(&known, &named).map(|code| finding(format!("does not name the close code {code} of codes.rs"))));
    findings
}

fn section_6(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("\n## 6. Close codes")?;
    Some(rest.split_once("\n## ").map_or(rest, |(section, _)| section))
}

fn error_codes(section: &str) -> Vec<&str> {
    let Some((_, rest)) = section.split_once("Error codes: `") else {
        return Vec::new();
    };
    rest.split('`').next().unwrap_or_default().split_whitespace().collect()
}

/// Each code begins an item: `1000 normal · 1001 going away`, `4001 token_expired (…)`.
fn close_codes(section: &str) -> Vec<u16> {
    section.lines().flat_map(|line| line.split(" · ")).filter_map(|item| item.split_once(' ')?.0.parse().ok()).collect()
}

fn missing<'a, T: PartialEq + Copy>(from: &'a [T], of: &'a [T]) -> impl Iterator<Item = T> + 'a {
    from.iter().copied().filter(move |item| !of.contains(item))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(errors: &str, closes: &str) -> Tree {
        Tree::of(DOCUMENT, &format!("# P\n\n## 6. Close codes\n\n{closes}\n\nError codes: `{errors}`.\n\n## 7. Next\n4999 x\n"))
    }

    fn all() -> (String, String) {
        let errors: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
        let closes: Vec<String> = CloseCode::ALL.iter().map(|code| format!("{} x", code.code())).collect();
        (errors.join(" "), closes.join(" · "))
    }

    #[test]
    fn a_document_with_all_codes_passes() {
        let (errors, closes) = all();
        assert_eq!(codes_of_the_document_exist(&document(&errors, &closes)), []);
    }

    #[test]
    fn a_code_on_one_side_only_is_found() {
        let (errors, closes) = all();
        let count = |errors: &str, closes: &str| codes_of_the_document_exist(&document(errors, closes)).len();
        assert_eq!(count(&format!("{errors} made_up"), &closes), 1);
        assert_eq!(count(&errors.replace("too_large ", ""), &closes), 1);
        assert_eq!(count(&errors, &format!("{closes} · 4777 made_up")), 1);
        assert_eq!(count(&errors, &closes.replace("4002 x · ", "")), 1);
    }
}
