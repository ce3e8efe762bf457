//! Connections to the database: TLS where it is offered, made anew when they broke. The address never reaches a log: it has a
//! password in it.

use rustls_platform_verifier::BuilderVerifierExt as _;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::sync::Mutex;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a statement may take.
const STATEMENT_TIMEOUT: &str = "30s";

/// The database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It is no address of a PostgreSQL database.
    #[error("DATABASE_URL is not allowed. Use an address such as postgres://user:password@host:5432/database")]
    Url,
    /// The file with the authorities can't be used.
    #[error("DATABASE_CA ({file}): {message}. Use a PEM file with the certificate of the database's authority")]
    Authority {
        /// The file.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// This system has no certificates to check the database's with.
    #[error("no TLS to the database: {0}")]
    Tls(String),
    /// It refused, or nobody answers.
    #[error("the database of DATABASE_URL can't be used: {}", told(.0))]
    Database(#[from] tokio_postgres::Error),
    /// Nobody answers.
    #[error("the database of DATABASE_URL did not answer within 5 s")]
    Timeout,
}

/// The cause is what tells; the library's own text is but "error connecting to server" or "db error".
pub(super) fn told(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Where the database is. `Debug` doesn't show it.
#[derive(Clone)]
pub struct DatabaseUrl {
    config: Config,
    authority: Option<Vec<u8>>,
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[database]")
    }
}

impl DatabaseUrl {
    /// Parses an address; `ca` is a PEM file whose certificates alone are trusted, instead of the system's.
    ///
    /// # Errors
    /// The address or the file can't be used.
    pub fn parse(url: &str, ca: Option<&Path>) -> Result<Self, ConnectError> {
        let mut config: Config = checked_by_us(url).parse().map_err(|_| ConnectError::Url)?;
        if config.get_hosts().is_empty() {
            return Err(ConnectError::Url);
        }
        config.connect_timeout(CONNECT_TIMEOUT).application_name("osbackend realtime");
        let read = |file: &Path| {
            std::fs::read(file)
                .map_err(|error| ConnectError::Authority { file: file.display().to_string(), message: error.to_string() })
        };
        Ok(Self { config, authority: ca.map(read).transpose()? })
    }

    fn tls(&self) -> Result<MakeRustlsConnect, ConnectError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let wrong = |error: rustls::Error| ConnectError::Tls(error.to_string());
        let builder =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(wrong)?;
        let config = match &self.authority {
            None => builder.with_platform_verifier().map_err(wrong)?.with_no_client_auth(),
            Some(pem) => {
                let wrong = |message: String| ConnectError::Authority { file: "PEM".to_owned(), message };
                let mut roots = rustls::RootCertStore::empty();
                for certificate in rustls::pki_types::pem::PemObject::pem_slice_iter(pem) {
                    roots
                        .add(certificate.map_err(|error| wrong(format!("{error:?}")))?)
                        .map_err(|error| wrong(error.to_string()))?;
                }
                if roots.is_empty() {
                    return Err(wrong("there is no certificate in it".to_owned()));
                }
                builder.with_root_certificates(roots).with_no_client_auth()
            }
        };
        Ok(MakeRustlsConnect::new(config))
    }
}

/// `sslmode=verify-ca` and `verify-full` are unknown to the library, which leaves the certificate to us: it is always checked.
fn checked_by_us(url: &str) -> String {
    let Some((address, settings)) = url.split_once('?') else { return url.to_owned() };
    let settings = settings.split('&').map(|setting| match setting {
        "sslmode=verify-ca" | "sslmode=verify-full" => "sslmode=require",
        other => other,
    });
    format!("{address}?{}", settings.collect::<Vec<_>>().join("&"))
}

/// A connection: PostgreSQL's protocol takes many statements at once.
pub(super) struct Connections {
    config: Config,
    tls: MakeRustlsConnect,
    current: Mutex<Option<Arc<Client>>>,
}

impl Connections {
    pub(super) fn new(url: &DatabaseUrl) -> Result<Self, ConnectError> {
        Ok(Self { config: url.config.clone(), tls: url.tls()?, current: Mutex::new(None) })
    }

    /// The connection, made anew where it broke.
    pub(super) async fn get(&self) -> Result<Arc<Client>, ConnectError> {
        let mut current = self.current.lock().await;
        if let Some(client) = current.as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        let connecting = self.config.connect(self.tls.clone());
        let (client, connection) =
            tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| ConnectError::Timeout)??;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!(error = told(&error), "the connection to the metrics database broke");
            }
        });
        // Statements of some milliseconds: compiling one, as is done where many rows are expected, takes a second.
        client.batch_execute(&format!("SET statement_timeout = '{STATEMENT_TIMEOUT}'; SET jit = off")).await?;
        let client = Arc::new(client);
        *current = Some(client.clone());
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_checked_and_never_shown() {
        let url = DatabaseUrl::parse("postgres://ada:hunter2@localhost/metrics", None).unwrap();
        assert!(!format!("{url:?}").contains("hunter2"));
        for mode in ["verify-full", "verify-ca", "require"] {
            let url = format!("postgres://ada@localhost/metrics?application_name=a&sslmode={mode}");
            let config = DatabaseUrl::parse(&url, None).unwrap().config;
            assert_eq!(config.get_ssl_mode(), tokio_postgres::config::SslMode::Require, "{mode}");
        }
        for bad in ["", "mysql://localhost/x", "postgres://localhost:port/x", "postgres:///"] {
            let error = DatabaseUrl::parse(bad, None).unwrap_err().to_string();
            assert!(error.contains("DATABASE_URL"), "{bad}: {error}");
        }
        let error = DatabaseUrl::parse("postgres://localhost/x", Some(Path::new("/no/such.pem"))).unwrap_err().to_string();
        assert!(error.contains("/no/such.pem") && error.contains("DATABASE_CA"), "{error}");
    }
}
