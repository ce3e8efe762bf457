//! Plays the demo's business into a server.

use osbackend_protocol::{JsonObject, RoomName};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::{Feed, Happening, STEP, past, resume};
use crate::realtime::Handle;

/// Lets `feed` go on from what a former process stored, and gives the charts a past where they have none. Call it before
/// anyone can look: in a room that is joined these would be ten thousand events at once.
pub async fn fill_in(handle: &Handle, feed: &mut Feed) {
    if let Err(error) = resume::play(handle, feed) {
        tracing::warn!(%error, "the demo feed could not read its former state: agents, jobs and clips begin anew");
    }
    if let Err(error) = past::play(handle, feed).await {
        tracing::warn!(%error, "the demo feed could not fill in the past: the charts begin now");
    }
}

/// Plays `feed` into the server until the task is dropped; the first values of everything at once.
pub async fn run(handle: Handle, mut feed: Feed) {
    let mut steps = interval(STEP);
    // After a pause of the machine the business goes on; it does not catch up.
    steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut happenings = feed.first();
    loop {
        for happening in happenings {
            play(&handle, happening).await;
        }
        steps.tick().await;
        happenings = feed.step();
    }
}

async fn play(handle: &Handle, happening: Happening) {
    let played = match happening {
        Happening::Event(event) => handle.emit(event).await.map(|_| ()),
        Happening::Announcement { message, level } => {
            let data = JsonObject::from_serialize(&json!({"message": message, "level": level}));
            let (Ok(room), Ok(data)) = (RoomName::parse("admin:broadcast"), data) else { return };
            handle.publish(room, "admin_broadcast", &data, None).await.map(|_| ())
        }
    };
    if let Err(error) = played {
        tracing::warn!(%error, "the demo feed could not publish");
    }
}
