//! Strategies for every message of the contract, for `properties.rs`. The large ones are boxed: as plain types they
//! overflow a test thread's stack in a debug build.

use osbackend_protocol::{
    ClientFrame, ClientMessage, ErrorCode, EvaluatedPolicy, EventFrame, JsonObject, Limits, RequestId, RoomName, RoomPosition,
    ServerFrame, ServerMessage, Timestamp,
    client_msg::{Auth, Connect, Custom, HistoryGet, Join, MetricsGet, OfRoom, Publish, Resume},
    event::MetricValue,
    limits::MAX_INTEGER,
    metrics::{Aggregate, Interval, PointValue},
    permission::{Action, EvaluatedRule},
    server_msg::{
        Authenticated, Draining, ErrorBody, Greeting, Heartbeat, History, LeaveReason, MetricPoint, Metrics, Presence,
        PresenceChange, PresenceCounts, PresenceUser, Published, ResumeGrant, RoomError, RoomJoined, RoomLeft, RoomRefused,
        RoomResult, SYSTEM_TYPES, SystemFrame, TokenExpiring,
    },
    timestamp::DateOrTime,
};
use proptest::{collection::btree_map, collection::vec, option, prelude::*, sample::select};
use serde_json::{Map, Value};

fn interval() -> impl Strategy<Value = Interval> {
    select(Interval::ALL.to_vec())
}

fn point_value() -> impl Strategy<Value = PointValue> {
    // Numbers that JSON gives back as they were.
    let number = || (-1_000_000_i32..1_000_000).prop_map(|number| f64::from(number) / 8.0);
    let aggregate = (number(), number(), number(), number(), number(), integer())
        .prop_map(|(min, max, avg, sum, last, count)| PointValue::Aggregate(Aggregate { min, max, avg, sum, last, count }));
    prop_oneof![metric_value().prop_map(PointValue::Plain), aggregate]
}

/// The types of §3, which a custom message can't have.
pub(crate) const REQUESTS: [&str; 9] =
    ["connect", "auth", "join", "leave", "publish", "metrics:get", "presence:get", "history:get", "heartbeat"];

pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-zA-Z0-9 _:.-]{0,12}", 1 => any::<String>()]
}

pub(crate) fn integer() -> impl Strategy<Value = u64> {
    prop_oneof![0..100_u64, 0..=MAX_INTEGER, Just(MAX_INTEGER)]
}

pub(crate) fn room() -> impl Strategy<Value = RoomName> {
    "[a-z][a-z0-9_-]{0,30}:[a-zA-Z0-9_.@|+=~%-]{1,128}".prop_map(|name| RoomName::parse(&name).expect("a room name"))
}

pub(crate) fn timestamp() -> impl Strategy<Value = Timestamp> {
    (0..=253_402_300_799_999_u64).prop_map(Timestamp)
}

fn date_or_time() -> impl Strategy<Value = DateOrTime> {
    prop_oneof![
        timestamp().prop_map(DateOrTime::Time),
        (0..=2_932_896_u64).prop_map(|day| DateOrTime::Date(Timestamp(day * 86_400_000))),
    ]
}

pub(crate) fn id() -> impl Strategy<Value = RequestId> {
    prop_oneof![
        integer().prop_map(RequestId::from),
        (-1000..0_i64).prop_map(|id| RequestId::Number(id.into())),
        "\\PC{0,32}".prop_map(RequestId::Text),
    ]
}

/// Any JSON, `depth` levels deep at most.
pub(crate) fn json(depth: u32) -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(depth, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(text(), inner, 0..6).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
    .boxed()
}

pub(crate) fn map() -> impl Strategy<Value = Map<String, Value>> {
    btree_map(text(), any::<i32>().prop_map(Value::from), 0..4).prop_map(|fields| fields.into_iter().collect())
}

pub(crate) fn object() -> BoxedStrategy<JsonObject> {
    btree_map(text(), json(4), 0..4)
        .prop_map(|fields| JsonObject::from_serialize(&fields).expect("a map becomes an object"))
        .boxed()
}

pub(crate) fn kind_other_than(taken: &'static [&'static str]) -> impl Strategy<Value = String> {
    "[a-z][a-z_:]{0,20}|\\PC{1,20}".prop_filter("a name of the system", move |kind| !taken.contains(&kind.as_str()))
}

