//! Connections to the database: TLS where it is offered, made anew when they broke. The address never reaches a log: it has a
//! password in it.

use parking_lot::Mutex;
use rustls_platform_verifier::BuilderVerifierExt as _;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::{CancelToken, Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Begins a transaction with what holds in it alone: a pooler gives the connection to others after it, and they must not find our
/// settings. Statements take some milliseconds: compiling one, as is done where many rows are expected, would take a second.
pub(super) const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = '30s'; SET LOCAL jit = off";
/// As [`BEGIN`], for what only reads: all of it sees the database at one time.
const BEGIN_READING: &str =
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '30s'; SET LOCAL jit = off";

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
    /// The tables can't be made or taken over.
    #[error("the database of DATABASE_URL: {0}")]
    Schema(#[from] super::schema::SchemaError),
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

/// Connections that are made when they are needed, and anew where they broke.
pub(super) struct Connections {
    config: Config,
    tls: MakeRustlsConnect,
    turns: Arc<Semaphore>,
    free: Mutex<Vec<Client>>,
}

impl Connections {
    /// No more than `most` at once; who wants another waits.
    pub(super) fn new(url: &DatabaseUrl, most: usize) -> Result<Arc<Self>, ConnectError> {
        let (config, tls, turns) = (url.config.clone(), url.tls()?, Arc::new(Semaphore::new(most)));
        Ok(Arc::new(Self { config, tls, turns, free: Mutex::default() }))
    }

    /// A connection for the caller alone.
    pub(super) async fn get(self: &Arc<Self>) -> Result<Taken, ConnectError> {
        // Never closed: the semaphore lives as long as this.
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| ConnectError::Timeout)?;
        let kept = loop {
            match self.free.lock().pop() {
                Some(client) if client.is_closed() => {}
                kept => break kept,
            }
        };
        let client = match kept {
            Some(client) => client,
            None => self.connect().await?,
        };
        Ok(Taken { client, turn, of: self.clone() })
    }

    async fn connect(&self) -> Result<Client, ConnectError> {
        let connecting = self.config.connect(self.tls.clone());
        let (client, connection) =
            tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| ConnectError::Timeout)??;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!(error = told(&error), "the connection to the metrics database broke");
            }
        });
        Ok(client)
    }
}

/// A connection that nobody else uses. Dropped, it is closed: who went away in the middle of a transaction leaves none behind.
pub(super) struct Taken {
    client: Client,
    turn: OwnedSemaphorePermit,
    of: Arc<Connections>,
}

impl Taken {
    /// Begins a transaction that only reads.
    pub(super) async fn reading(self) -> Result<Self, ConnectError> {
        self.client.batch_execute(BEGIN_READING).await?;
        Ok(self)
    }

    /// Ends the transaction of [`Self::reading`], and leaves the connection to the next.
    pub(super) async fn done(self) -> Result<(), ConnectError> {
        self.client.batch_execute("COMMIT").await?;
        self.free();
        Ok(())
    }

    /// Cancels what runs here when it is dropped, unless it was told before that nothing does. Nobody else uses the connection, so
    /// that nothing else is cancelled.
    pub(super) fn cancel_unless_done(&self) -> Cancel {
        Cancel { what: Some((self.client.cancel_token(), self.of.tls.clone())) }
    }

    /// Leaves the connection to the next: no transaction is open.
    pub(super) fn free(self) {
        self.of.free.lock().push(self.client);
        drop(self.turn);
    }
}

/// See [`Taken::cancel_unless_done`].
pub(super) struct Cancel {
    what: Option<(CancelToken, MakeRustlsConnect)>,
}

impl Cancel {
    /// Nothing runs any more.
    pub(super) fn done(mut self) {
        self.what = None;
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        let (Some((token, tls)), Ok(runtime)) = (self.what.take(), tokio::runtime::Handle::try_current()) else { return };
        runtime.spawn(async move {
            if let Err(error) = token.cancel_query(tls).await {
                // Its statement then ends by its own limit of time.
                tracing::debug!(error = told(&error), "a question that nobody waits for could not be cancelled");
            }
        });
    }
}

impl std::ops::Deref for Taken {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
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
