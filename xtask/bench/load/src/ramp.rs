//! Connections that come, authenticate, join and stay: CPU and memory of each.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use crate::args::Args;
use crate::process::Process;
use crate::swarm::{Identity, Swarm};
use crate::token;

/// Opens `--connections`, each a user of its own. The first tenth is warm-up for the CPU figure (compilers that
/// compile at run time, first pages), but counts for memory.
pub(crate) fn run(args: &Args) -> Result<Value> {
    let server = Process(args.number("pid")?);
    let connections: usize = args.number("connections")?;
    let within = args.millis("within-ms")?;
    let mut identities = (0..connections)
        .map(|n| {
            Ok(Identity {
                token: token::sign(args.secret()?, &format!("bench-user-{n}"), "user")?,
                member: true,
                small_buffer: false,
                opening: None,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let measured = identities.split_off(connections / 10);
    let count = measured.len();

    let mut swarm = Swarm::new(args.addr()?, args.dialect()?)?;
    let resident_before = server.resident()?;
    swarm.connect(identities, within)?;
    let (cpu_before, started) = (server.cpu()?, Instant::now());
    swarm.connect(measured, within)?;
    let (took, cpu_after) = (started.elapsed(), server.cpu()?);
    swarm.settle(Duration::from_millis(1000), Duration::from_secs(60))?;
    let resident_after = server.resident()?;
    Ok(json!({
        "connections": connections,
        "cpuMicrosPerConnection": cpu_before.micros_until(&cpu_after) / count as f64,
        "connectionsPerSecond": count as f64 / took.as_secs_f64(),
        "bytesPerConnection": resident_after.saturating_sub(resident_before) as f64 / connections as f64,
    }))
}
