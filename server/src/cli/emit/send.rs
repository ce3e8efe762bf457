//! Events to the API in arrays, and the server's errors back to the lines that they are about.

use std::time::Duration;

use serde_json::{Value, json};

use super::lines::{Line, LineError};
use crate::api::MAX_BODY_BYTES;
use crate::cli::http::{Api, CallError, Refusal};

/// So often an answer 429 is waited out.
const PATIENCE: u32 = 5;
/// The wait where a 429 doesn't say how long.
const PAUSE: Duration = Duration::from_secs(1);
/// An array's bytes, with room for what stands between the events.
const MOST_BYTES: usize = MAX_BODY_BYTES / 2;

/// How it went.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) published: u64,
    pub(super) refused: u64,
    /// The answer about the last event.
    pub(super) last: Option<Value>,
}

/// An event was not published.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error(transparent)]
    Line(#[from] LineError),
    #[error(transparent)]
    Call(#[from] CallError),
}

impl SendError {
    /// Whether the fault is of one event: the others may still go.
    fn is_of_a_line(&self) -> bool {
        matches!(self, Self::Line(_))
    }
}

/// Collects events into arrays and posts them in order.
pub(super) struct Sender {
    api: Api,
    most: usize,
    keep_going: bool,
    waiting: Vec<Line>,
    bytes: usize,
    pub(super) tally: Tally,
}

impl Sender {
    pub(super) fn new(api: Api, most: usize, keep_going: bool) -> Self {
        Self { api, most, keep_going, waiting: Vec::new(), bytes: 0, tally: Tally::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds an event, and posts when there are enough. The errors, in the order of the lines.
    pub(super) async fn add(&mut self, line: Line) -> Vec<SendError> {
        let mut errors = Vec::new();
        if line.room.is_some() || self.bytes + line.event.len() > MOST_BYTES {
            errors.extend(self.flush().await);
        }
        match line.room.clone() {
            Some(room) if errors.iter().all(|error| self.keep_going && error.is_of_a_line()) => {
                errors.extend(self.broadcast(&line, &room).await.err())
            }
            Some(_) => {}
            None => {
                self.bytes += line.event.len();
                self.waiting.push(line);
                if self.waiting.len() >= self.most {
                    errors.extend(self.flush().await);
                }
            }
        }
        errors
    }

    /// Posts what waits. An event that the server refuses is named; those before it are published, and those behind it
    /// where the sender keeps going.
    pub(super) async fn flush(&mut self) -> Vec<SendError> {
        let mut errors = Vec::new();
        self.bytes = 0;
        let mut left = std::mem::take(&mut self.waiting);
        while !left.is_empty() {
            let refusal = match self.post_all(&left).await {
                Ok(()) => break,
                Err(CallError::Refused(refusal)) => refusal,
                Err(error) => {
                    errors.push(error.into());
                    break;
                }
            };
            let Some((index, reason)) = place(&refusal).filter(|(index, _)| *index < left.len()) else {
                errors.push(CallError::Refused(refusal).into());
                break;
            };
            // Nothing of the array was published. The server names the first bad one: those before it are good.
            let behind = left.split_off(index + 1);
            let number = left.pop().map_or(0, |line| line.number);
            if !left.is_empty()
                && let Err(error) = self.post_all(&left).await
            {
                errors.push(error.into());
                break;
            }
            self.tally.refused += 1;
            errors.push(LineError { number, reason }.into());
            left = if self.keep_going { behind } else { Vec::new() };
        }
        errors
    }

    async fn post_all(&mut self, lines: &[Line]) -> Result<(), CallError> {
        let events: Vec<&str> = lines.iter().map(|line| line.event.as_str()).collect();
        let answer = self.post("api/ws/events", format!("[{}]", events.join(","))).await?;
        self.tally.published += lines.len() as u64;
        self.tally.last = answer.as_array().and_then(|answers| answers.last().cloned());
        Ok(())
    }

    async fn broadcast(&mut self, line: &Line, room: &str) -> Result<(), SendError> {
        let body = format!("{{\"room\":{},{}", Value::from(room), &line.event[1..]);
        match self.post("api/ws/broadcast", body).await {
            Ok(answer) => {
                self.tally.published += 1;
                self.tally.last = Some(json!({
                    "rooms": [{"room": answer["room"], "offset": answer["offset"]}],
                    "eventId": answer["eventId"],
                    "recipients": answer["recipients"],
                }));
                Ok(())
            }
            Err(CallError::Refused(refusal)) if matches!(refusal.status.as_u16(), 400 | 413 | 422) => {
                self.tally.refused += 1;
                Err(LineError { number: line.number, reason: refusal.message }.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits out a limit of rate, which refuses before anything is published. Nothing else is tried again: it might
    /// publish twice.
    async fn post(&self, path: &str, body: String) -> Result<Value, CallError> {
        let mut tries = 0;
        loop {
            match self.api.post(path, body.clone()).await {
                Err(CallError::Refused(refusal)) if refusal.status.as_u16() == 429 && tries < PATIENCE => {
                    tries += 1;
                    tokio::time::sleep(refusal.retry_after.unwrap_or(PAUSE)).await;
                }
                answered => return answered,
            }
        }
    }
}

/// Which event of the array was refused, and why, with the field's path within the event.
fn place(refusal: &Refusal) -> Option<(usize, String)> {
    let path = refusal.path.as_deref()?;
    let (index, field) = path.strip_prefix('[')?.split_once(']')?;
    let reason = refusal.message.strip_prefix(path).unwrap_or(&refusal.message);
    let field = field.trim_start_matches('.');
    let reason = if field.is_empty() { reason.trim_start_matches(": ").to_owned() } else { format!("{field}{reason}") };
    Some((index.parse().ok()?, reason))
}
