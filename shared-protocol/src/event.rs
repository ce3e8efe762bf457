//! Domain events (§4): the typed payloads, where they are validated, which rooms they go to, how they are delivered.

use crate::{
    json::JsonObject,
    limits::{MAX_DEPTH, MAX_TYPE_BYTES},
    room::RoomName,
    rules::Rule,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

mod whole;

/// A value of a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, a string, a boolean or null")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS, schemars::JsonSchema))]
pub enum MetricValue {
    /// A number.
    Number(#[cfg_attr(feature = "ts", ts(type = "number"))] serde_json::Number),
    /// A text.
    Text(String),
    /// A boolean.
    Bool(bool),
    /// Known to be unknown.
    Null(()),
}

impl From<f64> for MetricValue {
    /// A number that JSON can't hold (NaN, an infinity) becomes null.
    fn from(value: f64) -> Self {
        serde_json::Number::from_f64(value).map_or(Self::Null(()), Self::Number)
    }
}

impl From<u64> for MetricValue {
    fn from(value: u64) -> Self {
        Self::Number(value.into())
    }
}

impl From<i64> for MetricValue {
    fn from(value: i64) -> Self {
        Self::Number(value.into())
    }
}

impl From<&str> for MetricValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<bool> for MetricValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// `metric_update`: the newest values of a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS, schemars::JsonSchema))]
pub struct MetricUpdate {
    /// The metric's name, such as `voice_call`.
    pub metric: String,
    /// Its values by name.
    pub values: BTreeMap<String, MetricValue>,
}

/// `agent_status_change`: an AI agent's status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS, schemars::JsonSchema))]
pub struct AgentStatusChange {
    /// The agent.
    pub agent_id: String,
    /// Its status, such as `online`.
    pub status: String,
    /// A line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub message: Option<String>,
    /// Anything else about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional, type = "Record<string, unknown>"))]
    pub details: Option<Map<String, Value>>,
}

/// How far a voice clone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS, schemars::JsonSchema))]
pub enum CloneStatus {
    /// Waiting to be trained.
    Queued,
    /// In training.
    Processing,
    /// Ready.
    Completed,
    /// Given up.
    Failed,
}

/// `voice_clone_progress`: how far the training of a voice clone is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS, schemars::JsonSchema))]
pub struct VoiceCloneProgress {
    /// Whose clone it is.
    pub user_id: String,
    /// The training job, where the user has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub job_id: Option<String>,
    /// Its status.
    #[serde(deserialize_with = "crate::json::name")]
    pub status: CloneStatus,
    /// Percent, 0 to 100.
    #[serde(serialize_with = "crate::json::plain_number")]
    pub progress: f64,
    /// A line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub message: Option<String>,
}

/// `training_milestone`: something worth telling happened in a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS, schemars::JsonSchema))]
pub struct TrainingMilestone {
    /// Whose training it is.
    pub user_id: String,
    /// What was reached.
    pub milestone: String,
    /// Anything else about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional, type = "Record<string, unknown>"))]
    pub details: Option<Map<String, Value>>,
}

/// `clip_played`: how often a clip was played.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS, schemars::JsonSchema))]
pub struct ClipPlayed {
    /// The clip.
    pub clip_id: String,
    /// Plays so far.
    #[serde(deserialize_with = "whole::deserialize")]
    pub plays: u64,
    /// Where it was played.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub location: Option<String>,
}

/// A typed domain event.
#[derive(Clone, Debug, PartialEq)]
pub enum DomainEvent {
    /// `metric_update`
    MetricUpdate(MetricUpdate),
    /// `agent_status_change`
    AgentStatusChange(AgentStatusChange),
    /// `voice_clone_progress`
    VoiceCloneProgress(VoiceCloneProgress),
    /// `training_milestone`
    TrainingMilestone(TrainingMilestone),
    /// `clip_played`
    ClipPlayed(ClipPlayed),
}

/// The types of the domain events, in the order of §4.
pub const DOMAIN_TYPES: [&str; 5] =
    ["metric_update", "agent_status_change", "voice_clone_progress", "training_milestone", "clip_played"];

/// How an event reaches a connection that is behind (§5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryClass {
    /// Never dropped while the connection lives.
    Reliable,
    /// An older one of the same room, type and key may give way to a newer one.
    Latest,
}

/// How an event is delivered; `key` is there for [`DeliveryClass::Latest`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classified {
    /// The class.
    pub class: DeliveryClass,
    /// What the newest is kept of.
    pub key: Option<String>,
}

/// An event that can't be taken, with the path of the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct EventError {
    /// The field, such as `data.progress`.
    pub path: String,
    /// What is wrong with it and what is expected.
    pub message: String,
}

