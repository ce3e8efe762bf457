//! The load generator of `cargo xtask bench`: one measurement of one server, printed as one JSON line.
//!
//! It is a program of its own so that its CPU is never counted as the server's, and single-threaded with
//! hand-written frame scanning so that it leaves the second core to the server as far as possible.

mod args;
mod dialect;
mod fanout;
mod frames;
mod process;
mod ramp;
mod slow;
mod swarm;
mod token;

use anyhow::Result;

fn main() -> Result<()> {
    let args = args::Args::from_env()?;
    rlimit::increase_nofile_limit(u64::MAX)?;
    let result = match args.command.as_str() {
        "fanout" => fanout::run(&args)?,
        "ramp" => ramp::run(&args)?,
        "slow" => slow::run(&args)?,
        other => anyhow::bail!("unknown command {other}: use fanout, ramp or slow"),
    };
    println!("{result}");
    Ok(())
}
