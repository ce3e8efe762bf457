//! The peer socketioxide: a token checked in a connect middleware, one room, events relayed to its members.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use socketioxide::extract::{Data, Extension, SocketRef, State};
use socketioxide::handler::ConnectHandler;
use socketioxide::{SocketIo, TransportType};

struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

#[derive(Deserialize)]
struct Auth {
    token: String,
    room: String,
}

#[derive(Clone, Deserialize)]
struct Claims {
    #[allow(dead_code, reason = "required in the token, as our server requires it")]
    sub: String,
    role: Option<String>,
}

#[derive(Deserialize)]
struct Publish {
    room: String,
    r#type: String,
    data: Box<RawValue>,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Relayed(Box<RawValue>);

async fn check(
    socket: SocketRef,
    Data(auth): Data<Auth>,
    State(verifier): State<std::sync::Arc<Verifier>>,
) -> Result<(), jsonwebtoken::errors::Error> {
    let verified = jsonwebtoken::decode::<Claims>(auth.token, &verifier.key, &verifier.validation)?;
    socket.extensions.insert(verified.claims);
    Ok(())
}

async fn joined(socket: SocketRef, Data(auth): Data<Auth>) {
    socket.join(auth.room);
    socket.on(
        "publish",
        async |io: SocketIo, Extension(claims): Extension<Claims>, Data(event): Data<Publish>| {
            if claims.role.as_deref() == Some("admin") {
                // It fails when a member's buffer is full; the load generator then sees the missing event.
                let _ = io
                    .to(event.room)
                    .emit(event.r#type, &Relayed(event.data))
                    .await;
            }
        },
    );
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = std::env::var("JWT_SECRET")?;
    let port: u16 = std::env::var("PORT").map_or(Ok(0), |port| port.parse())?;
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_required_spec_claims(&["exp", "sub"]);
    let verifier = Verifier {
        key: DecodingKey::from_secret(secret.as_bytes()),
        validation,
    };

    let (layer, io) = SocketIo::builder()
        .transports([TransportType::Websocket])
        .with_state(std::sync::Arc::new(verifier))
        // Roomier than its default of 128, so that 64 outstanding events never overflow it.
        .max_buffer_size(1024)
        .build_layer();
    io.ns("/", joined.with(check));

    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on {}", listener.local_addr()?.port());
    axum::serve(listener, axum::Router::new().layer(layer)).await?;
    Ok(())
}
