// Generated from shared-protocol by `cargo xtask codegen`; do not edit.

/**
 * What went wrong with one request or frame (§6).
 */
export type ErrorCode = "bad_request" | "unauthorized" | "token_expired" | "forbidden" | "unknown_type" | "not_joined" | "rate_limited" | "too_large" | "limit_reached" | "unavailable" | "internal";

/**
 * What someone wants to do in a room.
 */
export type Action = "join" | "publish" | "presence" | "history";

/**
 * A rule for some rooms.
 */
export type EvaluatedRule = { 
/**
 * Room names; `agent:*` is every room that begins so, `*:7` every room with this id, `*` every room.
 */
rooms: Array<string>, 
/**
 * What may be done there. What only the application's backend decides is not among it.
 */
can: Array<Action>, };

/**
 * What the user of this connection may do. The first rule that names a room decides; a room that none names is refused.
 */
export type EvaluatedPolicy = { 
/**
 * In order.
 */
rules: Array<EvaluatedRule>, 
/**
 * The token's `rooms` claim: a room that isn't among these is refused whatever the rules say.
 */
within?: Array<string>, };

/**
 * What this connection may do, as the greeting tells it; 0 means without a limit.
 */
export type Limits = { 
/**
 * Largest message, in bytes.
 */
maxMessageBytes: number, 
/**
 * Rooms joined at once.
 */
maxRooms: number, 
/**
 * Messages a second, sustained.
 */
messageRate: number, 
/**
 * Messages at once.
 */
messageBurst: number, 
/**
 * Joins a second, sustained.
 */
joinRate: number, 
/**
 * Joins at once; a server that doesn't tell it (0) is taken to allow those of a second.
 */
joinBurst: number, };

/**
 * The `id` of a request, given back as it came: a string or a number.
 */
export type RequestId = number | string;

/**
 * A room and how far the client has read it; without `epoch` and `offset` it is a first join.
 */
export type RoomPosition = { 
/**
 * The room.
 */
room: string, 
/**
 * The epoch in which `offset` counts.
 */
epoch?: string, 
/**
 * The last offset that was received.
 */
offset?: number, };

/**
 * A session to take up again.
 */
export type Resume = { 
/**
 * The client id of the greeting.
 */
clientId: string, 
/**
 * The resume token of the greeting.
 */
token: string, };

/**
 * `connect`: the first message of a client that offered `osbackend.v1`.
 */
export type Connect = { 
/**
 * 1.
 */
protocol: number, 
/**
 * The user's token.
 */
token?: string, 
/**
 * The session that this connection goes on with.
 */
resume?: Resume, 
/**
 * Rooms to join at once.
 */
rooms?: Array<RoomPosition>, 
/**
 * Whether several messages may come as one array (§7).
 */
batch?: boolean, 
/**
 * Name and version of the client, for the server's log.
 */
client?: string, 
/**
 * The fingerprint of the contract that the client was built with.
 */
schema?: string, };

/**
 * `auth`: authenticates, or refreshes the token in place.
 */
export type Auth = { 
/**
 * The token.
 */
token: string, };

/**
 * `join`: becomes a member of a room, from a position or anew.
 */
export type Join = { 
/**
 * The room.
 */
room: string, 
/**
 * The epoch in which `offset` counts.
 */
epoch?: string, 
/**
 * The last offset that was received.
 */
offset?: number, 
/**
 * Whether the newest event of each key is wanted when the join doesn't recover; true when left out.
 */
snapshot?: boolean, };

/**
 * A message that names a room only: `leave`, `presence:get`.
 */
export type OfRoom = { 
/**
 * The room.
 */
room: string, };

/**
 * `publish`: an event for a room.
 */
export type Publish = { 
/**
 * The room.
 */
room: string, 
/**
 * The event's name.
 */
type: string, 
/**
 * The event's data.
 */
data: Record<string, unknown>, 
/**
 * Publishing again with the same key within five minutes stores nothing new.
 */
idempotencyKey?: string, 
/**
 * The key of the event that this one must not pass (§5): the client's event before it into this room, while that one is
 * unanswered.
 */
after?: string, 
/**
 * For who is there now only: no offset, no history (§5).
 */
ephemeral?: boolean, };

/**
 * A span of time over which values are aggregated; spans begin at whole minutes, quarters of an hour, hours and days of UTC, days
 * with a `tz` at that zone's midnight.
 */
export type Interval = "1m" | "15m" | "1h" | "1d";

/**
 * `metrics:get`: points of the stored metrics.
 */
