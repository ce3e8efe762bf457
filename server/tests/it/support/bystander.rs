//! Who shares a server with what goes wrong.

use serde_json::json;

use super::{Client, TestServer};

/// A member of a room who must go on receiving, whatever others send.
pub(crate) struct Bystander<'a> {
    server: &'a TestServer,
    client: Client,
}

impl<'a> Bystander<'a> {
    pub(crate) async fn join(server: &'a TestServer) -> Self {
        let mut client = server.user("bystander").await;
        client.join("agent:7").await;
        Self { server, client }
    }

    pub(crate) async fn goes_on(&mut self) {
        let published = self.server.handle.broadcast_to_room("agent:7", "tick", &json!({})).await.unwrap();
        let event = self.client.expect("tick").await;
        assert_eq!(event["offset"], json!(published.offset));
        self.client.is_alive().await;
    }
}
