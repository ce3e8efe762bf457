//! The demo page of `--dev`: the one in the binary, or built files elsewhere, with the caching that their names allow; without either a
//! line that says how to build it.

use std::path::{Path, PathBuf};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::services::ServeDir;

use crate::embedded;

/// The page is not where it was said to be.
#[derive(Debug, thiserror::Error)]
#[error("--demo-dir: there is no index.html in {}. Build the demo with `cargo xtask demo`, or leave the flag out", .0.display())]
pub struct NoPage(PathBuf);

/// The page at `/`.
#[derive(Clone, Debug)]
pub(super) enum Page {
    /// Built files.
    Directory(PathBuf),
    /// Those that were put into this binary.
    Embedded,
    /// `--dev`, by a binary that was built without the page.
    NotBuilt,
    /// No `--dev`: no demo.
    None,
}

impl Page {
    /// The given directory, or with `--dev` what is in the binary.
    ///
    /// # Errors
    /// There is no page in the directory.
    pub(super) fn find(given: Option<PathBuf>, dev: bool) -> Result<Self, NoPage> {
        match given {
            Some(dir) if dir.join("index.html").is_file() => Ok(Self::Directory(dir)),
            Some(dir) => Err(NoPage(dir)),
            None if !dev => Ok(Self::None),
            None if embedded::PAGE.is_empty() => Ok(Self::NotBuilt),
            None => Ok(Self::Embedded),
        }
    }

    /// Whether there is a page to look at.
    pub(super) fn is_there(&self) -> bool {
        matches!(self, Self::Directory(_) | Self::Embedded)
    }

    /// Answers every path that nothing else does.
    pub(super) fn router(&self) -> Router {
        match self {
            Self::Directory(dir) => directory(dir).layer(from_fn(caching)),
            Self::Embedded => Router::new().fallback_service(get(embedded)).layer(from_fn(caching)),
            Self::NotBuilt => Router::new().route("/", get(|| async { format!("{RUNNING}{NOT_BUILT}") })),
            Self::None => Router::new().route("/", get(|| async { RUNNING })),
        }
    }
}

const RUNNING: &str = "osbackend realtime is running: WebSocket at /ws, API at /openapi.\n";
const NOT_BUILT: &str = "The demo page is not in this binary; `cargo xtask demo` builds both, and serves it.\n";

fn directory(dir: &Path) -> Router {
    Router::new().fallback_service(ServeDir::new(dir).not_found_service(get(|| async { not_found() })))
}

async fn embedded(uri: Uri, headers: HeaderMap) -> Response {
    let name = match uri.path() {
        "/" => "index.html",
        path => path.trim_start_matches('/'),
    };
    embedded::find(embedded::PAGE, name).map_or_else(|| not_found().into_response(), |file| file.answer(&headers))
}

fn not_found() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "not found\n")
}

/// Vite puts a hash of the content into the names under /assets: they never change. The page that names them may.
async fn caching(request: Request, next: Next) -> Response {
    let is_hashed = request.uri().path().starts_with("/assets/");
    let mut response = next.run(request).await;
    let found = response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
    let caching = if is_hashed && found { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
