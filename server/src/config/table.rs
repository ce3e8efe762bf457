//! The table of settings for reading: Markdown for the README, plain text for `osbackend config`.

use super::SETTINGS;

fn default_of(default: Option<&str>, dev: Option<&str>, quote: &str) -> String {
    let default = default.map_or_else(|| "unset".to_owned(), |value| format!("{quote}{value}{quote}"));
    dev.map_or_else(|| default.clone(), |dev| format!("{default}; `--dev`: {quote}{dev}{quote}"))
}

/// The settings as a Markdown table, the one in the README.
pub fn markdown_table() -> String {
    let mut out = String::from("| variable | flag | default | what |\n| --- | --- | --- | --- |\n");
    for setting in SETTINGS {
        let default = default_of(setting.default, setting.dev_default, "`");
        out += &format!("| `{}` | `--{}` | {default} | {} |\n", setting.name, setting.flag(), setting.about);
    }
    out
}

/// The settings for a terminal, by group, each with what may be given.
pub fn text_table() -> String {
    let mut out = String::new();
    let mut group = "";
    for setting in SETTINGS {
        if setting.group != group {
            group = setting.group;
            out += &format!("\n{group}\n");
        }
        let default = default_of(setting.default, setting.dev_default, "").replace('`', "");
        out += &format!("  {:<26}{}\n", setting.name, setting.about.replace('`', ""));
        out += &format!("  {:<26}default: {default}. Use {}.\n", "", setting.allowed);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tables_have_every_setting() {
        let (markdown, text) = (markdown_table(), text_table());
        for setting in SETTINGS {
            assert!(markdown.contains(&format!("| `{}` |", setting.name)), "{}", setting.name);
            assert!(text.contains(setting.name) && text.contains(setting.allowed), "{}", setting.name);
        }
        assert_eq!(markdown.lines().count(), SETTINGS.len() + 2);
    }

    #[test]
    fn the_readme_has_this_table() {
        let readme = include_str!("../../../README.md");
        let table = readme.split("<!-- settings:").nth(1).and_then(|rest| rest.split("<!-- end of the settings -->").next());
        let table = table.and_then(|rest| rest.split_once("-->\n")).map(|(_, table)| table);
        assert_eq!(table, Some(markdown_table().as_str()), "put the output of `osbackend config --markdown` into README.md");
    }
}
