//! TLS of every listener: the certificate of `TLS_CERT` and `TLS_KEY`, exchanged while the server runs when the files change.
//!
//! The files are compared by content every few seconds, and at once on SIGHUP. What can't be used is logged, once, and the
//! certificate that is held goes on. Connections that are there keep what they were opened with.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::Listen;

/// Between two looks at the files.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// Why there is no TLS although it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One setting without the other.
    #[error("{set} is set, but {missing} is not: TLS needs both. Set {missing} too, or neither for plain connections")]
    OnlyOne {
        /// The setting that is there.
        set: &'static str,
        /// The one that isn't.
        missing: &'static str,
    },
    /// A file can't be read.
    #[error("{variable}: can't read {}: {source}", .path.display())]
    Unreadable {
        /// The setting.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{variable}: {} holds no {wanted} in PEM form: {reason}", .path.display())]
    NotPem {
        /// The setting.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// What should be in it.
        wanted: &'static str,
        /// What was found. Never of the content.
        reason: String,
    },
    /// Key and certificate don't belong together, or are of a kind that isn't supported.
    #[error("TLS_CERT and TLS_KEY can't be used together: {0}. The key must be the certificate's own")]
    Unusable(rustls::Error),
    /// The TLS library has no protocol version in common with its own defaults.
    #[error("TLS can't be set up: {0}")]
    Setup(rustls::Error),
}

impl TlsError {
    /// Whether a setting is to blame.
    pub(crate) fn is_usage(&self) -> bool {
        !matches!(self, Self::Setup(_))
    }
}

/// TLS with a certificate that can be exchanged; clones share it.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    held: Arc<Held>,
}

/// Not the key.
impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("cert", &self.held.cert).finish_non_exhaustive()
    }
}

/// What became of the look at the files.
#[derive(Debug)]
pub enum Reloaded {
    /// Nothing is new.
    Unchanged,
    /// New connections get the new certificate.
    Exchanged,
    /// What is there now can't be used: the certificate that was held goes on.
    Kept(TlsError),
}

struct Held {
    cert: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: Mutex<Current>,
}

struct Current {
    certified: Arc<CertifiedKey>,
    /// The content that was last looked at, good or bad: a bad one is logged once. `None`: it couldn't be read.
    seen: Option<Files>,
}

#[derive(PartialEq, Eq)]
struct Files {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Tls {
    /// TLS as the settings ask for it; `None` where they don't.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn from_config(listen: &Listen) -> Result<Option<Self>, TlsError> {
        match (&listen.tls_cert, &listen.tls_key) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(TlsError::OnlyOne { set: "TLS_CERT", missing: "TLS_KEY" }),
            (None, Some(_)) => Err(TlsError::OnlyOne { set: "TLS_KEY", missing: "TLS_CERT" }),
            (Some(cert), Some(key)) => Self::load(cert, key).map(Some),
        }
    }

    fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let files = Files::read(cert, key)?;
        let certified = Arc::new(files.certified(cert, key, &provider)?);
        let held = Arc::new(Held {
            cert: cert.to_owned(),
            key: key.to_owned(),
            provider: provider.clone(),
            current: Mutex::new(Current { certified, seen: Some(files) }),
        });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(held.clone())));
        // A WebSocket needs HTTP/1.1, and this server speaks nothing else.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), held })
    }

    pub(super) async fn accept(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(socket).await
    }

    /// Looks at the files, and takes over what is new in them. Reads them: not for a task that must not block.
    pub fn reload(&self) -> Reloaded {
        let Held { cert, key, provider, current } = &*self.held;
        let files = match Files::read(cert, key) {
            Ok(files) => files,
            Err(error) => {
                let was_readable = current.lock().seen.take().is_some();
                return if was_readable { Reloaded::Kept(error) } else { Reloaded::Unchanged };
            }
        };
        if current.lock().seen.as_ref() == Some(&files) {
            return Reloaded::Unchanged;
        }
        let certified = files.certified(cert, key, provider);
        let mut current = current.lock();
        current.seen = Some(files);
        match certified {
            Ok(certified) => {
                current.certified = Arc::new(certified);
                Reloaded::Exchanged
            }
            Err(error) => Reloaded::Kept(error),
        }
    }

    /// Looks at the files every `period` and on SIGHUP, until `stop` is sent or dropped.
    pub(super) async fn watch(self, period: Duration, mut stop: watch::Receiver<()>) {
        let mut hangup = signal(SignalKind::hangup()).ok();
        let mut tick = tokio::time::interval(period);
        loop {
            let asked = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = tick.tick() => {}
                _ = asked => {}
                _ = stop.changed() => return,
            }
            let tls = self.clone();
            match tokio::task::spawn_blocking(move || tls.reload()).await {
                Ok(Reloaded::Exchanged) => {
                    tracing::info!("the files of TLS_CERT and TLS_KEY changed: new connections get the new certificate")
                }
                Ok(Reloaded::Kept(error)) => {
                    tracing::error!(%error, "the new TLS files can't be used: the old certificate goes on")
                }
                Ok(Reloaded::Unchanged) | Err(_) => {}
            }
        }
    }
}

impl Files {
    fn read(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let read = |variable, path: &Path| {
            std::fs::read(path).map_err(|source| TlsError::Unreadable { variable, path: path.to_owned(), source })
        };
        Ok(Self { cert: read("TLS_CERT", cert)?, key: read("TLS_KEY", key)? })
    }

    fn certified(&self, cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let bad = |variable, path: &Path, wanted| {
            let path = path.to_owned();
            move |error: pem::Error| TlsError::NotPem { variable, path, wanted, reason: plain(&error).to_owned() }
        };
        let no_cert = || bad("TLS_CERT", cert, "certificate");
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.cert).collect::<Result<_, _>>().map_err(no_cert())?;
        if chain.is_empty() {
            return Err(no_cert()(pem::Error::NoItemsFound));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(bad("TLS_KEY", key, "private key"))?;
        CertifiedKey::from_der(chain, key, provider).map_err(TlsError::Unusable)
    }
}

/// The kind of error without what the file holds.
fn plain(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::NoItemsFound => "nothing of that kind is in it",
        pem::Error::MissingSectionEnd { .. } => "it ends in the middle",
        pem::Error::Base64Decode(_) => "its base64 is broken",
        _ => "it is malformed",
    }
}

struct Resolver(Arc<Held>);

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current.lock().certified.clone())
    }
}