export type MetricsGet = { 
/**
 * Only this metric.
 */
type?: string, 
/**
 * From this time on (a date, or a full time).
 */
startDate?: string, 
/**
 * Up to this time (a date: to the end of that day).
 */
endDate?: string, 
/**
 * Aggregates of each numeric value over such spans of time, instead of the points themselves.
 */
interval?: Interval, 
/**
 * With the interval `1d`: whose days, by the name of an IANA zone such as `Europe/Berlin`; UTC when left out. Dates are days of
 * this zone, too.
 */
tz?: string, 
/**
 * The most points, newest kept; 1 to 10000; as many as the answer holds when left out.
 */
limit?: number, 
/**
 * The `cursor` of a truncated answer to this question: what comes before its points. The dates are then those of the first
 * question, whatever is given.
 */
cursor?: string, };

/**
 * `history:get`: events that a room still holds.
 */
export type HistoryGet = { 
/**
 * The room.
 */
room: string, 
/**
 * Only events after this offset (before it when `reverse`).
 */
since?: number, 
/**
 * The most events; 1 to 1000, 100 when left out.
 */
limit?: number, 
/**
 * Newest first.
 */
reverse?: boolean, };

/**
 * A value of a metric.
 */
export type MetricValue = number | string | boolean | null;

/**
 * `metric_update`: the newest values of a metric.
 */
export type MetricUpdate = { 
/**
 * The metric's name, such as `voice_call`.
 */
metric: string, 
/**
 * Its values by name.
 */
values: { [key in string]: MetricValue }, };

/**
 * `agent_status_change`: an AI agent's status.
 */
export type AgentStatusChange = { 
/**
 * The agent.
 */
agentId: string, 
/**
 * Its status, such as `online`.
 */
status: string, 
/**
 * A line for people.
 */
message?: string, 
/**
 * Anything else about it.
 */
details?: Record<string, unknown>, };

/**
 * How far a voice clone is.
 */
export type CloneStatus = "queued" | "processing" | "completed" | "failed";

/**
 * `voice_clone_progress`: how far the training of a voice clone is.
 */
export type VoiceCloneProgress = { 
/**
 * Whose clone it is.
 */
userId: string, 
/**
 * The training job, where the user has several.
 */
jobId?: string, 
/**
 * Its status.
 */
status: CloneStatus, 
/**
 * Percent, 0 to 100.
 */
progress: number, 
/**
 * A line for people.
 */
message?: string, };

/**
 * `training_milestone`: something worth telling happened in a training.
 */
export type TrainingMilestone = { 
/**
 * Whose training it is.
 */
userId: string, 
/**
 * What was reached.
 */
milestone: string, 
/**
 * Anything else about it.
 */
details?: Record<string, unknown>, };

/**
 * `clip_played`: how often a clip was played.
 */
export type ClipPlayed = { 
/**
 * The clip.
 */
clipId: string, 
/**
 * Plays so far.
 */
plays: number, 
/**
 * Where it was played.
 */
location?: string, };

/**
 * What a session is resumed with.
 */
export type ResumeGrant = { 
/**
 * Goes into `connect.resume.token`.
 */
token: string, 
/**
 * Until when.
 */
expiresAt: string, };

/**
 * `room_joined`: where a member stands.
 */
export type RoomJoined = { 
/**
 * The room.
 */
room: string, 
/**
 * Changes when continuity is lost.
 */
epoch: string, 
/**
 * The offset of the room's newest event, 0 before the first.
 */
offset: number, 
/**
 * Whether everything after the client's position follows.
 */
recovered: boolean, 
/**
 * How many events follow as replay.
 */
replayed: number, 
/**
 * How many events of the snapshot follow: a client that gets fewer has no position to recover from yet.
 */
snapshot?: number, 
/**
 * Connections in the room, this one included.
 */
clientCount: number, };

/**
 * Why a room was refused.
 */
export type RoomError = { 
/**
 * The code.
 */
code: ErrorCode, 
/**
 * For people.
 */
message: string, 
/**
 * When to join again, in milliseconds, where time helps.
 */
retryAfterMs?: number, };

/**
 * A room of `connect` that was refused.
 */
export type RoomRefused = { 
/**
 * The room, as it was asked for.
 */
room: string, 
/**
 * Why.
 */
error: RoomError, };

/**
 * What became of a room in `connect`.
 */
export type RoomResult = RoomJoined | RoomRefused;

/**
 * `connection_established` and `reconnected`: the server's answer to a connection.
 */
