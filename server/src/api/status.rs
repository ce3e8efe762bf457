//! `GET /api/ws/status`, `/healthz` and `/readyz`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use osbackend_protocol::permission::within_token;
use serde::Serialize;
use serde_json::{Value, json};

use super::caller::MaybeAdmin;
use super::query::{Asked, Nothing};
use super::{Api, ApiError};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    status: &'static str,
    version: &'static str,
    uptime_seconds: u64,
    node: String,
    engine: &'static str,
    total_clients: usize,
    authenticated_clients: usize,
    /// Since the start, into all rooms, those without members too.
    published_events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rooms: Option<BTreeMap<String, RoomTotals>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RoomTotals {
    client_count: usize,
}

pub(super) async fn status(State(api): State<Api>, MaybeAdmin(admin): MaybeAdmin, _: Asked<Nothing>) -> Json<Status> {
    let totals = api.handle.totals();
    let rooms = admin.map(|admin| {
        let admin = admin.identity();
        let rooms = api.handle.stats().rooms.into_iter().filter(|room| within_token(Some(&admin), &room.room).is_ok());
        rooms.map(|room| (room.room.to_string(), RoomTotals { client_count: room.client_count })).collect()
    });
    Json(Status {
        status: if api.handle.is_draining() { "draining" } else { "ok" },
        version: totals.version,
        uptime_seconds: totals.uptime_seconds,
        node: api.node.to_string(),
        engine: totals.engine,
        total_clients: totals.total_clients,
        authenticated_clients: totals.authenticated_clients,
        published_events: totals.published,
        rooms,
    })
}

/// The process answers.
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// New connections are welcome; 503 once the server is going away, and while the event store can't serve.
pub(super) async fn readyz(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    if api.handle.is_draining() {
        return Err(ApiError::unavailable("the server is going away").retry_after(1));
    }
    api.handle.engine_ready()?;
    Ok(Json(json!({"status": "ready"})))
}

#[cfg(test)]
mod tests {
    use crate::auth::{Authenticator, resume::ResumeKeys};
    use crate::clock::Clock;
    use crate::config::Config;
    use crate::connection::Shared;
    use crate::engine::{Apply, Engine, EngineError, Pending, Stream};
    use crate::hub::{Hub, presence::PresenceOptions};
    use crate::realtime::Handle;
    use crate::session::SessionSettings;
    use axum::{body::Body, http::Request, http::header::RETRY_AFTER};
    use osbackend_protocol::{Policy, RoomName};
    use std::sync::Arc;
    use tower::ServiceExt as _;

    fn options() -> super::super::Options {
        super::super::Options {
            trusted_proxies: [].into(),
            keys: crate::auth::api_key::ApiKeys::default(),
            origins: crate::auth::origin::OriginPolicy::SameHost,
            limits: super::super::CallLimits::from_config(&Config::default()),
            body_timeout: None,
        }
    }

    fn handle_of(engine: Box<dyn Engine>) -> Handle {
        let secret = "a secret of at least 32 bytes, kept".into();
        let settings = SessionSettings::new(&Config::default(), Policy::default(), ResumeKeys::new(&secret));
        let shared = Shared {
            hub: Arc::new(Hub::new(engine, "p", PresenceOptions::default())),
            settings: Arc::new(settings),
            handlers: Default::default(),
            hooks: None,
            metrics: crate::metrics::Desk::new(Arc::new(crate::metrics::memory::MemoryMetrics::default()), Arc::default()),
            outbox_bytes: 0,
            meters: Arc::default(),
            started_ms: 0,
        };
        Handle::new(Arc::new(shared), Authenticator::hs256(&secret), Clock::start())
    }

    struct Down;

    impl Engine for Down {
        fn name(&self) -> &'static str {
            "down"
        }

        fn open(&self, _: &RoomName, _: u64) -> Result<Stream, EngineError> {
            self.ready().map(|()| unreachable!("it is never ready"))
        }

        fn publish(&self, pending: Vec<Pending>, _: &dyn Apply) {
            pending.into_iter().for_each(|pending| pending.refuse(EngineError::unavailable("no disk")));
        }

        fn closed(&self, _: &RoomName, _: u64) {}

        fn ready(&self) -> Result<(), EngineError> {
            Err(EngineError::unavailable("no disk"))
        }
    }

    #[tokio::test]
    async fn a_server_whose_event_store_is_down_lives_and_is_not_ready() {
        let handle = handle_of(Box::new(Down));
        assert!(handle.emit_metric_update("calls", [("active", 1.0)]).await.is_err());
        assert!(handle.exposition().text().contains("osbackend_engine_errors_total 1\n"));
        let router = super::super::router(handle, options());
        let get = |path: &str| router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap());
        assert_eq!(get("/healthz").await.unwrap().status(), 200);
        let ready = get("/readyz").await.unwrap();
        assert!(ready.status() == 503 && ready.headers().contains_key(RETRY_AFTER), "{ready:?}");
    }

    /// A room whose lock is held stands for a million rooms: who looks at each one would wait here.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn status_and_metrics_look_at_no_room_for_who_may_not_see_them() {
        use crate::hub::{JoinRequest, outbox::Outbox, registry::ConnectionId};

        let handle =
            handle_of(Box::new(crate::engine::MemoryEngine::new("p", crate::engine::Retention { events: 10, age_ms: 0 })));
        let router = super::super::router(handle.clone(), options());
        let (locked, is_locked) = std::sync::mpsc::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let hub = handle.shared().hub.clone();
        let holder = std::thread::spawn(move || {
            let room = RoomName::parse("agent:7").unwrap();
            let request = JoinRequest {
                room,
                position: None,
                snapshot: false,
                max_clients: None,
                presence: false,
                returning: false,
                own: false,
            };
            let outbox = Arc::new(Outbox::new(0));
            let joined = hub.join(ConnectionId(1), &outbox, None, &request, 1, |_| {
                locked.send(()).unwrap();
                let _ = released.recv();
            });
            assert!(joined.is_ok());
        });
        is_locked.recv().unwrap();
        let answers = async {
            let status = router.clone().oneshot(Request::get("/api/ws/status").body(Body::empty()).unwrap()).await.unwrap();
            let exposition = handle.exposition();
            let text = tokio::task::spawn_blocking(move || exposition.text()).await.unwrap();
            (status.status(), text.contains("osbackend_rooms 1\n"))
        };
        let answered = tokio::time::timeout(std::time::Duration::from_secs(20), answers).await;
        drop(release);
        holder.join().unwrap();
        assert_eq!(answered.expect("an answer while a room is locked"), (axum::http::StatusCode::OK, true));
        let text = handle.exposition().text();
        assert!(text.contains("osbackend_memberships 1\n"), "{text}");
    }
}