pub(crate) fn client_message() -> BoxedStrategy<ClientMessage> {
    let position = || {
        (room(), option::of(text()), option::of(integer())).prop_map(|(room, epoch, offset)| RoomPosition { room, epoch, offset })
    };
    let resume = (text(), text()).prop_map(|(client_id, token)| Resume { client_id, token });
    let connect = (
        any::<u32>(),
        option::of(text()),
        option::of(resume),
        vec(position(), 0..4),
        any::<bool>(),
        option::of(text()),
        option::of(text()),
    )
        .prop_map(|(protocol, token, resume, rooms, batch, client, schema)| {
            ClientMessage::Connect(Connect { protocol, token, resume, rooms, refused: vec![], batch, client, schema })
        });
    let join = (position(), any::<bool>())
        .prop_map(|(RoomPosition { room, epoch, offset }, snapshot)| ClientMessage::Join(Join { room, epoch, offset, snapshot }));
    let key = || option::of("\\PC{1,32}");
    let publish = (room(), text(), object(), key(), key(), any::<bool>()).prop_map(
        |(room, kind, data, idempotency_key, after, ephemeral)| {
            ClientMessage::Publish(Publish { room, kind, data, idempotency_key, after, ephemeral })
        },
    );
    let metrics = (
        option::of(text()),
        option::of(date_or_time()),
        option::of(date_or_time()),
        option::of(interval()),
        option::of(text()),
        option::of(any::<u32>()),
        option::of(text()),
    )
        .prop_map(|(kind, start_date, end_date, interval, tz, limit, cursor)| {
            ClientMessage::MetricsGet(MetricsGet { kind, start_date, end_date, interval, tz, limit, cursor })
        });
    let history = (room(), option::of(integer()), option::of(any::<u32>()), any::<bool>())
        .prop_map(|(room, since, limit, reverse)| ClientMessage::HistoryGet(HistoryGet { room, since, limit, reverse }));
    prop_oneof![
        connect,
        text().prop_map(|token| ClientMessage::Auth(Auth { token })),
        join,
        room().prop_map(|room| ClientMessage::Leave(OfRoom { room })),
        publish,
        metrics,
        room().prop_map(|room| ClientMessage::PresenceGet(OfRoom { room })),
        history,
        Just(ClientMessage::Heartbeat),
        (kind_other_than(&REQUESTS), object()).prop_map(|(kind, payload)| ClientMessage::Custom(Custom { kind, payload })),
    ]
    .boxed()
}

pub(crate) fn client_frame() -> BoxedStrategy<ClientFrame> {
    (option::of(id()), client_message()).prop_map(|(id, message)| ClientFrame { id, message }).boxed()
}

pub(crate) fn error_code() -> impl Strategy<Value = ErrorCode> {
    select(ErrorCode::ALL.to_vec())
}

pub(crate) fn room_joined() -> BoxedStrategy<RoomJoined> {
    (room(), text(), integer(), any::<bool>(), integer(), integer(), integer())
        .prop_map(|(room, epoch, offset, recovered, replayed, snapshot, client_count)| RoomJoined {
            room,
            epoch,
            offset,
            recovered,
            replayed,
            snapshot,
            client_count,
        })
        .boxed()
}

pub(crate) fn room_results() -> BoxedStrategy<Vec<RoomResult>> {
    let refused = (text(), error_code(), text(), option::of(integer())).prop_map(|(room, code, message, retry_after_ms)| {
        RoomRefused { room, error: RoomError { code, message, retry_after_ms } }
    });
    vec(prop_oneof![room_joined().prop_map(RoomResult::Joined), refused.prop_map(RoomResult::Refused)], 0..4).boxed()
}

pub(crate) fn evaluated() -> impl Strategy<Value = EvaluatedPolicy> {
    let rule = (vec(text(), 0..3), vec(select(Action::ALL.to_vec()), 0..3)).prop_map(|(rooms, can)| EvaluatedRule { rooms, can });
    (vec(rule, 0..3), option::of(vec(text(), 0..3))).prop_map(|(rules, within)| EvaluatedPolicy { rules, within })
}

pub(crate) fn greeting() -> BoxedStrategy<Greeting> {
    let limits = any::<[u32; 6]>().prop_map(|[bytes, rooms, rate, burst, joins, joins_at_once]| Limits {
        max_message_bytes: bytes,
        max_rooms: rooms,
        message_rate: rate,
        message_burst: burst,
        join_rate: joins,
        join_burst: joins_at_once,
    });
    let resume = (text(), timestamp()).prop_map(|(token, expires_at)| ResumeGrant { token, expires_at });
    let user = (any::<bool>(), option::of(text()), option::of(text()), option::of(timestamp()));
    let server = (any::<u32>(), text(), integer(), limits);
    let times = (option::of(integer()), option::of(integer()));
    (text(), user, server, option::of(resume), room_results(), option::of(evaluated()), times)
        .prop_map(|(client_id, user, server, resume, rooms, policy, (downtime_ms, auth_timeout_ms))| Greeting {
            client_id,
            authenticated: user.0,
            user_id: user.1,
            role: user.2,
            expires_at: user.3,
            protocol: server.0,
            schema: server.1,
            heartbeat_interval_ms: server.2,
            limits: server.3,
            resume,
            rooms,
            policy,
            downtime_ms,
            auth_timeout_ms,
        })
        .boxed()
}

