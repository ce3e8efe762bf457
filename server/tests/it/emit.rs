//! The handle's `emit_…` methods: each event arrives typed as §4 has it, in each of its rooms.

use osbackend_protocol::event::{AgentStatusChange, ClipPlayed, CloneStatus, TrainingMilestone, VoiceCloneProgress};
use osbackend_server::{Emitted, PublishError};
use serde_json::{Value, json};

use crate::support::{Client, TestServer};

/// An admin in every room that the domain events go to.
async fn listener(server: &TestServer) -> Client {
    let mut client = server.admin().await;
    for room in ["dashboard:overview", "agent:7", "user:ada", "voice:training", "clips:analytics"] {
        client.join(room).await;
    }
    client
}

/// The event arrives once in each of `rooms`, in their order, with this data.
async fn arrives(client: &mut Client, emitted: Result<Emitted, PublishError>, kind: &str, rooms: &[&str], data: &Value) {
    let emitted = emitted.unwrap();
    let told: Vec<_> = emitted.rooms.iter().map(|published| published.room.as_str()).collect();
    assert_eq!(told, rooms, "{kind}");
    for published in &emitted.rooms {
        let event = client.expect(kind).await;
        assert_eq!(event["room"], published.room.as_str());
        assert_eq!(event["offset"].as_u64(), published.offset);
        assert_eq!((&event["eventId"], &event["data"]), (&json!(emitted.event_id), data));
    }
}

#[tokio::test]
async fn each_domain_event_reaches_its_rooms_as_it_is_typed() {
    let server = TestServer::start().await;
    let client = &mut listener(&server).await;
    let handle = &server.handle;

    let emitted = handle.emit_metric_update("voice_call", [("active", 3_u64), ("failed", 0)]).await;
    let data = json!({"metric": "voice_call", "values": {"active": 3, "failed": 0}});
    arrives(client, emitted, "metric_update", &["dashboard:overview"], &data).await;

    let change =
        AgentStatusChange { agent_id: "7".into(), status: "busy".into(), message: Some("on a call".into()), details: None };
    let emitted = handle.emit_agent_status_change(change).await;
    let data = json!({"agentId": "7", "status": "busy", "message": "on a call"});
    arrives(client, emitted, "agent_status_change", &["agent:7", "dashboard:overview"], &data).await;

    let (user_id, job_id) = ("ada".to_owned(), Some("j1".to_owned()));
    let progress = VoiceCloneProgress { user_id, job_id, status: CloneStatus::Processing, progress: 42.5, message: None };
    let emitted = handle.emit_voice_clone_progress(progress).await;
    let data = json!({"userId": "ada", "jobId": "j1", "status": "processing", "progress": 42.5});
    arrives(client, emitted, "voice_clone_progress", &["user:ada", "voice:training"], &data).await;

    let milestone = TrainingMilestone { user_id: "ada".into(), milestone: "half".into(), details: None };
    let emitted = handle.emit_training_milestone(milestone).await;
    let data = json!({"userId": "ada", "milestone": "half"});
    arrives(client, emitted, "training_milestone", &["voice:training", "user:ada"], &data).await;

    let clip = ClipPlayed { clip_id: "c".into(), plays: 9, location: Some("Leeds".into()) };
    let emitted = handle.emit_clip_played(clip).await;
    let data = json!({"clipId": "c", "plays": 9, "location": "Leeds"});
    arrives(client, emitted, "clip_played", &["clips:analytics"], &data).await;
}

#[tokio::test]
async fn an_event_that_breaks_its_type_is_refused_with_the_field() {
    let server = TestServer::start().await;
    let progress =
        VoiceCloneProgress { user_id: "ada".into(), job_id: None, status: CloneStatus::Queued, progress: 101.0, message: None };
    let refused = server.handle.emit_voice_clone_progress(progress).await.unwrap_err();
    assert!(matches!(&refused, PublishError::Event(error) if error.path == "data.progress"), "{refused}");
    assert!(server.handle.stats().rooms.iter().all(|room| room.offset == 0), "nothing of it was published");
}
