//! The load generator of `cargo xtask bench`: one measurement of one server, printed as one JSON line.
//!
//! It is a program of its own so that its CPU is never counted as the server's, and single-threaded with
//! hand-written frame scanning so that it leaves the second core to the server as far as possible. `publish` is an
//! exception: it measures the server as a library, in this process. `storm` and `drain` are others: they run the SDK's native
//! clients, because their delays are what is measured, and start the server by themselves, because it has to die. So do `metrics`,
//! which fills the store that the server then reads, and `attacks`, each of which has a server of its own.

mod args;
mod attacks;
mod crowd;
mod database;
mod dialect;
mod fanout;
mod frames;
mod metrics;
mod process;
mod publish;
mod ramp;
mod recovery;
mod slow;
mod storm;
mod swarm;
mod token;
mod victim;

use anyhow::Result;

fn main() -> Result<()> {
    let args = args::Args::from_env()?;
    rlimit::increase_nofile_limit(u64::MAX)?;
    let result = match args.command.as_str() {
        "fanout" => fanout::run(&args)?,
        "ramp" => ramp::run(&args)?,
        "slow" => slow::run(&args)?,
        "publish" => publish::run(&args)?,
        "storm" => storm::storm(&args)?,
        "drain" => storm::drain(&args)?,
        "metrics" => metrics::run(&args)?,
        "recovery" => recovery::run(&args)?,
        "attacks" => attacks::run(&args)?,
        other => {
            anyhow::bail!("unknown command {other}: use fanout, ramp, slow, publish, storm, drain, metrics, recovery or attacks")
        }
    };
    println!("{result}");
    Ok(())
}
