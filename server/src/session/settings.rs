//! What all sessions of a server share.

use super::ask::Asks;
use crate::{
    auth::resume::ResumeKeys,
    config::{Config, HookEvent},
};
use osbackend_protocol::{Limits, Policy};
use std::{sync::Arc, time::Duration};

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
    /// Joins at once.
    pub join_burst: u32,
    /// Who may do what.
    pub policy: Arc<Policy>,
    /// What the backend is asked about, whatever the policy says.
    pub asks: Asks,
    /// Whether the backend is asked about rooms at all, by `asks` or by a rule: looked at before anything else is.
    pub asks_about_rooms: bool,
    /// Signs and checks resume tokens.
    pub resume: ResumeKeys,
}

impl SessionSettings {
    /// The settings of `config`.
    pub fn new(config: &Config, policy: impl Into<Arc<Policy>>, resume: ResumeKeys) -> Self {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4);
        let limits = &config.limits;
        let asked = |event| config.hooks.url.is_some() && config.hooks.events.contains(&event);
        let asks = Asks { connect: asked(HookEvent::Connect), join: asked(HookEvent::Join), publish: asked(HookEvent::Publish) };
        let policy = policy.into();
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
                message_burst: limits.message_burst.unwrap_or(u32::MAX),
                join_rate: limits.join_rate.unwrap_or(0),
            },
            join_burst: limits.join_burst,
            asks,
            asks_about_rooms: asks.join || asks.publish || policy.asks_backend(),
            policy,
            resume,
        }
    }

    /// Messages a second; `None` for no limit.
    pub(super) fn message_rate(&self) -> Option<u32> {
        (self.limits.message_rate > 0).then_some(self.limits.message_rate)
    }

    /// Joins a second; `None` for no limit.
    pub(super) fn join_rate(&self) -> Option<u32> {
        (self.limits.join_rate > 0).then_some(self.limits.join_rate)
    }
}
