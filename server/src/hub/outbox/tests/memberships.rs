//! Memberships that follow one another in one queue: what the older one skipped is never told to the newer one.

use super::*;

/// A room as the test keeps it: every event so far.
type Stream = Vec<Arc<StoredEvent>>;

/// The position from which a membership begins, as `room_joined` would tell it.
fn joined(room: usize, from: usize) -> Item {
    Item::Text(format!("{room} {from}").into())
}

/// A reader that judges offsets as a client does.
#[derive(Default)]
struct Reader {
    position: [u64; 2],
}

impl Reader {
    fn read(&mut self, items: Vec<Item>) -> Result<(), TestCaseError> {
        for item in items {
            match item {
                Item::Text(text) => {
                    let (room, from) = text.split_once(' ').expect("as it was queued");
                    let room: usize = room.parse().expect("a number");
                    self.position[room] = from.parse().expect("a number");
                }
                Item::Event(queued) => self.event(&queued.event, queued.skipped)?,
                Item::Run(run) => run.events.iter().try_for_each(|event| self.event(event, 0))?,
                other => panic!("{other:?}"),
            }
        }
        Ok(())
    }

    fn event(&mut self, event: &StoredEvent, skipped: u64) -> Result<(), TestCaseError> {
        let (room, offset) = (event.room_id as usize, event.offset.expect("an offset"));
        prop_assert_eq!(offset, self.position[room] + skipped + 1, "a gap or a repeat in room {}", room);
        self.position[room] = offset;
        Ok(())
    }
}

proptest! {
    /// Joins, events one by one and together, and reads in any order: within each membership every offset is delivered or told.
    #[test]
    fn each_membership_accounts_for_its_own_offsets(
        steps in prop::collection::vec((0_usize..12, 0_usize..2, 0_usize..5, 1_usize..4000), 1..300)
    ) {
        let outbox = Outbox::new(0);
        let mut streams: [Stream; 2] = Default::default();
        let mut reader = Reader::default();
        let make = |streams: &mut [Stream; 2], room: usize, key: usize, bytes: usize| {
            let (offset, name) = (streams[room].len() as u64 + 1, format!("k{key}"));
            let event = event(room as u64, offset, (key > 0).then_some(name.as_str()), bytes);
            streams[room].push(event.clone());
            event
        };
        for (what, room, key, bytes) in steps {
            match what {
                0 => reader.read(outbox.take().items)?,
                1 => {
                    let from = streams[room].len().saturating_sub(bytes % 40);
                    outbox.seal(room as u64);
                    outbox.push(joined(room, from));
                    outbox.replay(streams[room][from..].to_vec(), false);
                }
                2 => {
                    let together = (0..3).map(|_| make(&mut streams, room, key, bytes)).collect();
                    Run::items(together).into_iter().for_each(|item| outbox.push(item));
                }
                _ => outbox.push(live(make(&mut streams, room, key, bytes))),
            }
        }
        reader.read(take_all(&outbox))?;
        let ends = streams.map(|stream| stream.len() as u64);
        prop_assert_eq!(reader.position, ends);
        prop_assert_eq!(outbox.bytes(), 0);
    }
}

#[test]
fn a_seal_costs_the_same_however_long_the_queue_is() {
    let outbox = Outbox::new(0);
    (1..=20).for_each(|offset| outbox.push(live(event(1, offset, Some("k"), 2_000))));
    // More rooms than are remembered one by one: from then on all that waits counts as sealed.
    (2..=2_000).for_each(|room| outbox.seal(room));
    let sealed = outbox.bytes();
    outbox.push(live(event(1, 21, Some("k"), 2_000)));
    assert!(outbox.bytes() > sealed, "what is sealed is not replaced");
    let before = outbox.bytes();
    outbox.push(live(event(1, 22, Some("k"), 2_000)));
    assert_eq!(outbox.bytes(), before, "what came after the seals is");
    let newest: Vec<_> = offsets(&take_all(&outbox)).into_iter().rev().map(|(offset, _)| offset).take(2).collect();
    assert_eq!(newest, [22, 20]);
}
