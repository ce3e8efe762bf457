//! Running other programs: one place that prints what runs, fixes the environment and words the failure.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::tools;

/// A program with its arguments, ready to run.
#[derive(Debug)]
pub(crate) struct Cmd {
    inner: Command,
    shown: String,
}

/// Starts to describe a program; the folder of the tools that were installed for the project comes first on its PATH.
pub(crate) fn cmd(program: impl AsRef<OsStr>) -> Cmd {
    let program = program.as_ref();
    // On Windows npm and npx are batch files, which `Command` finds only by their full name.
    let resolved: OsString = if cfg!(windows) && (program == "npm" || program == "npx") {
        format!("{}.cmd", program.to_string_lossy()).into()
    } else {
        program.to_owned()
    };
    let mut inner = Command::new(resolved);
    inner.env("PATH", search_path());
    // What `cargo run` told xtask about itself must not reach the builds inside: build scripts that
    // watch these variables would run again whenever they are started another way.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_about_this_crate) {
            inner.env_remove(name);
        }
    }
    let shown = Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned();
    Cmd { inner, shown }
}

impl Cmd {
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.shown.push(' ');
        self.shown.push_str(&arg.as_ref().to_string_lossy());
        self.inner.arg(arg);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(self, args: impl IntoIterator<Item = S>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    pub(crate) fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.inner.current_dir(dir);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.inner.env(name, value);
        self
    }

    pub(crate) fn env_remove(mut self, name: &str) -> Self {
        self.inner.env_remove(name);
        self
    }

    /// Runs it with its output shown; an exit status other than 0 is an error.
    pub(crate) fn run(mut self) -> Result<()> {
        eprintln!("$ {}", self.shown);
        let status = self.inner.status().with_context(|| cannot_start(&self.shown))?;
        if !status.success() {
            bail!("`{}` failed ({status})", self.shown);
        }
        Ok(())
    }

    /// Runs it and returns what it wrote to stdout; stderr is shown.
    pub(crate) fn read_shown(mut self) -> Result<String> {
        eprintln!("$ {}", self.shown);
        self.inner.stderr(Stdio::inherit());
        self.read()
    }

    /// Runs it quietly and returns what it wrote to stdout.
    pub(crate) fn read(mut self) -> Result<String> {
        let output = self.inner.stdin(Stdio::null()).output().with_context(|| cannot_start(&self.shown))?;
        if !output.status.success() {
            bail!("`{}` failed ({})\n{}", self.shown, output.status, String::from_utf8_lossy(&output.stderr).trim_end());
        }
        String::from_utf8(output.stdout).with_context(|| format!("`{}` did not write UTF-8", self.shown))
    }

    /// The command itself, for those who keep the process.
    pub(crate) fn into_inner(self) -> Command {
        eprintln!("$ {}", self.shown);
        self.inner
    }

    /// As [`Self::into_inner`], without a word.
    pub(crate) fn into_inner_quietly(self) -> Command {
        self.inner
    }
}

/// Finds a program on the same PATH that the commands get.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let name = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&search_path()).map(|dir| dir.join(&name)).find(|path| path.is_file())
}

fn search_path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(own) = tools::bin_dir() else {
        return path;
    };
    let dirs = std::iter::once(own).chain(std::env::split_paths(&path));
    // Fails only where a folder's name contains the separator: then the PATH stays as it was.
    std::env::join_paths(dirs).unwrap_or(path)
}

fn is_about_this_crate(name: &str) -> bool {
    name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_BIN_")
        || matches!(name, "CARGO_MANIFEST_DIR" | "CARGO_MANIFEST_PATH" | "CARGO_CRATE_NAME" | "CARGO_PRIMARY_PACKAGE" | "OUT_DIR")
}

fn cannot_start(shown: &str) -> String {
    let program = shown.split(' ').next().unwrap_or(shown);
    format!("cannot start `{program}`: is it installed and on PATH?")
}

#[cfg(test)]
mod tests {
    use super::{cmd, is_about_this_crate};

    #[test]
    fn only_variables_about_xtask_are_withheld() {
        assert!(is_about_this_crate("CARGO_PKG_NAME"));
        assert!(is_about_this_crate("CARGO_MANIFEST_DIR"));
        assert!(!is_about_this_crate("CARGO_TARGET_DIR"));
        assert!(!is_about_this_crate("CARGO_HOME"));
    }

    #[test]
    fn a_failing_program_is_an_error_that_names_it() {
        let error = cmd("cargo").arg("no-such-subcommand-of-cargo").read().expect_err("must fail");
        assert!(error.to_string().contains("cargo no-such-subcommand-of-cargo"), "{error}");
    }

    #[test]
    fn a_missing_program_says_what_to_check() {
        let error = cmd("osbackend-no-such-program").read().expect_err("must fail");
        assert!(error.to_string().contains("is it installed and on PATH?"), "{error}");
    }
}
