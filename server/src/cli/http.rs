//! The client of the HTTP API (docs/PROTOCOL.md §9), with errors that say what to do.

use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

/// Longer than any call of §9 takes.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Who calls.
#[derive(Clone)]
pub(super) enum Credential {
    Token(String),
    ApiKey(String),
}

/// The API of one server.
#[derive(Clone)]
pub(super) struct Api {
    client: reqwest::Client,
    base: Url,
    credential: Option<Credential>,
}

/// A call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("can't reach {url}: {reason}. Is the server running? Another address: --url or OSBACKEND_URL")]
    Unreachable { url: String, reason: String },
    #[error("{url} answered HTTP {status} with something that is not osbackend's. Check --url")]
    NotOurs { url: String, status: StatusCode },
    #[error(transparent)]
    Refused(Refusal),
}

/// The server's own error: `{error: {code, message}}`.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
    /// The field that is wrong, such as `[2].data.progress`.
    pub(super) path: Option<String>,
    /// When to try again, where the server says so.
    pub(super) retry_after: Option<Duration>,
    /// Whether anyone was named in the call.
    named: bool,
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.status {
            StatusCode::UNAUTHORIZED if !self.named => {
                f.write_str(". Give a token with --token or OSBACKEND_TOKEN, or an API key with --api-key or OSBACKEND_API_KEY")
            }
            StatusCode::UNAUTHORIZED => f.write_str(". `osbackend token` makes one where you have the server's JWT_SECRET"),
            StatusCode::FORBIDDEN => f.write_str(". `osbackend token --role admin` makes such a token; an API key does as well"),
            _ => Ok(()),
        }
    }
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    message: String,
    #[serde(default)]
    path: Option<String>,
}

impl Api {
    pub(super) fn new(base: Url, roots: Option<&[u8]>) -> Result<Self, reqwest::Error> {
        // No redirects: a token must not travel to another host.
        let mut builder = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = roots {
            for certificate in Certificate::from_pem_bundle(pem)? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        Ok(Self { client: builder.build()?, base, credential: None })
    }

    pub(super) fn with(self, credential: Credential) -> Self {
        Self { credential: Some(credential), ..self }
    }

    /// Whether calls are made in anyone's name.
    pub(super) fn is_named(&self) -> bool {
        self.credential.is_some()
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, CallError> {
        self.call(Method::GET, path, None).await
    }

    /// Posts a body of JSON text.
    pub(super) async fn post(&self, path: &str, body: String) -> Result<Value, CallError> {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<String>) -> Result<Value, CallError> {
        let base = &self.base;
        let unreachable = |error: &dyn std::error::Error| CallError::Unreachable { url: base.to_string(), reason: cause(error) };
        let url = self.base.join(path).map_err(|error| unreachable(&error))?;
        let mut request = self.client.request(method, url);
        request = match &self.credential {
            Some(Credential::Token(token)) => request.bearer_auth(token),
            Some(Credential::ApiKey(key)) => request.header("x-api-key", key),
            None => request,
        };
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let response = request.send().await.map_err(|error| unreachable(&error))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let text = response.text().await.map_err(|error| unreachable(&error))?;
        let not_ours = || CallError::NotOurs { url: base.to_string(), status };
        if status.is_success() {
            return serde_json::from_str(&text).map_err(|_| not_ours());
        }
        let ErrorAnswer { error } = serde_json::from_str(&text).map_err(|_| not_ours())?;
        let (message, path, named) = (error.message, error.path, self.is_named());
        Err(CallError::Refused(Refusal { status, message, path, retry_after, named }))
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// The innermost reason: the outer ones repeat the address.
pub(super) fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    // What rustls says of an answer that is no TLS.
    if text.contains("InvalidContentType") { "the server doesn't speak TLS there: use http:// or ws://".to_owned() } else { text }
}
