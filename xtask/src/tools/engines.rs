//! Firefox, and WebKit as WebKitGTK has it, for the tests that every engine has to pass.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::apt;
use crate::sh::which;

/// The browsers beside Chromium.
#[derive(Debug, Clone)]
pub(crate) struct Engines {
    pub(crate) firefox: PathBuf,
    /// The WebDriver server of WebKitGTK.
    pub(crate) webkit_driver: PathBuf,
    /// The browser that it starts.
    pub(crate) webkit_browser: PathBuf,
}

const APT_PACKAGES: &[&str] = &["firefox-esr", "webkit2gtk-driver", "xvfb", "fonts-liberation"];
/// MiniBrowser is beside the library of its version, below the folder of the machine's architecture.
const LIBRARIES: &str = "/usr/lib";

/// Finds the browsers; installs them with apt where this runs as root.
pub(crate) fn ensure() -> Result<Engines> {
    if let Some(engines) = find() {
        return Ok(engines);
    }
    apt::install(
        "Firefox, WebKitGTK's WebDriver or Xvfb",
        APT_PACKAGES,
        "WebKit is tested where WebKitGTK is: install Firefox, WebKitWebDriver with MiniBrowser, and Xvfb",
    )?;
    find().context("Firefox, WebKitWebDriver, MiniBrowser and Xvfb were installed, but one of them isn't there")
}

fn find() -> Option<Engines> {
    which("Xvfb")?;
    Some(Engines {
        firefox: which("firefox-esr").or_else(|| which("firefox"))?,
        webkit_driver: which("WebKitWebDriver")?,
        webkit_browser: mini_browser(Path::new(LIBRARIES))?,
    })
}

/// The newest `…/webkit2gtk-4.1/MiniBrowser`, with the folder of the architecture between or without.
fn mini_browser(libraries: &Path) -> Option<PathBuf> {
    let folders = |of: &Path| {
        let all = of.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
        all.filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let mut found: Vec<PathBuf> = folders(libraries)
        .into_iter()
        .flat_map(|folder| [folders(&folder), vec![folder]].concat())
        .filter(|folder| folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("webkit")))
        .map(|folder| folder.join("MiniBrowser"))
        .filter(|program| program.is_file())
        .collect();
    found.sort();
    found.pop()
}

#[cfg(test)]
mod tests {
    use super::mini_browser;

    #[test]
    fn the_newest_browser_beside_a_library_of_webkit_is_found() {
        let libraries = std::env::temp_dir().join(format!("osbackend-engines-{}", std::process::id()));
        assert_eq!(mini_browser(&libraries), None);
        for folder in ["arch/webkit2gtk-4.0", "arch/webkit2gtk-4.1", "arch/other"] {
            let folder = libraries.join(folder);
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(folder.join("MiniBrowser"), "").expect("a file");
        }
        assert_eq!(mini_browser(&libraries), Some(libraries.join("arch/webkit2gtk-4.1/MiniBrowser")));
        std::fs::remove_dir_all(&libraries).expect("removed");
    }
}
