//! A start that waits for the data directory (`WAIT_FOR_DATA_DIR`): the ports answer already, that they can't serve yet.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use osbackend_protocol::ErrorCode;
use tower::ServiceExt as _;

use super::listen::Routers;
use crate::engine::sqlite::OpenError;
use crate::realtime::BuildError;
use crate::storage::StorageError;

/// Between two attempts to take the directory: what a deployment is longer for.
const LOOK: Duration = Duration::from_millis(20);

/// Tries `build` again for as long as another process has the data directory, `most` at most.
pub(super) async fn until_free<T>(most: Duration, mut build: impl FnMut() -> Result<T, BuildError>) -> Result<T, BuildError> {
    let began = Instant::now();
    let mut tick = tokio::time::interval(LOOK);
    loop {
        tick.tick().await;
        match build() {
            Err(error) if is_in_use(&error) && began.elapsed() < most => {}
            other => return other,
        }
    }
}

/// Whether another process has the data directory.
pub(super) fn is_in_use(error: &BuildError) -> bool {
    matches!(error, BuildError::Storage(StorageError::Data(OpenError::InUse { .. })))
}

/// Routers that are not there yet; clones share them.
#[derive(Clone, Default)]
pub(super) struct Late {
    routers: Arc<OnceLock<Routers>>,
}

/// Which of them.
type Which = fn(&Routers) -> &Router;

impl Late {
    /// Routers that pass on to those of [`Self::set`]. Until then `/healthz` answers 200 and all else 503.
    pub(super) fn routers(&self) -> Routers {
        let late = |which: Which| Router::new().fallback(pass_on).with_state((self.clone(), which));
        Routers { http: late(|routers| &routers.http), ws: late(|routers| &routers.ws), legacy: late(|routers| &routers.legacy) }
    }

    pub(super) fn set(&self, routers: Routers) {
        // There is one start of a server.
        let _ = self.routers.set(routers);
    }
}

async fn pass_on(State((late, which)): State<(Late, Which)>, request: Request<Body>) -> Response {
    match late.routers.get() {
        Some(routers) => match which(routers).clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
        None if request.uri().path() == "/healthz" => Json(serde_json::json!({"status": "ok"})).into_response(),
        None => {
            let message = "the server is starting: it waits for its data directory. Try again";
            let body = serde_json::json!({ "error": { "code": ErrorCode::Unavailable, "message": message } });
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], Json(body)).into_response()
        }
    }
}
