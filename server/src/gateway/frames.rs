//! From what a queue held to WebSocket messages: one each, or several as one JSON array (§7).

use crate::hub::outbox::Item;
use bytes::Bytes;
use osbackend_protocol::limits::MAX_BATCH_BYTES;
use std::collections::VecDeque;
use tungstenite::Message;

/// One message a frame.
pub fn single(items: Vec<Item>) -> VecDeque<Message> {
    let mut messages = VecDeque::with_capacity(items.len());
    for item in items {
        match item {
            Item::Run(run) => messages.extend(run.events.iter().map(|event| Message::Text(event.text.clone()))),
            item => messages.push_back(whole(item)),
        }
    }
    messages
}

/// Messages that wait together go as one JSON array, up to [`MAX_BATCH_BYTES`] each.
pub fn batched(items: Vec<Item>) -> VecDeque<Message> {
    let mut batch = Batch { first: None, frame: String::new(), messages: VecDeque::new() };
    let mut left: usize = items.iter().map(length).sum();
    for item in items {
        let length = length(&item);
        if matches!(item, Item::Binary(_) | Item::Ping) {
            batch.end();
            batch.messages.push_back(whole(item));
        } else {
            batch.add(item, length, left);
        }
        left -= length;
    }
    batch.end();
    batch.messages
}

struct Batch {
    /// A single message goes as it is, without a copy.
    first: Option<Item>,
    frame: String,
    messages: VecDeque<Message>,
}

impl Batch {
    /// `left` is what this item and those after it take.
    fn add(&mut self, item: Item, item_bytes: usize, left: usize) {
        let before = self.frame.len() + self.first.as_ref().map_or(0, length);
        if before > 0 && before + item_bytes + 3 > MAX_BATCH_BYTES {
            self.end();
        }
        if self.frame.is_empty() {
            let Some(first) = self.first.take() else {
                self.first = Some(item);
                return;
            };
            self.frame.reserve((length(&first) + left + 16).min(MAX_BATCH_BYTES));
            self.frame.push('[');
            append(&mut self.frame, &first);
        }
        self.frame.push(',');
        append(&mut self.frame, &item);
    }

    fn end(&mut self) {
        if let Some(item) = self.first.take() {
            self.messages.push_back(whole(item));
        } else if !self.frame.is_empty() {
            self.frame.push(']');
            self.messages.push_back(Message::Text(std::mem::take(&mut self.frame).into()));
        }
    }
}

/// The item as a message of its own.
fn whole(item: Item) -> Message {
    match item {
        Item::Text(text) => Message::Text(text),
        Item::Event(event) => Message::Text(event.text()),
        Item::Run(run) => Message::Text(run.frame().clone()),
        Item::Binary(data) => Message::Binary(data),
        Item::Ping => Message::Ping(Bytes::new()),
    }
}

/// What an item takes in a batch, at most, with a comma.
fn length(item: &Item) -> usize {
    match item {
        Item::Text(text) => text.len() + 1,
        // `snapshot` and `skipped` are added when it is written.
        Item::Event(event) if event.skipped > 0 || event.snapshot => event.event.text.len() + 49,
        Item::Event(event) => event.event.text.len() + 1,
        Item::Run(run) => run.frame_bytes(),
        Item::Binary(_) | Item::Ping => 0,
    }
}

fn append(frame: &mut String, item: &Item) {
    match item {
        Item::Text(text) => frame.push_str(text.as_str()),
        Item::Event(event) => event.write_text(frame),
        Item::Run(run) => {
            let array = run.frame().as_str();
            frame.push_str(array.strip_prefix('[').and_then(|array| array.strip_suffix(']')).unwrap_or(array));
        }
        Item::Binary(_) | Item::Ping => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{
        event::{NewEvent, StoredEvent},
        outbox::{QueuedEvent, Run},
        reliable,
    };
    use osbackend_protocol::{JsonObject, RoomName, Timestamp};
    use std::sync::Arc;

    fn event(offset: u64, bytes: usize) -> Arc<StoredEvent> {
        let new = NewEvent {
            kind: "tick".into(),
            data: JsonObject::parse(&format!(r#"{{"pad":"{}"}}"#, "x".repeat(bytes))).unwrap(),
            classified: reliable(),
            event_id: "e".into(),
            ephemeral: false,
            idempotency_key: None,
        };
        Arc::new(StoredEvent::new(&new, &RoomName::parse("agent:7").unwrap(), 1, Some(offset), Timestamp(0)))
    }

    /// One run, one event alone, a reply, and an event that tells of skipped ones.
    fn items(bytes: usize) -> Vec<Item> {
        let mut items = Run::items((1..=3).map(|offset| event(offset, bytes)).collect());
        items.push(Item::Event(QueuedEvent::live(event(4, bytes))));
        items.push(Item::Text(r#"{"type":"heartbeat"}"#.into()));
        let mut skipping = QueuedEvent::live(event(7, bytes));
        skipping.skipped = 2;
        items.push(Item::Event(skipping));
        items
    }

    fn texts(messages: VecDeque<Message>) -> Vec<String> {
        messages.into_iter().map(|message| message.into_text().unwrap().to_string()).collect()
    }

    #[test]
    fn a_batch_is_the_array_of_the_single_messages() {
        let single = texts(single(items(10)));
        assert_eq!(single.len(), 6);
        assert_eq!(texts(batched(items(10))), [format!("[{}]", single.join(","))]);
    }

    #[test]
    fn a_run_alone_is_a_frame_already_made() {
        let run = Run::items(vec![event(1, 10), event(2, 10)]);
        let single = texts(single(run.clone()));
        assert_eq!(texts(batched(run)), [format!("[{}]", single.join(","))]);
    }

    #[test]
    fn one_message_is_no_array() {
        assert_eq!(texts(batched(vec![Item::Text("{}".into())])), ["{}"]);
        assert!(batched(Vec::new()).is_empty());
    }

    #[test]
    fn no_frame_is_over_its_bound_and_a_ping_keeps_its_place() {
        let mut all: Vec<Item> = (0..4).flat_map(|_| items(9_000)).collect();
        all.insert(9, Item::Ping);
        let messages = batched(all.clone());
        let single = texts(single(all.into_iter().filter(|item| !matches!(item, Item::Ping)).collect()));
        assert_eq!(messages.iter().filter(|message| matches!(message, Message::Ping(_))).count(), 1);
        let frames = texts(messages.into_iter().filter(|message| matches!(message, Message::Text(_))).collect());
        assert!(frames.len() > 3 && frames.iter().all(|frame| frame.len() <= MAX_BATCH_BYTES));
        let inner = frames.iter().map(|frame| frame.trim_start_matches('[').trim_end_matches(']'));
        assert_eq!(inner.collect::<Vec<_>>().join(","), single.join(","));
    }
}
