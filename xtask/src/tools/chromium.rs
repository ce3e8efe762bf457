//! Chromium and its driver for the browser tests.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::apt;
use crate::sh::{cmd, which};

/// A browser and the WebDriver server of the same version.
#[derive(Debug, Clone)]
pub(crate) struct Browser {
    pub(crate) chrome: PathBuf,
    pub(crate) driver: PathBuf,
}

const CHROMES: &[&str] = &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
const MAC_CHROMES: &[&str] =
    &["/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium"];
// Without any font pages have no text; the browser's package only recommends them.
const APT_PACKAGES: &[&str] = &["chromium", "chromium-driver", "fonts-liberation"];

/// Finds the browser and its driver; installs them with apt where this runs as root.
pub(crate) fn ensure() -> Result<Browser> {
    if let Some(browser) = find()? {
        return Ok(browser);
    }
    apt::install(
        "Chromium or its driver",
        APT_PACKAGES,
        "Install Chromium (or Chrome) and the `chromedriver` of the same version and put both on PATH, or name them: \
         CHROME=… CHROMEDRIVER=… cargo xtask test",
    )?;
    find()?.context("Chromium was installed, but it is not on PATH")
}

/// Whether Chromium's own sandbox must be off: it refuses to start as root.
pub(crate) fn needs_no_sandbox() -> bool {
    apt::is_root()
}

fn find() -> Result<Option<Browser>> {
    let chrome = match named("CHROME")? {
        Some(path) => Some(path),
        None => CHROMES
            .iter()
            .find_map(|name| which(name))
            .or_else(|| MAC_CHROMES.iter().map(PathBuf::from).find(|path| path.is_file())),
    };
    let driver = match named("CHROMEDRIVER")? {
        Some(path) => Some(path),
        None => which("chromedriver"),
    };
    let (Some(chrome), Some(driver)) = (chrome, driver) else {
        return Ok(None);
    };
    check_versions(&chrome, &driver)?;
    Ok(Some(Browser { chrome, driver }))
}

fn named(variable: &str) -> Result<Option<PathBuf>> {
    let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let path = PathBuf::from(value);
    if !path.is_file() {
        bail!("{variable} names {}, and there is no such file", path.display());
    }
    Ok(Some(path))
}

fn check_versions(chrome: &Path, driver: &Path) -> Result<()> {
    let browser = major_of(chrome)?;
    let served = major_of(driver)?;
    if browser != served {
        bail!(
            "{} is version {browser} but {} is for version {served}: install the matching driver, or name another pair \
             by CHROME=… CHROMEDRIVER=…",
            chrome.display(),
            driver.display()
        );
    }
    Ok(())
}

fn major_of(program: &Path) -> Result<u32> {
    let output = cmd(program).arg("--version").read()?;
    parse_major(&output).with_context(|| format!("cannot read a version from `{} --version`: {output:?}", program.display()))
}

fn parse_major(output: &str) -> Option<u32> {
    output.split_whitespace().filter(|word| word.contains('.')).find_map(|word| word.split('.').next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::parse_major;

    #[test]
    fn the_major_version_is_read_from_either_program() {
        assert_eq!(parse_major("Chromium 156.0.8078.79 built on Debian GNU/Linux 12 (bookworm)\n"), Some(156));
        assert_eq!(parse_major("ChromeDriver 156.0.8078.79 (a21ce95-refs/branch-heads/8078@{#1704})\n"), Some(156));
        assert_eq!(parse_major("no version here"), None);
    }
}
