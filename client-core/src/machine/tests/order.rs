//! Publishes that the server refuses for now: nothing of their room passes them.

use super::{publishing::*, *};

#[test]
fn a_publish_names_the_one_before_it_in_its_room_while_that_is_unanswered() {
    let mut rig = Rig::live(vec![]);
    let (first, outputs) = rig.publish(note("agent:1"));
    let key = published(outputs).remove(0).1.idempotency_key;
    let (_, other) = rig.publish(note("agent:2"));
    assert_eq!(published(other)[0].1.after, None, "another room");
    let (_, second) = rig.publish(note("agent:1"));
    assert_eq!(published(second)[0].1.after, key);
    rig.machine.settle(first);
    let (_, ephemeral) = rig.publish(Publish { ephemeral: true, ..note("agent:1") });
    assert_eq!(published(ephemeral)[0].1.after, None, "it is in no stream");
}

#[test]
fn what_was_refused_comes_again_alone_and_first_and_the_rest_waits_for_its_answer() {
    let mut rig = Rig::live(vec![]);
    let ids: Vec<u64> = (0..3).map(|_| rig.publish(note("agent:1")).0).collect();
    // The answers come in any order: the second is refused while the first is under way.
    rig.refuse(ids[1], "unavailable", Some(100));
    rig.refuse(ids[2], "unavailable", Some(100));
    let fourth = rig.publish(note("agent:1")).0;
    assert_eq!(published(rig.advance(500)), [], "the first may still be refused");
    rig.machine.settle(ids[0]);
    for id in [ids[1], ids[2], fourth] {
        let written = published(rig.outputs());
        let [(next, event)] = &written[..] else { panic!("{written:?}") };
        assert_eq!((*next, &event.after), (id, &None));
        rig.machine.settle(id);
    }
}

#[test]
fn a_refusal_in_one_room_holds_back_no_other() {
    let mut rig = Rig::live(vec![]);
    let refused = rig.publish(note("agent:1")).0;
    rig.refuse(refused, "unavailable", Some(10_000));
    let (held, outputs) = rig.publish(note("agent:1"));
    assert_eq!(outputs, []);
    let (other, outputs) = rig.publish(note("agent:2"));
    assert_eq!(published(outputs)[0].0, other);
    // Given up, it holds nothing back any more.
    rig.refuse(other, "forbidden", None);
    let over = failures(rig.advance(60_000));
    assert_eq!(over.iter().filter(|(id, _)| *id == refused).count(), 1, "{over:?}");
    assert!(over.iter().any(|(id, _)| *id == held));
}

#[test]
fn another_connection_knows_of_no_refusal() {
    let mut rig = Rig::live(vec![]);
    let ids: Vec<u64> = (0..2).map(|_| rig.publish(note("agent:1")).0).collect();
    ids.iter().for_each(|id| drop(rig.refuse(*id, "rate_limited", Some(20_000))));
    rig.close(1006);
    let written = published(rig.greeted(greeting(vec![])));
    assert_eq!(written.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids, "written at once, one behind the other");
    assert_eq!(written[1].1.after, written[0].1.idempotency_key);
}
