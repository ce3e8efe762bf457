//! A server in this process, on free ports, stopped when dropped.

use std::net::SocketAddr;

use osbackend_server::auth::mint::Token;
use osbackend_server::cli::listen::{Listeners, Routers};
use osbackend_server::config::{Config, EngineKind};
use osbackend_server::{Builder, Handle, Realtime};
use tokio::sync::watch;

use super::{Client, Connecting};

/// What the test servers check tokens with.
pub(crate) const SECRET: &str = "the tests' secret, longer than 32 bytes";

pub(crate) struct TestServer {
    pub(crate) ws: SocketAddr,
    pub(crate) http: SocketAddr,
    /// The legacy port, where it is on.
    pub(crate) legacy: Option<SocketAddr>,
    pub(crate) handle: Handle,
    /// Dropping it stops the listeners.
    _stop: watch::Sender<()>,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A server with changed settings.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::built(Realtime::builder(), change).await
    }

    /// A server of this builder with changed settings.
    pub(crate) async fn built(builder: Builder, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.listen.host = [127, 0, 0, 1].into();
        config.listen.port = 0;
        config.listen.ws_port = 0;
        config.auth.jwt_secret = Some(SECRET.into());
        config.engine.kind = EngineKind::Memory;
        change(&mut config);
        let listeners = Listeners::bind(&config).await.unwrap();
        let realtime = builder.config(config).build().unwrap();
        let (stop, stopped) = watch::channel(());
        let (ws, http) = (listeners.ws_address, listeners.http_address);
        let legacy = listeners.legacy_address;
        let routers = Routers { legacy: realtime.legacy_router(), ..Routers::from(realtime.router()) };
        tokio::spawn(listeners.serve(routers, stopped));
        Self { ws, http, legacy, handle: realtime.handle(), _stop: stop }
    }

    /// A connection to be made.
    pub(crate) fn connecting(&self) -> Connecting {
        Connecting::new(self.ws)
    }

    /// A connected, greeted plain client of `user`.
    pub(crate) async fn user(&self, user: &str) -> Client {
        self.with_token(&user_token(user)).await
    }

    /// A connected, greeted plain client of an admin.
    pub(crate) async fn admin(&self) -> Client {
        self.with_token(&admin_token()).await
    }

    pub(crate) async fn with_token(&self, token: &str) -> Client {
        let mut client = self.connecting().query(token).open().await;
        let greeting = client.next().await;
        assert_eq!(greeting["type"], "connection_established", "{greeting}");
        client
    }
}

pub(crate) fn user_token(user: &str) -> String {
    token(Token::for_user(user))
}

pub(crate) fn admin_token() -> String {
    token(Token::for_user("root").role("admin"))
}

pub(crate) fn token(token: Token) -> String {
    token.sign(&SECRET.into()).unwrap()
}