impl EventError {
    fn new(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into() }
    }
}

impl DomainEvent {
    /// Parses and validates `data` when `kind` is a domain event; `None` for any other name.
    pub fn parse(kind: &str, data: &str) -> Option<Result<Self, EventError>> {
        fn typed<'a, T: Deserialize<'a>>(data: &'a str) -> Result<T, EventError> {
            crate::codec::typed("data", data).map_err(|(path, message)| EventError { path, message })
        }
        let event = match kind {
            "metric_update" => typed(data).map(Self::MetricUpdate),
            "agent_status_change" => typed(data).map(Self::AgentStatusChange),
            "voice_clone_progress" => typed(data).map(Self::VoiceCloneProgress),
            "training_milestone" => typed(data).map(Self::TrainingMilestone),
            "clip_played" => typed(data).map(Self::ClipPlayed),
            _ => return None,
        };
        Some(event.and_then(|event| event.validate().map(|()| event)))
    }

    /// Checks what the types alone don't: names that are needed are not empty, progress is 0 to 100, ids make room names.
    pub fn validate(&self) -> Result<(), EventError> {
        self.rules(&mut |field, rule| rule.check().map_err(|message| EventError::new(&format!("data.{field}"), message)))
    }

    /// Gives each field that has a [`Rule`] to `each`, in the order in which they are checked
    /// (what may be left out comes last); an error ends it.
    pub(crate) fn rules<E>(&self, each: &mut dyn FnMut(&'static str, Rule<'_>) -> Result<(), E>) -> Result<(), E> {
        match self {
            Self::MetricUpdate(event) => each("metric", Rule::Name(Some(&event.metric))),
            Self::AgentStatusChange(event) => {
                each("agentId", Rule::RoomId { prefix: "agent", id: &event.agent_id })?;
                each("status", Rule::Name(Some(&event.status)))
            }
            Self::VoiceCloneProgress(event) => {
                each("userId", Rule::RoomId { prefix: "user", id: &event.user_id })?;
                each("progress", Rule::Range { value: event.progress, from: 0, to: 100 })?;
                each("jobId", Rule::Name(event.job_id.as_deref()))
            }
            Self::TrainingMilestone(event) => {
                each("userId", Rule::RoomId { prefix: "user", id: &event.user_id })?;
                each("milestone", Rule::Name(Some(&event.milestone)))
            }
            Self::ClipPlayed(event) => {
                each("clipId", Rule::Name(Some(&event.clip_id)))?;
                each("plays", Rule::Integer(event.plays))
            }
        }
    }

    /// The type on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::MetricUpdate(_) => "metric_update",
            Self::AgentStatusChange(_) => "agent_status_change",
            Self::VoiceCloneProgress(_) => "voice_clone_progress",
            Self::TrainingMilestone(_) => "training_milestone",
            Self::ClipPlayed(_) => "clip_played",
        }
    }

    /// The rooms that it goes to, in the order of §4. Fails only for ids that [`Self::validate`] refuses.
    pub fn rooms(&self) -> Result<Vec<RoomName>, EventError> {
        let room = |path: &str, prefix: &str, id: &str| {
            RoomName::with_id(prefix, id).map_err(|error| EventError::new(path, error.to_string()))
        };
        Ok(match self {
            Self::MetricUpdate(_) => vec![room("data", "dashboard", "overview")?],
            Self::AgentStatusChange(event) => {
                vec![room("data.agentId", "agent", &event.agent_id)?, room("data", "dashboard", "overview")?]
            }
            Self::VoiceCloneProgress(event) => {
                vec![room("data.userId", "user", &event.user_id)?, room("data", "voice", "training")?]
            }
            Self::TrainingMilestone(event) => {
                vec![room("data", "voice", "training")?, room("data.userId", "user", &event.user_id)?]
            }
            Self::ClipPlayed(_) => vec![room("data", "clips", "analytics")?],
        })
    }

    /// Delivery class and conflation key (§4).
    pub fn classify(&self) -> Classified {
        let latest = |key: String| Classified { class: DeliveryClass::Latest, key: Some(key) };
        match self {
            Self::MetricUpdate(event) => latest(event.metric.clone()),
            Self::AgentStatusChange(event) => latest(event.agent_id.clone()),
            // A length before the first part keeps ("a", "b:c") and ("a:b", "c") apart.
            Self::VoiceCloneProgress(event) => {
                let job = event.job_id.as_deref().unwrap_or("");
                latest(format!("{}:{}{}", event.user_id.len(), event.user_id, job))
            }
            Self::ClipPlayed(event) => latest(event.clip_id.clone()),
            Self::TrainingMilestone(_) => Classified { class: DeliveryClass::Reliable, key: None },
        }
    }

    /// The payload as it goes on the wire.
    pub fn data(&self) -> Result<JsonObject, serde_json::Error> {
        match self {
            Self::MetricUpdate(event) => JsonObject::from_serialize(event),
            Self::AgentStatusChange(event) => JsonObject::from_serialize(event),
            Self::VoiceCloneProgress(event) => JsonObject::from_serialize(event),
            Self::TrainingMilestone(event) => JsonObject::from_serialize(event),
            Self::ClipPlayed(event) => JsonObject::from_serialize(event),
        }
    }
}

