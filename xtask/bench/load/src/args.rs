//! The command line: a command and `--name value` pairs, as xtask writes them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::dialect::Dialect;

/// What to measure, at which server, and how much of it.
pub(crate) struct Args {
    /// One of those that `main` knows.
    pub(crate) command: String,
    options: HashMap<String, String>,
}

impl Args {
    /// Reads the process's arguments.
    pub(crate) fn from_env() -> Result<Self> {
        let mut words = std::env::args().skip(1);
        let command = words.next().context(
            "usage: osbackend-bench-load fanout|ramp|slow|publish|storm|drain|metrics|recovery|attacks --name value …",
        )?;
        let mut options = HashMap::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").with_context(|| format!("expected --name, got {word}"))?;
            let value = words.next().with_context(|| format!("--{name} needs a value"))?;
            options.insert(name.to_owned(), value);
        }
        Ok(Self { command, options })
    }

    /// Text that must be given.
    pub(crate) fn text(&self, name: &str) -> Result<&str> {
        self.options.get(name).map(String::as_str).with_context(|| format!("--{name} is missing"))
    }

    /// A number that must be given.
    pub(crate) fn number<N: FromStr>(&self, name: &str) -> Result<N> {
        let text = self.text(name)?;
        text.parse().ok().with_context(|| format!("--{name} {text}: not a number in range"))
    }

    /// A time given in milliseconds.
    pub(crate) fn millis(&self, name: &str) -> Result<Duration> {
        Ok(Duration::from_millis(self.number(name)?))
    }

    /// Where the server listens.
    pub(crate) fn addr(&self) -> Result<SocketAddr> {
        self.text("addr")?.parse().context("--addr: expected HOST:PORT")
    }

    /// How the server is spoken to.
    pub(crate) fn dialect(&self) -> Result<Dialect> {
        Dialect::parse(self.text("dialect")?)
    }

    /// The HS256 secret that the server was started with.
    pub(crate) fn secret(&self) -> Result<&str> {
        self.text("secret")
    }
}
