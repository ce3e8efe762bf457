//! The HTTP API against its document: schemathesis makes thousands of calls out of `/openapi.json`, good ones and bad ones, and looks
//! whether each answer is one that the document has.

use anyhow::{Context, Result};

use super::dev_server::DevServer;
use super::rust;
use crate::project::Project;
use crate::sh::cmd;
use crate::tools::python;

/// As a backend and as an admin: schemathesis.toml says how.
pub(super) fn schemathesis(project: &Project) -> Result<()> {
    let program = python::ensure_schemathesis(project)?;
    let server = DevServer::start(project, &rust::server(project)?)?;
    let document = format!("{}/openapi.json", server.http_url());
    for header in [format!("X-API-Key: {}", server.api_key()?), format!("Authorization: Bearer {}", server.admin_token())] {
        // In the root it finds its settings, and by them the hooks.
        let calls = cmd(&program).args(["run", &document, "--continue-on-failure", "--header", &header]).dir(&project.root);
        calls.run().with_context(|| format!("the server's log is {}", server.log().display()))?;
    }
    Ok(())
}