pub(crate) fn metric_value() -> impl Strategy<Value = MetricValue> {
    prop_oneof![
        any::<f64>().prop_map(MetricValue::from),
        any::<i64>().prop_map(MetricValue::from),
        any::<bool>().prop_map(MetricValue::from),
        text().prop_map(|text| MetricValue::from(text.as_str())),
        Just(MetricValue::Null(())),
    ]
}

pub(crate) fn event_frame() -> BoxedStrategy<EventFrame> {
    let marks = (any::<bool>(), integer());
    (kind_other_than(&SYSTEM_TYPES), object(), room(), option::of(integer()), text(), timestamp(), marks)
        .prop_map(|(kind, data, room, offset, event_id, timestamp, (snapshot, skipped))| EventFrame {
            kind,
            data,
            room,
            offset,
            event_id,
            timestamp,
            snapshot,
            skipped,
        })
        .boxed()
}

/// What is about rooms and who is in them.
pub(crate) fn room_message() -> BoxedStrategy<ServerMessage> {
    let reason = select(vec![LeaveReason::Requested, LeaveReason::PermissionLost, LeaveReason::RoomClosed]);
    let change = || (room(), text(), option::of(map())).prop_map(|(room, user_id, info)| PresenceChange { room, user_id, info });
    let user = (text(), any::<u32>(), timestamp(), option::of(map()))
        .prop_map(|(user_id, clients, joined_at, info)| PresenceUser { user_id, clients, joined_at, info });
    let counts = (integer(), integer()).prop_map(|(users, clients)| PresenceCounts { users, clients });
    prop_oneof![
        room_joined().prop_map(ServerMessage::RoomJoined),
        (room(), reason).prop_map(|(room, reason)| ServerMessage::RoomLeft(RoomLeft { room, reason })),
        change().prop_map(ServerMessage::PresenceJoin),
        change().prop_map(ServerMessage::PresenceLeave),
        (room(), vec(user, 0..4), integer(), option::of(counts)).prop_map(|(room, users, anonymous, counts)| {
            ServerMessage::Presence(Presence { room, users, anonymous, counts })
        }),
        (room(), text(), integer(), vec(event_frame(), 0..4), any::<bool>()).prop_map(|(room, epoch, offset, events, more)| {
            ServerMessage::History(History { room, epoch, offset, events, more })
        }),
        (room(), option::of(integer()), text(), text()).prop_map(|(room, offset, epoch, event_id)| {
            ServerMessage::Published(Published { room, offset, epoch, event_id })
        }),
    ]
    .boxed()
}

pub(crate) fn server_message() -> BoxedStrategy<ServerMessage> {
    let authenticated = (text(), option::of(text()), timestamp(), room_results(), option::of(evaluated())).prop_map(
        |(user_id, role, expires_at, rooms, policy)| Authenticated { user_id, role, expires_at, rooms, policy, resume: None },
    );
    let point = (text(), timestamp(), btree_map(text(), point_value(), 0..4))
        .prop_map(|(metric, timestamp, values)| MetricPoint { metric, timestamp, values });
    let rest = (option::of(text()), any::<bool>(), option::of(text()));
    let metrics = (option::of(text()), timestamp(), timestamp(), option::of(interval()), vec(point, 0..4), rest).prop_map(
        |(kind, from, to, interval, points, (tz, truncated, cursor))| Metrics {
            kind,
            from,
            to,
            interval,
            tz,
            points,
            truncated,
            cursor,
        },
    );
    let error = (error_code(), text(), option::of(integer()), option::of(text()))
        .prop_map(|(code, message, retry_after_ms, room)| ErrorBody { code, message, retry_after_ms, room });
    prop_oneof![
        greeting().prop_map(ServerMessage::ConnectionEstablished),
        greeting().prop_map(ServerMessage::Reconnected),
        authenticated.prop_map(ServerMessage::Authenticated),
        room_message(),
        metrics.prop_map(ServerMessage::Metrics),
        timestamp().prop_map(|server_time| ServerMessage::Heartbeat(Heartbeat { server_time, resume: None })),
        timestamp().prop_map(|expires_at| ServerMessage::TokenExpiring(TokenExpiring { expires_at })),
        integer().prop_map(|reconnect_after_ms| ServerMessage::Draining(Draining { reconnect_after_ms })),
        error.prop_map(ServerMessage::Error),
        (kind_other_than(&SYSTEM_TYPES), object()).prop_map(|(kind, data)| ServerMessage::Other { kind, data }),
    ]
    .boxed()
}

pub(crate) fn server_frame() -> BoxedStrategy<ServerFrame> {
    prop_oneof![
        (server_message(), option::of(id()), timestamp()).prop_map(|(message, id, timestamp)| ServerFrame::System(SystemFrame {
            message,
            id,
            timestamp
        })),
        event_frame().prop_map(ServerFrame::Event),
    ]
    .boxed()
}