export type Greeting = { 
/**
 * This client; kept over reconnects that resume.
 */
clientId: string, 
/**
 * Whether a valid token came with the connection.
 */
authenticated: boolean, 
/**
 * The token's `sub`.
 */
userId?: string, 
/**
 * The token's role.
 */
role?: string, 
/**
 * When the token expires.
 */
expiresAt?: string, 
/**
 * 1.
 */
protocol: number, 
/**
 * The fingerprint of the server's contract.
 */
schema: string, 
/**
 * The server says something at least this often, in milliseconds.
 */
heartbeatIntervalMs: number, 
/**
 * What this connection may do.
 */
limits: Limits, 
/**
 * With what to resume.
 */
resume?: ResumeGrant, 
/**
 * The rooms asked for in `connect`, and `user:{id}`.
 */
rooms: Array<RoomResult>, 
/**
 * What this user may do, for `can()`.
 */
policy?: EvaluatedPolicy, 
/**
 * Only in `reconnected`: how long the client was away, in milliseconds.
 */
downtimeMs?: number, 
/**
 * Only where the connection has no user and must get one: within this time, in milliseconds; 0 is no limit.
 */
authTimeoutMs?: number, };

/**
 * `authenticated`: the answer to `auth`.
 */
export type Authenticated = { 
/**
 * The token's `sub`.
 */
userId: string, 
/**
 * The token's role.
 */
role?: string, 
/**
 * When the token expires.
 */
expiresAt: string, 
/**
 * Rooms that were joined for the user by this: `user:{id}`, at the first `auth`.
 */
rooms?: Array<RoomResult>, 
/**
 * What this user may do with this token; it replaces what the greeting told.
 */
policy?: EvaluatedPolicy, 
/**
 * How to resume from now on: the token of the greeting was for who the client was then.
 */
resume?: ResumeGrant, };

/**
 * Why a room was left.
 */
export type LeaveReason = "requested" | "permission_lost" | "room_closed";

/**
 * `room_left`
 */
export type RoomLeft = { 
/**
 * The room.
 */
room: string, 
/**
 * Why.
 */
reason: LeaveReason, };

/**
 * A user in a room.
 */
export type PresenceUser = { 
/**
 * The user.
 */
userId: string, 
/**
 * Connections of this user in the room; 0 while the last one is gone and may yet come back.
 */
clients: number, 
/**
 * Since when the user is in the room without a break.
 */
joinedAt: string, 
/**
 * For display: `name` and `avatarUrl`, as the user's token has them.
 */
info?: Record<string, unknown>, };

/**
 * How many are in a room whose users are not listed.
 */
export type PresenceCounts = { 
/**
 * Users.
 */
users: number, 
/**
 * Their connections.
 */
clients: number, };

/**
 * `presence`: who is in a room. It takes the place of whatever was known of it before.
 */
export type Presence = { 
/**
 * The room.
 */
room: string, 
/**
 * Its users, by id; none where there are `counts`.
 */
users: Array<PresenceUser>, 
/**
 * Connections without a user.
 */
anonymous: number, 
/**
 * In a room with more users than are listed (`PRESENCE_LIMIT`): how many there are. No join or leave is told there.
 */
counts?: PresenceCounts, };

/**
 * `presence_join` and `presence_leave`: a user's first connection came, or the last one is gone for good.
 */
export type PresenceChange = { 
/**
 * The room.
 */
room: string, 
/**
 * The user.
 */
userId: string, 
/**
 * For display: `name` and `avatarUrl`, as the user's token has them.
 */
info?: Record<string, unknown>, };

/**
 * An event of a room, with its place in it (§2, §5).
 */
export type EventFrame = { 
/**
 * The event's name.
 */
type: string, 
/**
 * The event's data.
 */
data: Record<string, unknown>, 
/**
 * The room.
 */
room: string, 
/**
 * Its place; an ephemeral event has none.
 */
offset?: number, 
/**
 * One emission into several rooms has one id.
 */
eventId: string, 
/**
 * When the server took it.
 */
timestamp: string, 
/**
 * Part of a snapshot: the newest of its key, not new.
 */
snapshot?: boolean, 
/**
 * Events of this room that were conflated since the previous one delivered.
 */
skipped?: number, };

/**
 * `history`: events that a room still holds.
 */
export type History = { 
/**
 * The room.
 */
room: string, 
/**
 * Its epoch.
 */
epoch: string, 
/**
 * The offset of its newest event.
 */
offset: number, 
/**
 * The events.
 */
events: Array<EventFrame>, 
/**
 * Whether the room holds more of them behind the last one: the page ended at its limit, or at 256 KiB. The next page
 * begins with `since` = the last event's offset.
 */
more?: boolean, };

/**
 * What is known of one numeric value over a span of time.
 */
export type Aggregate = { 
/**
 * The lowest.
 */
min: number, 
/**
 * The highest.
 */
max: number, 
/**
 * Their mean.
 */
avg: number, 
/**
 * Their sum.
 */
sum: number, 
/**
 * The newest.
 */
last: number, 
/**
 * How many.
 */
count: number, };

/**
 * A value of a stored point.
 */
export type PointValue = MetricValue | Aggregate;

/**
 * A stored value of a metric.
 */
