//! What all sessions of a server share.

use super::ask::Asks;
use crate::{
    auth::resume::ResumeKeys,
    clock::Ahead,
    config::{Config, HookEvent},
    limits::Quota,
};
use osbackend_protocol::{Limits, Policy};
use std::{sync::Arc, time::Duration};

/// However short the burst: who sends a little too much hears of it more than once.
const LEAST_REFUSALS: u32 = 10;
/// Headers of the fragments that the longest message may come in, in bytes.
const FRAME_OVERHEAD: u32 = 1024;

/// The part of the settings that sessions need, in their units.
pub struct SessionSettings {
    /// Time for `connect` (§1), in milliseconds.
    pub handshake_timeout_ms: Option<u64>,
    /// Time to authenticate (§1), in milliseconds.
    pub auth_timeout_ms: Option<u64>,
    /// Before `exp`, this long, the client is told (§4), in milliseconds.
    pub token_warning_ms: u64,
    /// After `exp`, this long, the connection is closed (§4), in milliseconds.
    pub token_grace_ms: u64,
    /// Between pings (§8), in milliseconds.
    pub heartbeat_ms: Option<u64>,
    /// From a ping to close 4004 (§8), in milliseconds.
    pub pong_timeout_ms: Option<u64>,
    /// Whether a connection may stay without a token (§1).
    pub allow_anonymous: bool,
    /// What the greeting tells; 0 for no limit.
    pub limits: Limits,
    /// Messages, and what else counts as one.
    pub messages: Quota,
    /// Messages over their quota that are answered before the connection is closed for them.
    pub refusals: Quota,
    /// Bytes from the network.
    pub bytes: Quota,
    /// Joins.
    pub joins: Quota,
    /// Who may do what.
    pub policy: Arc<Policy>,
    /// What the backend is asked about, whatever the policy says.
    pub asks: Asks,
    /// Whether the backend is asked about rooms at all, by `asks` or by a rule: looked at before anything else is.
    pub asks_about_rooms: bool,
    /// Signs and checks resume tokens.
    pub resume: ResumeKeys,
    /// How far the clock of `now` is ahead of the time that is shown.
    pub ahead: Ahead,
}

impl SessionSettings {
    /// The settings of `config`.
    pub fn new(config: &Config, policy: impl Into<Arc<Policy>>, resume: ResumeKeys) -> Self {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4);
        let limits = &config.limits;
        let asked = |event| config.hooks.url.is_some() && config.hooks.events.contains(&event);
        let asks = Asks { connect: asked(HookEvent::Connect), join: asked(HookEvent::Join), publish: asked(HookEvent::Publish) };
        let policy = policy.into();
        let message_burst = limits.message_burst.unwrap_or(u32::MAX);
        let longest = limits.max_message_bytes.map_or(0, |bytes| u32::try_from(bytes).unwrap_or(u32::MAX));
        let byte_burst = limits.byte_burst.unwrap_or(u32::MAX).max(longest.saturating_add(FRAME_OVERHEAD));
        let number = |value: Option<usize>| value.map_or(0, |value| u32::try_from(value).unwrap_or(u32::MAX));
        Self {
            handshake_timeout_ms: limits.handshake_timeout.map(ms),
            auth_timeout_ms: config.auth.timeout.map(ms),
            token_warning_ms: ms(config.auth.token_warning),
            token_grace_ms: ms(config.auth.token_grace),
            heartbeat_ms: config.liveness.heartbeat.map(ms),
            pong_timeout_ms: config.liveness.pong_timeout.map(ms),
            allow_anonymous: config.auth.allow_anonymous,
            limits: Limits {
                max_message_bytes: number(limits.max_message_bytes),
                max_rooms: number(limits.max_rooms),
                message_rate: limits.message_rate.unwrap_or(0),
                message_burst,
                join_rate: limits.join_rate.unwrap_or(0),
                join_burst: limits.join_burst,
            },
            messages: Quota::new(limits.message_rate, message_burst),
            refusals: Quota::new(limits.message_rate, message_burst.max(LEAST_REFUSALS)),
            bytes: Quota::new(limits.byte_rate, byte_burst),
            joins: Quota::new(limits.join_rate, limits.join_burst),
            asks,
            asks_about_rooms: asks.join || asks.publish || policy.asks_backend(),
            policy,
            resume,
            ahead: Ahead::default(),
        }
    }
}
