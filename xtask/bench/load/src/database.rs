//! A PostgreSQL server of this generator's own: Debian's programs, a folder of its own, a free port; gone when dropped.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Where Debian puts the programs that are not for everyone's PATH.
const DEBIAN: &str = "/usr/lib/postgresql";
/// PostgreSQL refuses to run as root; Debian's package makes this user.
const USER: &str = "postgres";

/// A running database with PostgreSQL's own settings.
pub(crate) struct Database {
    dir: PathBuf,
    programs: PathBuf,
    port: u16,
}

impl Database {
    /// Makes one below `dir`, which every user must be able to enter, and starts it.
    pub(crate) fn start(dir: &Path) -> Result<Self> {
        let programs = programs()?;
        std::fs::create_dir_all(dir)?;
        std::fs::set_permissions(dir, PermissionsExt::from_mode(0o777))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let database = Self { dir: dir.to_owned(), programs, port };
        let data = database.data();
        let args = ["-D", &data, "-U", "osbackend", "--auth=trust", "--no-sync", "--encoding=UTF8"];
        run(&database.programs.join("initdb"), &args)?;
        database.resume()?;
        Ok(database)
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://osbackend@127.0.0.1:{}/postgres", self.port)
    }

    /// Where its files are.
    pub(crate) fn data(&self) -> String {
        self.dir.join("data").to_string_lossy().into_owned()
    }

    /// Writes everything to its files and stops; [`Self::resume`] starts it again.
    pub(crate) fn pause(&self) -> Result<()> {
        run(&self.programs.join("pg_ctl"), &["-D", &self.data(), "-m", "fast", "-w", "-t", "300", "stop"])
    }

    /// Starts it.
    pub(crate) fn resume(&self) -> Result<()> {
        let (data, log) = (self.data(), self.dir.join("log"));
        let options = format!("-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''", self.port);
        let log = log.to_str().context("the folder's name is no text")?;
        run(&self.programs.join("pg_ctl"), &["-D", &data, "-o", &options, "-l", log, "-w", "-t", "60", "start"])
    }

    /// The only number that `sql` answers with.
    pub(crate) fn number(&self, sql: &str) -> Result<u64> {
        let output = Command::new(self.programs.join("psql")).args(["-X", "-A", "-t", "-d", &self.url(), "-c", sql]).output()?;
        let text = String::from_utf8(output.stdout)?;
        text.trim().parse().with_context(|| format!("{sql}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // It may be stopped already.
        let _ = run(&self.programs.join("pg_ctl"), &["-D", &self.data(), "-m", "immediate", "stop"]);
        // What stays is emptied before the next measurement.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn programs() -> Result<PathBuf> {
    let installed = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let newest = installed.filter(|bin| bin.join("initdb").exists()).max();
    newest.with_context(|| format!("no PostgreSQL under {DEBIAN}: install Debian's package `postgresql`"))
}

fn run(program: &Path, args: &[&str]) -> Result<()> {
    let id = Command::new("id").arg("-u").output()?;
    let mut command = if id.stdout.trim_ascii() == b"0" {
        let mut command = Command::new("runuser");
        command.args(["-u", USER, "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    // The server that `pg_ctl` starts would inherit the pipes and hold them open: they go nowhere.
    let status = command.args(args).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if !status.success() {
        bail!("{} {}: {status}. Can the user {USER} use that folder?", program.display(), args.join(" "));
    }
    Ok(())
}
