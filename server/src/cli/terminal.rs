//! What is printed where: colour and progress for people on a terminal, plain lines for programs.

use std::io::{IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// ANSI styles, or nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    on: bool,
}

impl Paint {
    /// Colour where stdout is a terminal and `NO_COLOR` is not set (<https://no-color.org>).
    pub(super) fn of_stdout() -> Self {
        Self { on: std::io::stdout().is_terminal() && colour_is_wanted() }
    }

    /// The same for stderr.
    pub(super) fn of_stderr() -> Self {
        Self { on: std::io::stderr().is_terminal() && colour_is_wanted() }
    }

    #[cfg(test)]
    pub(super) fn always() -> Self {
        Self { on: true }
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(super) fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    pub(super) fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    /// A colour of its own for each name, the same at each start.
    pub(super) fn by_name(self, name: &str) -> String {
        const COLOURS: [&str; 6] = ["36", "35", "34", "32", "33", "96"];
        let sum = name.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        self.with(COLOURS[sum % COLOURS.len()], name)
    }
}

fn colour_is_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Control characters of somebody else's text would speak to the terminal: they are shown as what they are.
pub(super) fn harmless(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// A bar on stderr, shown on a terminal only. `total` 0: a spinner.
pub(super) fn progress(total: u64, template: &str) -> ProgressBar {
    let bar = if total > 0 { ProgressBar::new(total) } else { ProgressBar::no_length() };
    bar.set_draw_target(if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(10)
    } else {
        ProgressDrawTarget::hidden()
    });
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Writes a line to stdout; false where nobody reads any more (`| head`).
pub(super) fn line(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

/// Writes a line to stderr, for people.
pub(super) fn note(text: &str) {
    // Where nobody reads it there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_there_or_not() {
        assert_eq!(Paint::always().red("no"), "\x1b[31mno\x1b[0m");
        assert_eq!(Paint { on: false }.red("no"), "no");
        assert_eq!(Paint::always().by_name("a:1"), Paint::always().by_name("a:1"));
    }

    #[test]
    fn control_characters_reach_no_terminal() {
        assert_eq!(harmless("a\x1b[2Jb\u{9b}c"), "a\\u{1b}[2Jb\\u{9b}c");
        assert_eq!(harmless("plain ü"), "plain ü");
    }
}