/// Checks an event of any name before it is published: the name is free to use, its frame will not nest too deep, and
/// a domain event's data is valid. Tells how to deliver it.
pub fn classify(kind: &str, data: &JsonObject) -> Result<Classified, EventError> {
    check_event_name(kind)?;
    if !crate::codec::nests_within(data.get(), MAX_DEPTH - 1) {
        return Err(EventError::new("data", "nests deeper than 31 levels"));
    }
    match DomainEvent::parse(kind, data.get()) {
        Some(event) => event.map(|event| event.classify()),
        None => Ok(Classified { class: DeliveryClass::Reliable, key: None }),
    }
}

/// Refuses names that the system uses (§4), empty ones, and what is over [`MAX_TYPE_BYTES`].
pub fn check_event_name(kind: &str) -> Result<(), EventError> {
    if kind.is_empty() || kind.len() > MAX_TYPE_BYTES || kind.chars().any(char::is_control) {
        return Err(EventError::new("type", "must be 1 to 128 bytes without control characters"));
    }
    if crate::server_msg::SYSTEM_TYPES.contains(&kind) {
        return Err(EventError::new("type", format!("{kind} is a name of the system: choose another for your event")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: &str, data: &str) -> Result<DomainEvent, EventError> {
        DomainEvent::parse(kind, data).expect("a domain event")
    }

    #[test]
    fn rooms_classes_and_keys() {
        let check = |kind: &str, data: &str, rooms: &[&str], key: Option<&str>| {
            let event = parse(kind, data).expect("valid");
            let names: Vec<_> = event.rooms().expect("rooms").iter().map(|room| room.to_string()).collect();
            assert_eq!(names, rooms, "{kind}");
            assert_eq!(event.classify().key.as_deref(), key, "{kind}");
            assert_eq!(event.kind(), kind);
        };
        check(
            "metric_update",
            r#"{"metric":"m","values":{"a":1,"b":"x","c":true,"d":null}}"#,
            &["dashboard:overview"],
            Some("m"),
        );
        check("agent_status_change", r#"{"agentId":"7","status":"online"}"#, &["agent:7", "dashboard:overview"], Some("7"));
        check(
            "voice_clone_progress",
            r#"{"userId":"u","jobId":"j","status":"queued","progress":0}"#,
            &["user:u", "voice:training"],
            Some("1:uj"),
        );
        check("training_milestone", r#"{"userId":"u","milestone":"half"}"#, &["voice:training", "user:u"], None);
        check("clip_played", r#"{"clipId":"c","plays":3}"#, &["clips:analytics"], Some("c"));
    }

    #[test]
    fn a_bad_event_names_its_field() {
        for (kind, data, path) in [
            ("metric_update", r#"{"values":{}}"#, "data.metric"),
            ("metric_update", r#"{"metric":"","values":{}}"#, "data.metric"),
            ("metric_update", r#"{"metric":"m","values":{"a":[1]}}"#, "data.values.a"),
            ("metric_update", r#"{"metric":7,"values":{}}"#, "data.metric"),
            ("agent_status_change", r#"{"agentId":"","status":"x"}"#, "data.agentId"),
            ("voice_clone_progress", r#"{"userId":"u","status":"done","progress":1}"#, "data.status"),
            ("voice_clone_progress", r#"{"userId":"u","status":"queued","progress":101}"#, "data.progress"),
            ("clip_played", r#"{"clipId":"c","plays":-1}"#, "data.plays"),
            ("clip_played", r#"{"clipId":"c","plays":1.5}"#, "data.plays"),
            ("clip_played", r#"{"clipId":"c","plays":1e300}"#, "data.plays"),
            ("clip_played", r#"{"clipId":"c","plays":"3"}"#, "data.plays"),
        ] {
            let error = parse(kind, data).expect_err(data);
            assert_eq!(error.path, path, "{data}: {error}");
        }
    }

    #[test]
    fn system_names_are_reserved() {
        for kind in crate::server_msg::SYSTEM_TYPES {
            assert!(check_event_name(kind).is_err(), "{kind}");
        }
        assert!(check_event_name("order_created").is_ok());
        assert!(check_event_name("").is_err());
        assert!(check_event_name("a\nb").is_err());
    }
}
