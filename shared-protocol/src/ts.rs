//! The TypeScript declarations of the contract, generated from the Rust types; `cargo xtask codegen` writes them.

use crate::{
    client_msg as client, codes::CloseCode, codes::ErrorCode, event, limits::Limits, metrics, permission, server_msg as server,
};
use std::fmt::Write as _;
use ts_rs::{Config, TS};

/// A type that is a plain string on the wire.
macro_rules! string_on_the_wire {
    ($($kind:ty),*) => {
        $(impl TS for $kind {
            type WithoutGenerics = Self;
            type OptionInnerType = Self;
            fn name(_: &Config) -> String {
                "string".to_owned()
            }
            fn inline(config: &Config) -> String {
                Self::name(config)
            }
        })*
    };
}

string_on_the_wire!(crate::room::RoomName, crate::timestamp::Timestamp, crate::timestamp::DateOrTime);

/// All declarations as one TypeScript module, without header. The same text on every machine.
pub fn declarations() -> String {
    let config = Config::new().with_large_int("number");
    let mut out = String::new();
    macro_rules! declare {
        ($($kind:ty),* $(,)?) => {
            $(
                if let Some(docs) = <$kind as TS>::docs() {
                    out.push_str(docs.trim_end());
                    out.push('\n');
                }
                let _ = writeln!(out, "export {}\n", <$kind as TS>::decl(&config));
            )*
        };
    }
    declare!(
        ErrorCode,
        permission::Action,
        permission::EvaluatedRule,
        permission::EvaluatedPolicy,
        Limits,
        client::RequestId,
        client::RoomPosition,
        client::Resume,
        client::Connect,
        client::Auth,
        client::Join,
        client::OfRoom,
        client::Publish,
        metrics::Interval,
        client::MetricsGet,
        client::HistoryGet,
        event::MetricValue,
        event::MetricUpdate,
        event::AgentStatusChange,
        event::CloneStatus,
        event::VoiceCloneProgress,
        event::TrainingMilestone,
        event::ClipPlayed,
        server::ResumeGrant,
        server::RoomJoined,
        server::RoomError,
        server::RoomRefused,
        server::RoomResult,
        server::Greeting,
        server::Authenticated,
        server::LeaveReason,
        server::RoomLeft,
        server::PresenceUser,
        server::PresenceCounts,
        server::Presence,
        server::PresenceChange,
        server::EventFrame,
        server::History,
        metrics::Aggregate,
        metrics::PointValue,
        server::MetricPoint,
        server::Metrics,
        server::Published,
        server::Heartbeat,
        server::TokenExpiring,
        server::Draining,
        server::ErrorBody,
    );
    let mut map = |docs: &str, name: &str, entries: &[(&str, &str)]| {
        let _ = writeln!(out, "/** {docs} */\nexport type {name} = {{");
        for (key, value) in entries {
            let _ = writeln!(out, "  {key}: {value};");
        }
        out.push_str("};\n\n");
    };
    map(
        "The data of each domain event (§4), by type.",
        "DomainEventMap",
        &[
            ("metric_update", "MetricUpdate"),
            ("agent_status_change", "AgentStatusChange"),
            ("voice_clone_progress", "VoiceCloneProgress"),
            ("training_milestone", "TrainingMilestone"),
            ("clip_played", "ClipPlayed"),
        ],
    );
    map(
        "The data of each message of the system (§4), by type.",
        "SystemMessageMap",
        &[
            ("connection_established", "Greeting"),
            ("reconnected", "Greeting"),
            ("authenticated", "Authenticated"),
            ("room_joined", "RoomJoined"),
            ("room_left", "RoomLeft"),
            ("presence_join", "PresenceChange"),
            ("presence_leave", "PresenceChange"),
            ("presence", "Presence"),
            ("history", "History"),
            ("metrics", "Metrics"),
            ("published", "Published"),
            ("heartbeat", "Heartbeat"),
            ("token_expiring", "TokenExpiring"),
            ("draining", "Draining"),
            ("error", "ErrorBody"),
        ],
    );
    map(
        "The payload of each request (§3), by type.",
        "RequestMap",
        &[
            ("auth", "Auth"),
            ("join", "Join"),
            ("leave", "OfRoom"),
            ("publish", "Publish"),
            ("\"metrics:get\"", "MetricsGet"),
            ("\"presence:get\"", "OfRoom"),
            ("\"history:get\"", "HistoryGet"),
            ("heartbeat", "Record<string, never>"),
        ],
    );
    map(
        "The data of the natural reply to each request (§3), by the request's type.",
        "ReplyMap",
        &[
            ("auth", "Authenticated"),
            ("join", "RoomJoined"),
            ("leave", "RoomLeft"),
            ("publish", "Published"),
            ("\"metrics:get\"", "Metrics"),
            ("\"presence:get\"", "Presence"),
            ("\"history:get\"", "History"),
            ("heartbeat", "Heartbeat"),
        ],
    );
    out.push_str("/** The close codes (§6) and their reasons. */\nexport const CLOSE_CODES = {\n");
    for code in CloseCode::ALL {
        let _ = writeln!(out, "  {}: {},", code.reason(), code.code());
    }
    out.push_str("} as const;\n\n");
    let _ = writeln!(out, "/** The protocol version (§3). */\nexport const PROTOCOL_VERSION = {};\n", crate::PROTOCOL_VERSION);
    let _ = writeln!(
        out,
        "/** The WebSocket subprotocol of the SDK (§1). */\nexport const SUBPROTOCOL = \"{}\";\n",
        crate::SUBPROTOCOL
    );
    let _ = writeln!(
        out,
        "/** Fields of messages that are secret, by name at any depth: not to be shown or recorded. */\nexport const SECRET_FIELDS = {:?} as const;",
        crate::SECRET_FIELDS
    );
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_fingerprint_is_that_of_the_declarations() {
        let now = crate::schema::fingerprint(&super::declarations());
        assert_eq!(crate::schema::FINGERPRINT, now, "the contract changed: run `cargo xtask codegen`");
    }
}