export type MetricPoint = { 
/**
 * The metric.
 */
metric: string, 
/**
 * When; with an interval, the begin of the span (UTC).
 */
timestamp: string, 
/**
 * Its values; with an interval, the aggregates of the numeric ones.
 */
values: { [key in string]: PointValue }, };

/**
 * `metrics`: points in a range, newest last.
 */
export type Metrics = { 
/**
 * The metric that was asked for.
 */
type?: string, 
/**
 * Begin of the range.
 */
from: string, 
/**
 * End of the range.
 */
to: string, 
/**
 * The interval that was asked for.
 */
interval?: Interval, 
/**
 * The zone that was asked for.
 */
tz?: string, 
/**
 * The points, newest last.
 */
points: Array<MetricPoint>, 
/**
 * There are older points in the range than these: `cursor` says where to go on. Left out where these are all.
 */
truncated?: boolean, 
/**
 * With `truncated`: the same question with this `cursor` is answered with the points before these.
 */
cursor?: string, };

/**
 * `published`: an event was taken; it has this place in its room.
 */
export type Published = { 
/**
 * The room.
 */
room: string, 
/**
 * Its place; left out of an ephemeral one.
 */
offset?: number, 
/**
 * The epoch in which the offset counts.
 */
epoch: string, 
/**
 * Its id.
 */
eventId: string, };

/**
 * `heartbeat`
 */
export type Heartbeat = { 
/**
 * The server's clock.
 */
serverTime: string, 
/**
 * How to resume from now on, where the token that the client has grows old.
 */
resume?: ResumeGrant, };

/**
 * `token_expiring`: refresh it by `auth`.
 */
export type TokenExpiring = { 
/**
 * When the token expires.
 */
expiresAt: string, };

/**
 * `draining`: the server is going away.
 */
export type Draining = { 
/**
 * This client's slot: how long it waits before it reconnects, in milliseconds.
 */
reconnectAfterMs: number, };

/**
 * `error`
 */
export type ErrorBody = { 
/**
 * The code.
 */
code: ErrorCode, 
/**
 * For people: what was wrong, and what to do.
 */
message: string, 
/**
 * When to try again, in milliseconds.
 */
retryAfterMs?: number, 
/**
 * The room that it concerns, as it was asked for.
 */
room?: string, };

/** The data of each domain event (§4), by type. */
export type DomainEventMap = {
  metric_update: MetricUpdate;
  agent_status_change: AgentStatusChange;
  voice_clone_progress: VoiceCloneProgress;
  training_milestone: TrainingMilestone;
  clip_played: ClipPlayed;
};

/** The data of each message of the system (§4), by type. */
export type SystemMessageMap = {
  connection_established: Greeting;
  reconnected: Greeting;
  authenticated: Authenticated;
  room_joined: RoomJoined;
  room_left: RoomLeft;
  presence_join: PresenceChange;
  presence_leave: PresenceChange;
  presence: Presence;
  history: History;
  metrics: Metrics;
  published: Published;
  heartbeat: Heartbeat;
  token_expiring: TokenExpiring;
  draining: Draining;
  error: ErrorBody;
};

/** The payload of each request (§3), by type. */
export type RequestMap = {
  auth: Auth;
  join: Join;
  leave: OfRoom;
  publish: Publish;
  "metrics:get": MetricsGet;
  "presence:get": OfRoom;
  "history:get": HistoryGet;
  heartbeat: Record<string, never>;
};

/** The data of the natural reply to each request (§3), by the request's type. */
export type ReplyMap = {
  auth: Authenticated;
  join: RoomJoined;
  leave: RoomLeft;
  publish: Published;
  "metrics:get": Metrics;
  "presence:get": Presence;
  "history:get": History;
  heartbeat: Heartbeat;
};

/** The close codes (§6) and their reasons. */
export const CLOSE_CODES = {
  normal: 1000,
  going_away: 1001,
  binary_frame: 1003,
  bad_utf8: 1007,
  too_big: 1009,
  internal: 1011,
  restart: 1012,
  try_later: 1013,
  goodbye: 4000,
  token_expired: 4001,
  slow_consumer: 4002,
  rate_limited: 4003,
  no_heartbeat: 4004,
  connection_limit: 4005,
  protocol_error: 4500,
  auth_timeout: 4500,
  unauthorized: 4501,
  forbidden: 4502,
  upgrade_required: 4503,
  disconnected: 4505,
} as const;

/** The protocol version (§3). */
export const PROTOCOL_VERSION = 1;

/** The WebSocket subprotocol of the SDK (§1). */
export const SUBPROTOCOL = "osbackend.v1";

/** Fields of messages that are secret, by name at any depth: not to be shown or recorded. */
export const SECRET_FIELDS = ["token"] as const;
