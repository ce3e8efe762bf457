//! A webhook backend on loopback that the test answers itself, request by request.

use std::net::SocketAddr;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use osbackend_server::config::{Config, HookEvent};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::soon;

/// What the backend and the server know.
pub(crate) const WEBHOOK_SECRET: &str = "the webhook's secret, longer than 32 bytes";

/// A request that waits for its answer. Dropping it breaks the connection off.
pub(crate) struct Asked {
    pub(crate) headers: HeaderMap,
    pub(crate) raw: Bytes,
    pub(crate) body: Value,
    respond: oneshot::Sender<Response>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().unwrap()
    }

    /// Answers 200 with this.
    pub(crate) fn answer(self, body: Value) {
        self.text(StatusCode::OK, &body.to_string());
    }

    pub(crate) fn allow(self) {
        self.answer(serde_json::json!({"allow": true}));
    }

    pub(crate) fn status(self, status: u16) {
        self.text(StatusCode::from_u16(status).unwrap(), "{\"allow\":true}");
    }

    pub(crate) fn redirect(self, to: &str) {
        let location = HeaderValue::from_str(to).unwrap();
        self.send((StatusCode::TEMPORARY_REDIRECT, [("location", location)]).into_response());
    }

    pub(crate) fn text(self, status: StatusCode, body: &str) {
        self.send((status, body.to_owned()).into_response());
    }

    fn send(self, response: Response) {
        // The server may have given up.
        let _ = self.respond.send(response);
    }
}

pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    requests: mpsc::UnboundedReceiver<Asked>,
}

impl Backend {
    pub(crate) async fn start() -> Self {
        let (tell, requests) = mpsc::unbounded_channel();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/hook", post(take)).with_state(tell);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, requests }
    }

    /// The settings of a server that asks this backend about these events.
    pub(crate) fn settings(&self, config: &mut Config, events: &[HookEvent]) {
        config.hooks.url = Some(format!("http://{}/hook?key=in-the-address", self.address));
        config.hooks.secret = Some(WEBHOOK_SECRET.into());
        config.hooks.events = events.to_vec();
        // Long, so that only the tests of it are about it.
        config.hooks.timeout = std::time::Duration::from_secs(15);
    }

    /// The next request, which must be about this event.
    pub(crate) async fn next(&mut self, event: &str) -> Asked {
        let asked = soon("a webhook request", self.requests.recv()).await.unwrap();
        assert_eq!(asked.body["event"], event, "{}", asked.body);
        asked
    }

    /// That nothing was sent that nobody took.
    pub(crate) fn is_quiet(&mut self) {
        if let Ok(asked) = self.requests.try_recv() {
            panic!("an unexpected request: {}", asked.body);
        }
    }
}

async fn take(State(tell): State<mpsc::UnboundedSender<Asked>>, headers: HeaderMap, raw: Bytes) -> Response {
    let (respond, response) = oneshot::channel();
    let body = serde_json::from_slice(&raw).unwrap();
    // The test is over when nobody listens.
    let _ = tell.send(Asked { headers, raw, body, respond });
    response.await.unwrap_or_else(|_| StatusCode::BAD_GATEWAY.into_response())
}
