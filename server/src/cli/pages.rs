//! The demo page: built files with the caching that their names allow, or a line that says how to build them.

use std::path::{Path, PathBuf};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use tower_http::services::ServeDir;

/// Where `cargo xtask demo` builds the page, seen from the repository.
const BUILT: &str = "web-demo/dist";

/// The page is not where it was said to be.
#[derive(Debug, thiserror::Error)]
#[error("--demo-dir: there is no index.html in {}. Build the demo with `cargo xtask demo`, or leave the flag out", .0.display())]
pub struct NoPage(PathBuf);

/// The directory to serve: the given one, or the built demo of a repository that this was started in.
pub(super) fn find(given: Option<PathBuf>) -> Result<Option<PathBuf>, NoPage> {
    let is_page = |dir: &Path| dir.join("index.html").is_file();
    match given {
        Some(dir) if is_page(&dir) => Ok(Some(dir)),
        Some(dir) => Err(NoPage(dir)),
        None => Ok(Some(PathBuf::from(BUILT)).filter(|dir| is_page(dir))),
    }
}

/// Answers every path that nothing else does.
pub(super) fn router(dir: Option<&Path>) -> Router {
    match dir {
        Some(dir) => Router::new()
            .fallback_service(ServeDir::new(dir).not_found_service(get(|| async { (StatusCode::NOT_FOUND, "not found\n") })))
            .layer(from_fn(caching)),
        None => Router::new().route("/", get(|| async { HINT })),
    }
}

const HINT: &str = "osbackend realtime is running: WebSocket at /ws, API at /api/ws/status.\n\
    The demo page is not built here; `cargo xtask demo` builds and serves it.\n";

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
