//! Asks an issuer over HTTP: bounded in time and bytes, and without following redirects, which would carry a token elsewhere.

use std::time::Duration;

use axum::http::HeaderMap;

/// How long making the connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The HTTP client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("outgoing HTTPS can't be set up: {0}. Is a package of CA certificates installed?")]
pub struct HttpSetupError(reqwest::Error);

/// Why there is no answer. Nothing of what was sent is in it.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("it could not be asked: {0}")]
    Http(reqwest::Error),
    #[error("it answered with status {0}")]
    Status(u16),
    #[error("its answer is over {0} bytes")]
    TooLarge(usize),
    #[error("its answer is not what was expected: {0}")]
    Nonsense(serde_json::Error),
}

/// An answer of any status.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// A client; clones share its connections.
#[derive(Clone)]
pub(super) struct Http(reqwest::Client);

impl Http {
    /// `timeout` bounds a whole request.
    pub(super) fn new(timeout: Duration) -> Result<Self, HttpSetupError> {
        let client = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("osbackend/", env!("CARGO_PKG_VERSION")));
        client.build().map(Self).map_err(HttpSetupError)
    }

    pub(super) async fn get(&self, url: &str, headers: HeaderMap, max_bytes: usize) -> Result<Answer, FetchError> {
        let http = |error: reqwest::Error| FetchError::Http(error.without_url());
        let mut response = self.0.get(url).headers(headers).send().await.map_err(http)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(http)? {
            if body.len() + chunk.len() > max_bytes {
                return Err(FetchError::TooLarge(max_bytes));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: response.status().as_u16(), body })
    }
}
