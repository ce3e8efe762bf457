//! Files in the binary, which build.rs put there compressed: they are answered so, or unpacked for who takes no gzip.

use std::io::Read as _;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;

/// Swagger UI, for `/openapi`.
pub(crate) static VIEWER: &[File] = include!(concat!(env!("OUT_DIR"), "/viewer.rs"));
/// The demo's page; empty where it was not built before the binary.
pub(crate) static PAGE: &[File] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// One file.
pub(crate) struct File {
    /// Its path, with `/`.
    name: &'static str,
    gzip: &'static [u8],
}

/// The file of this path among `files`.
pub(crate) fn find(files: &'static [File], path: &str) -> Option<&'static File> {
    files.iter().find(|file| file.name == path)
}

impl File {
    /// The answer to a request with these headers; how long it is good, is the caller's to say.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Response {
        let tag = self.tag();
        let common: [(HeaderName, String); 3] = [
            (header::ETAG, tag.clone()),
            (header::VARY, "accept-encoding".to_owned()),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        ];
        if has(headers, &header::IF_NONE_MATCH, |known| known.trim_start_matches("W/") == tag) {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        let kind = mime_guess::from_path(self.name).first_or_octet_stream();
        // With HTML, which says so itself, a charset does no harm.
        let kind = if kind.type_() == "text" { format!("{kind}; charset=utf-8") } else { kind.to_string() };
        let kind = [(header::CONTENT_TYPE, kind)];
        if has(headers, &header::ACCEPT_ENCODING, takes_gzip) {
            return (common, kind, [(header::CONTENT_ENCODING, "gzip")], Body::from(self.gzip)).into_response();
        }
        let mut bytes = Vec::new();
        match GzDecoder::new(self.gzip).read_to_end(&mut bytes) {
            Ok(_) => (common, kind, bytes).into_response(),
            Err(error) => {
                tracing::error!(%error, file = self.name, "a file of the binary can't be unpacked");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }

    /// By what gzip ends with: checksum and length of the content.
    fn tag(&self) -> String {
        let end = self.gzip.last_chunk::<8>().map_or(0, |end| u64::from_be_bytes(*end));
        format!("\"{end:016x}\"")
    }
}

/// Whether one of the header's entries is such.
fn has(headers: &HeaderMap, name: &HeaderName, is_such: impl Fn(&str) -> bool) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| is_such(one.trim()))
}

/// Of one entry of `Accept-Encoding`: `gzip`, and not `gzip;q=0`.
fn takes_gzip(entry: &str) -> bool {
    let mut parts = entry.split(';').map(str::trim);
    let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
    is_gzip && !parts.any(|part| part.strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn the_viewer_is_there_packed_for_who_takes_it_and_unchanged_for_who_has_it() {
        let css = find(VIEWER, "swagger-ui.css").unwrap();
        assert!(find(VIEWER, "swagger-ui-bundle.js").is_some() && find(VIEWER, "../swagger-ui.css").is_none());
        let plain = css.answer(&HeaderMap::new());
        assert_eq!(plain.headers()[header::CONTENT_TYPE], "text/css; charset=utf-8");
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
        for (entry, packed) in [("br, gzip", true), ("GZIP;q=0.5", true), ("gzip;q=0", false), ("br", false)] {
            let answer = css.answer(&headers(header::ACCEPT_ENCODING, entry));
            assert_eq!(answer.headers().contains_key(header::CONTENT_ENCODING), packed, "{entry}");
        }
        let tag = plain.headers()[header::ETAG].to_str().unwrap().to_owned();
        for known in [tag.clone(), format!("\"a\", W/{tag}")] {
            assert_eq!(css.answer(&headers(header::IF_NONE_MATCH, &known)).status(), StatusCode::NOT_MODIFIED, "{known}");
        }
        assert_eq!(css.answer(&headers(header::IF_NONE_MATCH, "\"0\"")).status(), StatusCode::OK);
    }
}
