//! The table of settings for reading: Markdown for docs/CONFIGURATION.md, plain text for `osbackend config`.

use super::{SETTINGS, Setting};

fn default_of(default: Option<&str>, dev: Option<&str>, quote: &str) -> String {
    let default = default.map_or_else(|| "unset".to_owned(), |value| format!("{quote}{value}{quote}"));
    dev.map_or_else(|| default.clone(), |dev| format!("{default}; `--dev`: {quote}{dev}{quote}"))
}

/// The subject of each group of settings, by the group's name in the TOML file.
const GROUPS: [(&str, &str); 7] = [
    ("listen", "ports, TLS, proxies"),
    ("auth", "who may connect"),
    ("engine", "what is stored, and for how long"),
    ("limits", "bounds on clients"),
    ("liveness", "pings, shutdown, presence"),
    ("hooks", "your backend"),
    ("logs", "logs and monitoring"),
];

/// The settings as Markdown, by group, as docs/CONFIGURATION.md has them.
pub fn markdown_table() -> String {
    let mut out = String::new();
    let mut group = "";
    for setting in SETTINGS {
        if setting.group != group {
            group = setting.group;
            let about = GROUPS.iter().find(|(name, _)| *name == group).map_or("", |(_, about)| about);
            if !out.is_empty() {
                out.push('\n');
            }
            out += &format!("### `[{group}]`: {about}\n\n");
            out += "| variable | key in the file | default | allowed value | meaning |\n| --- | --- | --- | --- | --- |\n";
        }
        let default = default_of(setting.default, setting.dev_default, "`");
        let Setting { name, about, allowed, .. } = setting;
        out += &format!("| `{name}` | `{}` | {default} | {allowed} | {about} |\n", setting.path());
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
    use crate::config::ConfigFile;

    const DOCUMENT: &str = include_str!("../../../docs/CONFIGURATION.md");
    const EXAMPLE: &str = include_str!("../../../deploy/osbackend.example.toml");

    #[test]
    fn both_tables_have_every_setting() {
        let (markdown, text) = (markdown_table(), text_table());
        for setting in SETTINGS {
            assert!(markdown.contains(&format!("| `{}` | `{}` |", setting.name, setting.path())), "{}", setting.name);
            assert!(text.contains(setting.name) && text.contains(setting.allowed), "{}", setting.name);
        }
        let rows = markdown.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!((rows, markdown.matches("### ").count()), (SETTINGS.len(), GROUPS.len()));
        assert!(GROUPS.iter().all(|(group, about)| markdown.contains(&format!("### `[{group}]`: {about}"))), "{markdown}");
    }

    #[test]
    fn the_document_has_this_table() {
        let table = DOCUMENT.split("<!-- settings:").nth(1).and_then(|rest| rest.split("<!-- end of the settings -->").next());
        let table = table.and_then(|rest| rest.split_once("-->\n\n")).map(|(_, table)| table.trim_end());
        let made = markdown_table();
        assert_eq!(table, Some(made.trim_end()), "put the output of `osbackend config --markdown` into docs/CONFIGURATION.md");
    }

    /// `#key = value`, without a space, is a setting that the example shows at its default; `# words` is a comment.
    fn is_commented_out(line: &str) -> bool {
        line.strip_prefix('#')
            .and_then(|line| line.split_once(" = "))
            .is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    }

    #[test]
    fn the_example_file_has_every_setting_at_its_default_and_all_of_it_can_be_used() {
        ConfigFile::parse("the example as it is", EXAMPLE).unwrap();
        let lines = EXAMPLE.lines().map(|line| if is_commented_out(line) { &line[1..] } else { line });
        let whole = lines.collect::<Vec<_>>().join("\n");
        let file = ConfigFile::parse("the example with all that is commented out", &whole).unwrap();
        for setting in SETTINGS {
            let given = file.get(setting.name).unwrap_or_else(|| panic!("the example lacks {}", setting.path()));
            let key = setting.path().split_once('.').unwrap().1.to_owned();
            let is_default = EXAMPLE.lines().any(|line| line.starts_with(&format!("#{key} = ")));
            if let (Some(default), true) = (setting.default, is_default) {
                assert_eq!(given, default, "{}: a commented line shows the default", setting.path());
            }
        }
        assert!(file.policy().is_some_and(|policy| policy.rules.len() > 1));
    }
}
