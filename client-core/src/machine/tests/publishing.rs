//! Publishes: keys, retries over lost connections and refusals, order, and outcomes that can't be known.

use super::*;
pub(super) use crate::publish::Publish;
use crate::publish::{MOST_FLYING, WINDOW_MS};
use osbackend_protocol::client_msg::Publish as Written;

pub(super) fn note(room: &str) -> Publish {
    Publish { room: room.to_owned(), kind: "note".to_owned(), data: Some("{}".to_owned()), ..Publish::default() }
}

/// The publishes among what was written, with their ids.
pub(super) fn published(outputs: Vec<Output>) -> Vec<(u64, Written)> {
    let publish = |(id, message)| match message {
        ClientMessage::Publish(publish) => Some((id, publish)),
        _ => None,
    };
    writes(outputs).into_iter().filter_map(publish).collect()
}

/// How requests ended.
pub(super) fn failures(outputs: Vec<Output>) -> Vec<(u64, String)> {
    let failed = |output| match output {
        Output::RequestFailed { id, failure } => Some((id, failure.code.into_owned())),
        _ => None,
    };
    outputs.into_iter().filter_map(failed).collect()
}

impl Rig {
    pub(super) fn publish(&mut self, event: Publish) -> (u64, Vec<Output>) {
        let id = self.machine.publish(&event, self.now);
        (id, self.outputs())
    }

    /// Waits for the next attempt, and is greeted as `greeting`.
    pub(super) fn greeted(&mut self, greeting: Greeting) -> Vec<Output> {
        while !matches!(self.machine.state(), ConnectionState::Connecting { .. }) {
            self.ring();
        }
        self.open();
        self.control(Control::Greeting(Box::new(greeting)))
    }

    pub(super) fn refuse(&mut self, id: u64, code: &str, retry_after_ms: Option<u64>) -> Vec<Output> {
        self.control(Control::Error { id: Some(id), error: ErrorBody { retry_after_ms, ..error(code) } })
    }
}

#[test]
fn every_publish_has_a_key_of_its_own_and_an_explicit_one_is_kept() {
    let mut rig = Rig::live(vec![]);
    let written: Vec<Written> = (0..50).flat_map(|_| published(rig.publish(note("agent:1")).1)).map(|(_, event)| event).collect();
    let other = published({
        let mut other = Rig::new();
        other.machine = Machine::new(Config::default(), 43, 1_000);
        other.input(Input::Connect);
        other.open();
        other.control(Control::Greeting(Box::new(greeting(vec![]))));
        other.publish(note("agent:1")).1
    });
    let keys: std::collections::BTreeSet<_> = written
        .into_iter()
        .chain(other.into_iter().map(|(_, event)| event))
        .map(|event| event.idempotency_key.unwrap())
        .collect();
    assert_eq!(keys.len(), 51);
    let own = Publish { idempotency_key: Some("mine \"1\"".to_owned()), ..note("agent:1") };
    assert_eq!(published(rig.publish(own).1)[0].1.idempotency_key.as_deref(), Some("mine \"1\""));
}

#[test]
fn a_publish_whose_answer_was_lost_is_written_again_as_it_was_and_resolved_once() {
    let mut rig = Rig::live(vec![]);
    let (id, outputs) = rig.publish(note("agent:1"));
    let first = published(outputs);
    assert_eq!(rig.close(1006).len(), 1, "nothing but the state is told");
    let again = published(rig.greeted(greeting(vec![])));
    assert_eq!(again, first);
    assert_eq!((rig.machine.settle(id), rig.machine.settle(id)), (Settled::Request, Settled::Nobody));
    rig.close(1006);
    assert_eq!(published(rig.greeted(greeting(vec![]))), []);
}

