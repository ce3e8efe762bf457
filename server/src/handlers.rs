//! Custom messages (§3, "any other"): handlers by type, run beside the connection so that a slow or panicking one
//! never holds up a room.

use crate::{connection::text, hub::outbox::Outbox, telemetry::meters::Meters};
use osbackend_protocol::{CloseCode, ErrorBody, Identity, JsonObject, RequestId, ServerMessage};
use parking_lot::RwLock;
use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    time::Instant,
};

/// A message for a custom handler.
#[derive(Clone, Debug)]
pub struct CustomRequest {
    /// The client that sent it.
    pub client_id: Arc<str>,
    /// Its user; `None` for an anonymous one.
    pub identity: Option<Identity>,
    /// The message's type.
    pub kind: String,
    /// Its payload.
    pub payload: JsonObject,
}

/// What a handler answers: a message, or an error.
pub type Answer = Result<CustomReply, ErrorBody>;

/// The answer of a handler.
#[derive(Clone, Debug)]
pub struct CustomReply {
    /// The answer's type; the request's own when `None`.
    pub kind: Option<String>,
    /// Its data.
    pub data: JsonObject,
}

impl CustomReply {
    /// `{}`: taken, nothing to tell. Only a request with an `id` is answered with it.
    pub fn ok() -> Self {
        Self { kind: None, data: JsonObject::empty() }
    }

    /// An answer of the request's own type with this data, which must become a JSON object.
    pub fn json<T: serde::Serialize>(data: &T) -> Result<Self, ErrorBody> {
        let internal = |error: serde_json::Error| {
            ErrorBody::new(osbackend_protocol::ErrorCode::Internal, format!("the handler's answer is no JSON object: {error}"))
        };
        Ok(Self { kind: None, data: JsonObject::from_serialize(data).map_err(internal)? })
    }
}

type Boxed = Pin<Box<dyn Future<Output = Answer> + Send>>;
type Handler = Arc<dyn Fn(CustomRequest) -> Boxed + Send + Sync>;

/// The handlers of a server. Cloning shares them.
#[derive(Clone, Default)]
pub struct Handlers {
    by_kind: Arc<RwLock<HashMap<String, Handler>>>,
}

/// A handler that was found and is to be run.
pub struct Running {
    future: Boxed,
    kind: String,
    id: Option<RequestId>,
    outbox: Arc<Outbox>,
}

impl Running {
    /// Work whose answer is a message of type `kind`.
    pub(crate) fn new(
        kind: &str,
        work: impl Future<Output = Answer> + Send + 'static,
        id: Option<RequestId>,
        outbox: Arc<Outbox>,
    ) -> Self {
        // The type is named: this answer is sent where the request had no id too.
        let kind = kind.to_owned();
        let named = kind.clone();
        let future = async move { work.await.map(|reply| CustomReply { kind: Some(named), ..reply }) };
        Self { future: Box::pin(future), kind, id, outbox }
    }
}

impl Handlers {
    /// Sets the handler for messages of type `kind`; `*` is for all types without one.
    pub fn set<F, Fut>(&self, kind: &str, handler: F)
    where
        F: Fn(CustomRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        self.by_kind.write().insert(kind.to_owned(), handler);
    }

    /// The handler's work for a message, or the message again where there is no handler.
    pub(crate) fn start(
        &self,
        request: CustomRequest,
        id: Option<RequestId>,
        outbox: Arc<Outbox>,
    ) -> Result<Running, Box<CustomRequest>> {
        let handler = {
            let by_kind = self.by_kind.read();
            by_kind.get(&request.kind).or_else(|| by_kind.get("*")).cloned()
        };
        let Some(handler) = handler else { return Err(Box::new(request)) };
        let kind = request.kind.clone();
        // The handler's own code runs when the future is polled, inside `answer`: calling it is part of the future.
        Ok(self.running(kind, id, outbox, async move { handler(request).await }))
    }

    /// Work whose answer is treated as a handler's.
    pub(crate) fn running(
        &self,
        kind: String,
        id: Option<RequestId>,
        outbox: Arc<Outbox>,
        future: impl Future<Output = Answer> + Send + 'static,
    ) -> Running {
        Running { future: Box::pin(future), kind, id, outbox }
    }
}

/// Runs a handler and queues its answer. A panic closes this connection with 1011 and no other.
///
/// For who drives a [`Connection`](crate::connection::Connection): it is what [`Work::Custom`](crate::connection::Work) asks for.
pub async fn answer(running: Running, meters: Arc<Meters>, now_ms: impl Fn() -> u64) {
    use futures_util::FutureExt as _;
    let Running { future, kind, id, outbox } = running;
    let began = Instant::now();
    let result = AssertUnwindSafe(future).catch_unwind().await;
    meters.handled(outcome(&result), began.elapsed());
    match result {
        Ok(Ok(reply)) if id.is_some() || reply.kind.is_some() => {
            let message = ServerMessage::Other { kind: reply.kind.unwrap_or(kind), data: reply.data };
            // Many may be done at once, and each may be large: they wait for the reader, not in its queue.
            let mut answer = Some(text(message, id, now_ms()));
            poll_fn(|cx| outbox.poll_answer(&mut answer, cx)).await;
        }
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            meters.error(error.code);
            outbox.push(text(ServerMessage::Error(error), id, now_ms()));
        }
        Err(_) => {
            tracing::error!(kind, "a custom handler panicked; its connection is closed");
            outbox.close(CloseCode::Internal);
        }
    }
}

fn outcome<P>(result: &Result<Answer, P>) -> &'static str {
    match result {
        Ok(Ok(_)) => "ok",
        Ok(Err(_)) => "error",
        Err(_) => "panic",
    }
}
