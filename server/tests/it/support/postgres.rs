//! A PostgreSQL server of the tests' own: Debian's program, an empty folder, a free port; stopped when dropped.

use std::{
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Where Debian puts the programs that are not for everyone's PATH.
const DEBIAN: &str = "/usr/lib/postgresql";
/// PostgreSQL refuses to run as root; Debian's package makes this user.
const USER: &str = "postgres";

pub(crate) struct Postgres {
    dir: PathBuf,
    programs: PathBuf,
    port: u16,
}

impl Postgres {
    /// Starts a server, and returns when it answers.
    pub(crate) fn start() -> Self {
        let programs = programs();
        let dir = std::env::temp_dir().join(format!("osbackend-postgres-{}-{}", std::process::id(), free_port()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o777)).unwrap();
        let data = dir.join("data");
        let data = data.to_str().unwrap();
        done(run(&programs.join("initdb"), &["-D", data, "-U", "osbackend", "--auth=trust", "--no-sync", "--encoding=UTF8"]));
        for _ in 0..5 {
            // Another program may take the port in between: then the next is tried.
            let port = free_port();
            let options = format!("-p {port} -c listen_addresses=127.0.0.1 -c fsync=off -c unix_socket_directories=''");
            let log = dir.join("log");
            let started = run(
                &programs.join("pg_ctl"),
                &["-D", data, "-o", &options, "-l", log.to_str().unwrap(), "-w", "-t", "60", "start"],
            );
            if started.status.success() {
                return Self { dir, programs, port };
            }
        }
        panic!("PostgreSQL did not start: {}", std::fs::read_to_string(dir.join("log")).unwrap_or_default());
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://osbackend@127.0.0.1:{}/postgres", self.port)
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap()
    }

    /// Stops it at once, as a crash would; [`Self::resume`] starts it again on its port.
    pub(crate) fn crash(&self) {
        self.control(&["-m", "immediate", "stop"]);
    }

    pub(crate) fn resume(&self) {
        let until = Instant::now() + Duration::from_secs(30);
        let options = format!("-p {} -c listen_addresses=127.0.0.1 -c fsync=off -c unix_socket_directories=''", self.port);
        let log = self.dir.join("log");
        while !self.control(&["-o", &options, "-l", log.to_str().unwrap(), "-w", "start"]) {
            assert!(Instant::now() < until, "PostgreSQL did not come back");
        }
    }

    fn control(&self, what: &[&str]) -> bool {
        let data = self.dir.join("data");
        let args = [&["-D", data.to_str().unwrap()], what].concat();
        run(&self.programs.join("pg_ctl"), &args).status.success()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.control(&["-m", "immediate", "stop"]);
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn programs() -> PathBuf {
    let installed = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let newest = installed.filter(|bin| bin.join("initdb").exists()).max();
    newest
        .unwrap_or_else(|| panic!("no PostgreSQL under {DEBIAN}: install Debian's package `postgresql` (cargo xtask test does)"))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

fn run(program: &Path, args: &[&str]) -> Output {
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", USER, "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    // The server that `pg_ctl` starts would inherit the pipes and hold them open: they go nowhere.
    command.args(args).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Output { status: command.status().unwrap(), stdout: Vec::new(), stderr: Vec::new() }
}

fn done(output: Output) {
    assert!(output.status.success(), "{output:?}");
}