#[test]
fn what_was_written_comes_before_what_was_published_while_offline_in_the_order_of_the_calls() {
    let mut rig = Rig::live(vec![]);
    let flying: Vec<u64> = (0..3).map(|_| rig.publish(note("agent:1")).0).collect();
    assert_eq!(rig.machine.settle(flying[1]), Settled::Request);
    rig.close(1006);
    let offline = rig.publish(note("agent:1")).0;
    let ids: Vec<u64> = published(rig.greeted(greeting(vec![]))).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [flying[0], flying[2], offline]);
}

#[test]
fn an_ephemeral_publish_is_written_once() {
    let mut rig = Rig::live(vec![]);
    let (id, outputs) = rig.publish(Publish { ephemeral: true, ..note("agent:1") });
    let written = published(outputs).remove(0).1;
    assert!(written.ephemeral && written.idempotency_key.is_none());
    assert_eq!(failures(rig.close(1006)), [(id, "unavailable".to_owned())]);
    assert_eq!(published(rig.greeted(greeting(vec![]))), []);
}

#[test]
fn refused_for_now_is_tried_again_after_the_servers_time_and_holds_back_what_follows() {
    let mut rig = Rig::live(vec![]);
    let first = rig.publish(note("agent:1")).0;
    assert_eq!(rig.refuse(first, "rate_limited", Some(2_000)), []);
    let (second, outputs) = rig.publish(note("agent:1"));
    assert_eq!(outputs, [], "it would overtake the first");
    assert_eq!(rig.advance(1_999), []);
    let written = published(rig.advance(2_001));
    assert_eq!(written.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [first]);
    rig.machine.settle(first);
    assert_eq!(published(rig.outputs())[0].0, second, "only now");
}

#[test]
fn a_final_refusal_ends_it_and_so_does_one_that_leaves_no_time() {
    let mut rig = Rig::live(vec![]);
    let id = rig.publish(note("agent:1")).0;
    assert_eq!(failures(rig.refuse(id, "forbidden", None)), [(id, "forbidden".to_owned())]);
    let id = rig.publish(Publish { timeout_ms: Some(5_000), ..note("agent:1") }).0;
    assert_eq!(failures(rig.refuse(id, "unavailable", Some(5_000))), [(id, "unavailable".to_owned())]);
}

#[test]
fn a_deadline_tells_whether_the_event_can_have_been_stored() {
    let mut rig = Rig::new();
    let never = rig.publish(Publish { timeout_ms: Some(500), ..note("agent:1") }).0;
    assert_eq!(failures(rig.ring()), [(never, "timeout".to_owned())]);
    let mut rig = Rig::live(vec![]);
    let flying = rig.publish(Publish { timeout_ms: Some(500), ..note("agent:1") }).0;
    assert_eq!(failures(rig.ring()), [(flying, "outcome_unknown".to_owned())]);
    let lost = rig.publish(Publish { timeout_ms: Some(500), ..note("agent:1") }).0;
    rig.close(1006);
    assert_eq!(failures(rig.ring()), [(lost, "outcome_unknown".to_owned())]);
    let mut rig = Rig::live(vec![]);
    let refused = rig.publish(Publish { timeout_ms: Some(5_000), ..note("agent:1") }).0;
    rig.refuse(refused, "unavailable", Some(1_500));
    rig.close(1006);
    assert_eq!(failures(rig.advance(5_000)), [(refused, "unavailable".to_owned())]);
}

#[test]
fn nothing_is_written_again_after_the_servers_memory_of_keys() {
    let mut rig = Rig::live(vec![]);
    let id = rig.publish(Publish { timeout_ms: Some(3_600_000), ..note("agent:1") }).0;
    rig.close(1006);
    assert_eq!(failures(rig.advance(WINDOW_MS)), [(id, "outcome_unknown".to_owned())]);
    // A clock that stood still while the machine slept: the server knows how long the client was away.
    let mut rig = Rig::live(vec![]);
    let id = rig.publish(note("agent:1")).0;
    rig.close(1006);
    let outputs = rig.greeted(Greeting { downtime_ms: Some(WINDOW_MS), ..greeting(vec![]) });
    assert_eq!(failures(outputs.clone()), [(id, "outcome_unknown".to_owned())]);
    assert_eq!(published(outputs), []);
}

