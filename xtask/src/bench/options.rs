//! The options of `cargo xtask bench`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::server::Server;

const USAGE: &str = "\
usage: cargo xtask bench [--quick] [--only PART,…] [--peers NAME,…|none] [--json FILE]
  --quick   one round, short windows, 2,000 connections: a smoke test, missed targets do not fail it
  --only    of fanout, durable, memory, connect, slow-consumers, storm, recovery, metrics, attacks, client
  --peers   of ws, socketio, socketioxide (default: all)
  --json    where the figures go (default: target/xtask/bench.json)";

/// What can be measured on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Fanout,
    Durable,
    Memory,
    Connect,
    SlowConsumers,
    Storm,
    Recovery,
    Metrics,
    Attacks,
    Client,
}

const PARTS: [(&str, Part); 10] = [
    ("fanout", Part::Fanout),
    ("durable", Part::Durable),
    ("memory", Part::Memory),
    ("connect", Part::Connect),
    ("slow-consumers", Part::SlowConsumers),
    ("storm", Part::Storm),
    ("recovery", Part::Recovery),
    ("metrics", Part::Metrics),
    ("attacks", Part::Attacks),
    ("client", Part::Client),
];

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) json: Option<PathBuf>,
    parts: Vec<Part>,
    pub(crate) peers: Vec<Server>,
}

impl Options {
    pub(crate) fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self {
            quick: false,
            json: None,
            parts: PARTS.iter().map(|(_, part)| *part).collect(),
            peers: Server::PEERS.to_vec(),
        };
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value\n{USAGE}"));
            match word.as_str() {
                "--quick" => options.quick = true,
                "--json" => options.json = Some(value()?.into()),
                "--only" => {
                    options.parts =
                        split(value()?, |name| PARTS.iter().find(|(known, _)| *known == name).map(|(_, part)| *part))?;
                }
                "--peers" => {
                    let names = value()?;
                    options.peers = if names == "none" { Vec::new() } else { split(names, Server::peer)? };
                }
                _ => bail!("unknown option {word}\n{USAGE}"),
            }
        }
        Ok(options)
    }

    /// Whether this part is to be measured.
    pub(crate) fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// Whether any part needs the load generator and the peers.
    pub(crate) fn has_servers(&self) -> bool {
        self.parts.iter().any(|part| *part != Part::Client)
    }

    /// Our server in both its modes, then the peers.
    pub(crate) fn servers(&self) -> Vec<Server> {
        if !self.has_servers() {
            return Vec::new();
        }
        [Server::Ours, Server::OursPlain, Server::OursMemory].into_iter().chain(self.peers.iter().copied()).collect()
    }
}

fn split<T>(names: &str, known: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
    names.split(',').map(|name| known(name).with_context(|| format!("unknown name {name}\n{USAGE}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_part_and_no_peers_can_be_chosen() {
        let options = parse("--only fanout,client --peers none --quick").expect("parses");
        assert!(options.quick && options.has(Part::Fanout) && options.has(Part::Client));
        assert!(!options.has(Part::Memory) && options.peers.is_empty());
        assert_eq!(options.servers(), [Server::Ours, Server::OursPlain, Server::OursMemory]);
    }

    #[test]
    fn unknown_words_are_refused_with_the_usage() {
        for line in ["--fast", "--only speed", "--peers nchan", "--json"] {
            let error = parse(line).expect_err(line).to_string();
            assert!(error.contains("usage: cargo xtask bench"), "{error}");
        }
    }
}
