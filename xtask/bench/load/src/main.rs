//! The load generator of `cargo xtask bench`: one measurement of one server, printed as one JSON line.
//!
//! It is a program of its own so that its CPU is never counted as the server's, and single-threaded with
//! hand-written frame scanning so that it leaves the second core to the server as far as possible. `publish` is the
//! exception: it measures the server as a library, in this process.

mod args;
mod dialect;
mod fanout;
mod frames;
mod process;
mod publish;
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
        "publish" => publish::run(&args)?,
        other => anyhow::bail!("unknown command {other}: use fanout, ramp, slow or publish"),
    };
    println!("{result}");
    Ok(())
}
