//! `cargo xtask test`: runs the stages in order, goes on after a failure, and tells at the end what failed.

mod browser;
mod contract;
mod dev_server;
mod rust;
mod seeds;
mod stages;
mod summary;
mod web;

use std::time::Instant;

use anyhow::{Result, anyhow, bail};

use self::stages::STAGES;
use self::summary::{Outcome, Summary};
use crate::project::Project;

/// One check. Stages run in the order of the table, so `needs` names earlier ones only.
#[derive(Debug)]
struct Stage {
    name: &'static str,
    about: &'static str,
    needs: &'static [&'static str],
    run: fn(&Project) -> Result<()>,
}

/// The command.
pub(crate) fn run(project: &Project, args: &[String]) -> Result<()> {
    if args.iter().any(|arg| arg == "--list") {
        print!("{}", list());
        return Ok(());
    }
    if let Some(seeds) = seeds::Seeds::of(args)? {
        return rust::simulation_of(project, &seeds);
    }
    let selected = select(STAGES, args)?;
    let mut summary = Summary::default();
    for (index, stage) in selected.iter().enumerate() {
        eprintln!("\n=== {}/{} {}: {}", index + 1, selected.len(), stage.name, stage.about);
        let started = Instant::now();
        let outcome = match stage.needs.iter().find(|need| summary.failed(need)) {
            Some(need) => Outcome::Failed(anyhow!("needs `{need}`, which failed")),
            None => match (stage.run)(project) {
                Ok(()) => Outcome::Passed,
                Err(error) => Outcome::Failed(error),
            },
        };
        if let Outcome::Failed(error) = &outcome {
            eprintln!("{} FAILED: {error:#}", stage.name);
        }
        summary.add(stage.name, started.elapsed(), outcome);
    }
    println!("\n{summary}");
    if summary.is_success() {
        return Ok(());
    }
    // The summary has said it all, and its last line is meant to be the last.
    std::process::exit(1);
}

/// The stages that were asked for and what they need, in the table's order. No name asked for: all of them.
fn select<'a>(stages: &'a [Stage], names: &[String]) -> Result<Vec<&'a Stage>> {
    if names.is_empty() {
        return Ok(stages.iter().collect());
    }
    let mut wanted: Vec<&str> = Vec::new();
    for name in names {
        let Some(stage) = stages.iter().find(|stage| stage.name == name) else {
            bail!("there is no stage `{name}`. The stages are:\n{}", list());
        };
        wanted.push(stage.name);
    }
    // Needs point backwards, so one pass from the end closes over them.
    for stage in stages.iter().rev() {
        if wanted.contains(&stage.name) {
            wanted.extend(stage.needs);
        }
    }
    Ok(stages.iter().filter(|stage| wanted.contains(&stage.name)).collect())
}

fn list() -> String {
    STAGES.iter().map(|stage| format!("  {:<14} {}\n", stage.name, stage.about)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &'static str, needs: &'static [&'static str]) -> Stage {
        Stage { name, about: "", needs, run: |_| Ok(()) }
    }

    fn names(selected: &[&Stage]) -> Vec<&'static str> {
        selected.iter().map(|stage| stage.name).collect()
    }

    #[test]
    fn a_stage_brings_what_it_needs_in_order() {
        let stages = [stage("a", &[]), stage("b", &["a"]), stage("c", &[]), stage("d", &["b"])];
        let selected = select(&stages, &["d".to_owned()]).expect("known");
        assert_eq!(names(&selected), ["a", "b", "d"]);
    }

    #[test]
    fn no_name_means_all_and_an_unknown_name_is_an_error() {
        let stages = [stage("a", &[]), stage("b", &[])];
        assert_eq!(names(&select(&stages, &[]).expect("all")), ["a", "b"]);
        let error = select(&stages, &["x".to_owned()]).expect_err("unknown");
        assert!(error.to_string().contains("no stage `x`"), "{error}");
    }

    #[test]
    fn every_need_in_the_table_is_an_earlier_stage() {
        for (index, stage) in STAGES.iter().enumerate() {
            for need in stage.needs {
                assert!(
                    STAGES[..index].iter().any(|earlier| earlier.name == *need),
                    "{} needs {need}, which does not run before it",
                    stage.name
                );
            }
        }
    }
}
