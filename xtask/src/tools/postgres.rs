//! PostgreSQL's programs for the tests of the metrics, which start servers of their own.

use std::path::Path;

use anyhow::{Result, bail};

use super::apt;

/// Where Debian puts the programs that are not for everyone's PATH; the tests look there too.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Finds the programs; installs them with apt where this runs as root.
pub(crate) fn ensure() -> Result<()> {
    if is_there() {
        return Ok(());
    }
    apt::install("PostgreSQL's server", &["postgresql"], "The tests look for its programs under /usr/lib/postgresql")?;
    if !is_there() {
        bail!("PostgreSQL was installed, but there is no initdb under {DEBIAN}");
    }
    Ok(())
}

fn is_there() -> bool {
    let installed = Path::new(DEBIAN).read_dir().into_iter().flatten().flatten();
    installed.map(|version| version.path().join("bin/initdb")).any(|program| program.is_file())
}
