//! `/openapi.json`, the description of this API for programs, and `/openapi`, Swagger UI showing it to people.
//!
//! The document is kept by hand in `openapi.json`; tests compare it with the router's table and with real answers. The page needs nothing
//! from elsewhere: no script, font or style of another host.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::limits::Anyone;
use crate::embedded::{VIEWER, find};

const DOCUMENT: &str = include_str!("openapi/openapi.json");
const PAGE: &str = include_str!("openapi/page.html");
const SCRIPT: &str = include_str!("openapi/page.js");

/// As the file has it, with the version of this server.
static VERSIONED: LazyLock<String> =
    LazyLock::new(|| DOCUMENT.replacen("\"version\": \"0.0.0\"", concat!("\"version\": \"", env!("CARGO_PKG_VERSION"), "\""), 1));

/// The page runs its own scripts and speaks to its own server, nothing else. React sets styles in attributes, and icons are `data:`.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const NO_SNIFF: (HeaderName, &str) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");

pub(super) async fn document(_: Anyone) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json"), NO_SNIFF], VERSIONED.as_str())
}

pub(super) async fn page(_: Anyone) -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, PAGE_POLICY), NO_SNIFF];
    (headers, PAGE)
}

pub(super) async fn script(_: Anyone) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), NO_SNIFF], SCRIPT)
}

pub(super) async fn viewer_script(_: Anyone, headers: HeaderMap) -> Response {
    viewer("swagger-ui-bundle.js", &headers)
}

pub(super) async fn viewer_style(_: Anyone, headers: HeaderMap) -> Response {
    viewer("swagger-ui.css", &headers)
}

/// Asked for again each time, and answered without its bytes where the browser has them.
fn viewer(name: &str, headers: &HeaderMap) -> Response {
    // build.rs fails without it.
    let mut answer = find(VIEWER, name).map(|file| file.answer(headers)).unwrap_or_default();
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    /// The calls without a line in the document: the page and the files that it loads.
    const BESIDE: [&str; 4] = ["/openapi", "/openapi/page.js", "/openapi/swagger-ui-bundle.js", "/openapi/swagger-ui.css"];

    #[test]
    fn the_document_has_the_calls_of_the_router_and_no_other() {
        let document: Value = serde_json::from_str(&VERSIONED).unwrap();
        let mut documented = BTreeSet::new();
        let (mut ids, tags) = (BTreeSet::new(), document["tags"].as_array().unwrap());
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters") {
                documented.insert((method.clone(), path.clone()));
                // A page leaves out one of two calls of the same name, and what is under no heading of its own.
                assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{method} {path} has another's operationId");
                let tag = &operation["tags"][0];
                assert!(tags.iter().any(|known| known["name"] == *tag), "{method} {path}: {tag} is no tag of the document");
            }
        }
        let mut routed: BTreeSet<_> =
            super::super::calls().iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
        // Not in the table: it may be elsewhere.
        routed.insert(("get".to_owned(), "/metrics".to_owned()));
        for path in BESIDE {
            assert!(routed.remove(&("get".to_owned(), path.to_owned())));
        }
        assert_eq!(documented, routed);
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        for text in [PAGE, SCRIPT] {
            assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("src=\"//"), "{text}");
        }
    }
}