#[test]
fn another_users_session_writes_nothing_of_the_last_users() {
    let mut rig = Rig::live(vec![]);
    let flying = rig.publish(note("agent:1")).0;
    rig.close(1006);
    let fresh = rig.publish(note("agent:1")).0;
    let outputs = rig.greeted(Greeting { user_id: Some("u2".to_owned()), ..greeting(vec![]) });
    assert_eq!(failures(outputs.clone()), [(flying, "outcome_unknown".to_owned()), (fresh, "unavailable".to_owned())]);
    assert_eq!(published(outputs), []);
    // Without a user the key is the client's own: it has to be the same client.
    let nobody =
        |client: &str| Greeting { client_id: client.to_owned(), authenticated: false, user_id: None, ..greeting(vec![]) };
    rig.close(1006);
    rig.greeted(nobody("c1"));
    let id = rig.publish(note("agent:1")).0;
    rig.close(1006);
    assert_eq!(published(rig.greeted(nobody("c1")))[0].0, id);
    rig.close(1006);
    assert_eq!(failures(rig.greeted(nobody("c2"))), [(id, "outcome_unknown".to_owned())]);
}

#[test]
fn a_disconnect_resolves_what_flies_and_what_waits() {
    let mut rig = Rig::live(vec![]);
    let flying = rig.publish(note("agent:1")).0;
    rig.refuse(flying, "rate_limited", Some(1_000));
    rig.ring();
    let waiting = rig.publish(note("agent:1")).0;
    rig.input(Input::SocketClosing);
    let held = rig.publish(note("agent:1")).0;
    let mut over = failures(rig.input(Input::Disconnect));
    over.sort();
    let unknown = |id| (id, "outcome_unknown".to_owned());
    assert_eq!(over, [unknown(flying), (waiting, "unavailable".to_owned()), (held, "unavailable".to_owned())]);
}

#[test]
fn what_flies_is_bounded_and_an_answer_makes_room() {
    let mut rig = Rig::live(vec![]);
    let ids: Vec<u64> = (0..MOST_FLYING + 2).map(|_| rig.machine.publish(&note("agent:1"), rig.now)).collect();
    assert_eq!(published(rig.outputs()).len(), MOST_FLYING);
    assert_eq!(rig.machine.settle(ids[0]), Settled::Request);
    assert_eq!(published(rig.outputs())[0].0, ids[MOST_FLYING]);
    // What was written before is not what an overflow takes.
    rig.close(1006);
    let over: Vec<u64> = (0..300).flat_map(|_| failures(rig.publish(note("agent:1")).1)).map(|(id, _)| id).collect();
    assert_eq!(over.len(), 300 + 1 - Config::default().queue_limit);
    assert_eq!(over[0], ids[MOST_FLYING + 1]);
}

#[test]
fn a_newer_resume_token_comes_with_a_heartbeat_and_with_authenticated() {
    let mut rig = Rig::live(vec![]);
    rig.control(Control::Resume(ResumeGrant { token: "r2".to_owned() }));
    rig.close(1006);
    let connect = rig.again(vec![]);
    assert_eq!(connect.resume.map(|resume| (resume.client_id, resume.token)), Some(("c1".to_owned(), "r2".to_owned())));
    let resume = Some(ResumeGrant { token: "r3".to_owned() });
    rig.control(Control::Authenticated(Authenticated {
        user_id: "u1".to_owned(),
        role: None,
        rooms: vec![],
        policy: None,
        resume,
    }));
    rig.close(1006);
    rig.ring();
    assert_eq!(rig.open().resume.map(|resume| resume.token), Some("r3".to_owned()));
}
