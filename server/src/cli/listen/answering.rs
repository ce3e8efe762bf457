//! The body of an answer, which knows when the answer is complete.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::limits::{HttpConnection, HttpPlace, Phase};

/// A body; when hyper drops it, nothing of the answer is to come any more.
pub(super) struct Answering {
    body: Body,
    connection: Arc<HttpConnection>,
    /// Of a request that a proxy passed on.
    _place: Option<HttpPlace>,
}

impl Answering {
    pub(super) fn new(body: Body, connection: Arc<HttpConnection>, place: Option<HttpPlace>) -> Self {
        Self { body, connection, _place: place }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.connection.step(Phase::Busy, Phase::Flushing);
    }
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
