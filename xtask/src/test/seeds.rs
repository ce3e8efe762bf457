//! `cargo xtask test simulation --seeds COUNT [--from FIRST]`: how long the simulation runs, where it isn't the usual time.

use anyhow::{Context, Result, bail};

/// The only stage that has seeds.
const STAGE: &str = "simulation";

/// Which seeds are run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seeds {
    pub(super) count: u64,
    pub(super) from: u64,
}

impl Seeds {
    /// What the arguments say of seeds; `None` where they say nothing.
    pub(super) fn of(args: &[String]) -> Result<Option<Self>> {
        let (mut count, mut from, mut stages) = (None, None, Vec::new());
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let place = match arg.as_str() {
                "--seeds" => &mut count,
                "--from" => &mut from,
                stage => {
                    stages.push(stage);
                    continue;
                }
            };
            let value = args.next().with_context(|| format!("{arg} needs a number"))?;
            *place = Some(value.parse().with_context(|| format!("{arg} needs a number, not {value:?}"))?);
        }
        if count.is_none() && from.is_none() {
            return Ok(None);
        }
        if stages != [STAGE] {
            bail!("--seeds and --from are for the stage `{STAGE}` alone: cargo xtask test {STAGE} --seeds COUNT [--from FIRST]");
        }
        let Some(count) = count else { bail!("--from needs --seeds COUNT") };
        Ok(Some(Self { count, from: from.unwrap_or(0) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(text: &str) -> Result<Option<Seeds>> {
        Seeds::of(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn seeds_are_for_the_simulation_alone() {
        assert_eq!(seeds("").expect("nothing"), None);
        assert_eq!(seeds("rust simulation").expect("no seeds"), None);
        assert_eq!(seeds("simulation --seeds 9").expect("good"), Some(Seeds { count: 9, from: 0 }));
        assert_eq!(seeds("--from 7 --seeds 9 simulation").expect("good"), Some(Seeds { count: 9, from: 7 }));
        for bad in ["--seeds 9", "rust --seeds 9", "rust simulation --seeds 9", "simulation --seeds", "simulation --seeds x"] {
            assert!(seeds(bad).is_err(), "{bad}");
        }
        assert!(seeds("simulation --from 7").is_err());
    }
}
