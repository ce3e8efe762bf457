//! Keeps the demo's server running: starts it, kills it when the page asks for that, starts it again, ends with it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::control::{self, Order};
use crate::project::Project;
use crate::sh::cmd;

/// How often it is looked whether the server or this process is to end.
const LOOK: Duration = Duration::from_millis(100);

const TRY: &str = "
try in the dashboard:
  open it in a second tab, or as somebody else: add ?as=Grace to its address
  choose 1 h, 24 h or 7 d over the chart: what is stored, and live updates added to it
  Outage simulator: drop the connection, delay its frames, or kill this server; then see what comes back
stop with ctrl-c
";

/// Runs the server until it ends by itself or by ctrl-c.
pub(super) fn keep(project: &Project, server: &Path) -> Result<()> {
    // The terminal sends ctrl-c to the server as well, which drains; this process only has to outlive it.
    let (interrupted, terminated) = (flag(signal_hook::consts::SIGINT)?, flag(signal_hook::consts::SIGTERM)?);
    let (send, orders) = channel();
    let (control, secret) = (control::start(send)?, secret()?);
    let mut keeper = Keeper { project, server, control, secret, starts: 0, ports: Arc::default() };
    let mut child = keeper.start()?;
    loop {
        match orders.recv_timeout(LOOK) {
            Ok(Order::Kill { down }) => {
                // SIGKILL: no goodbye to anyone, and nothing that was not committed before.
                child.kill().context("the server could not be killed")?;
                child.wait()?;
                say(&format!("killed the server, as the page asked; back in {:.1} s", down.as_secs_f64()));
                let back = Instant::now() + down;
                while Instant::now() < back {
                    if interrupted.load(Ordering::Relaxed) || terminated.load(Ordering::Relaxed) {
                        return Ok(());
                    }
                    std::thread::sleep(LOOK.min(back.saturating_duration_since(Instant::now())));
                }
                // What was asked for meanwhile was meant for the server that is gone.
                while orders.try_recv().is_ok() {}
                child = keeper.start()?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK),
        }
        if let Some(status) = child.try_wait()? {
            return ended(status);
        }
        if terminated.swap(false, Ordering::Relaxed) {
            // Unlike ctrl-c this reached only us.
            terminate(&mut child)?;
        }
    }
}

fn flag(signal: i32) -> Result<Arc<AtomicBool>> {
    let raised = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal, raised.clone()).context("signals can't be watched")?;
    Ok(raised)
}

/// What a development server takes its secret from, where it is started again.
const DEV_SECRET: &str = "OSBACKEND_DEV_SECRET";
/// With one of these the server has real users, and gives out no session for the demo's page.
const REAL_SECRETS: [&str; 3] = ["JWT_SECRET", "SUPABASE_URL", "SUPABASE_JWT_SECRET"];

/// The same over restarts, so that tokens and sessions of before are good after them.
fn secret() -> Result<String> {
    match std::env::var(DEV_SECRET) {
        Ok(secret) => Ok(secret),
        Err(_) => Ok(control::random_key()? + &control::random_key()?),
    }
}

struct Keeper<'a> {
    project: &'a Project,
    server: &'a Path,
    control: String,
    secret: String,
    starts: u32,
    /// Those of the first start: where it chose them itself, the page has to find its successor there.
    ports: Arc<OnceLock<Ports>>,
}

#[derive(Debug, PartialEq)]
struct Ports {
    ws: String,
    http: String,
}

impl Keeper<'_> {
    fn start(&mut self) -> Result<Child> {
        self.starts += 1;
        let mut child = self
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} could not be started", self.server.display()))?;
        let stdout = child.stdout.take().context("the server's output was not piped")?;
        let (first, ports) = (self.starts == 1, self.ports.clone());
        std::thread::spawn(move || pass_on(stdout, first, &ports));
        Ok(child)
    }

    fn command(&self) -> Command {
        let command = cmd(self.server).args(["serve", "--dev"]).dir(&self.project.root);
        let command = REAL_SECRETS.iter().fold(command, |command, name| command.env_remove(name));
        let command = command.env(DEV_SECRET, &self.secret).env("OSBACKEND_OUTAGE_CONTROL", &self.control);
        match self.ports.get() {
            None => command.into_inner(),
            Some(Ports { ws, http }) => command.env("WS_PORT", ws).env("PORT", http).into_inner_quietly(),
        }
    }
}

/// Shows what the server prints: all of it the first time, and only that it is back after that.
fn pass_on(stdout: ChildStdout, first: bool, ports: &OnceLock<Ports>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let listens = ports_in(&line);
        if first || listens.is_some() {
            say(&line);
        }
        if let Some(found) = listens
            && ports.set(found).is_ok()
        {
            say(TRY.trim_end());
        }
    }
}

/// The ports in the line `listening ws=HOST:PORT http=HOST:PORT`; with TLS the names are `wss` and `https`.
fn ports_in(line: &str) -> Option<Ports> {
    let mut words = line.strip_prefix("listening ")?.split(' ');
    let mut port = || words.next()?.rsplit_once(':').map(|(_, port)| port.to_owned());
    Some(Ports { ws: port()?, http: port()? })
}

/// Prints a line; a terminal that is gone is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn ended(status: ExitStatus) -> Result<()> {
    ensure!(status.success(), "the server stopped with {status}");
    Ok(())
}

#[cfg(unix)]
fn terminate(child: &mut Child) -> Result<()> {
    // The standard library only kills.
    cmd("kill").args(["-TERM", &child.id().to_string()]).run()
}

#[cfg(not(unix))]
fn terminate(child: &mut Child) -> Result<()> {
    child.kill().context("the server could not be stopped")
}

#[cfg(test)]
mod tests {
    use super::{Ports, ports_in};

    #[test]
    fn the_ports_are_those_that_the_server_tells() {
        let ports = |ws: &str, http: &str| Some(Ports { ws: ws.to_owned(), http: http.to_owned() });
        assert_eq!(ports_in("listening ws=127.0.0.1:41 http=127.0.0.1:42"), ports("41", "42"));
        assert_eq!(ports_in("listening wss=[::1]:41 https=[::1]:42 metrics=127.0.0.1:9"), ports("41", "42"));
        assert_eq!(ports_in("  dashboard    http://localhost:8080/"), None);
    }
}
