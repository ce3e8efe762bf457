//! A page of a room's history, as `history:get` and the HTTP API answer it (docs/PROTOCOL.md §3, §9).

use crate::{engine::EngineError, hub::Hub};
use osbackend_protocol::{RoomName, limits::MAX_PAGE_BYTES, server_msg::History};

/// The held events of a room: a page of `limit` events and [`MAX_PAGE_BYTES`] at most.
pub(crate) fn page(
    hub: &Hub,
    room: RoomName,
    since: Option<u64>,
    limit: usize,
    reverse: bool,
    now_ms: u64,
) -> Result<History, EngineError> {
    // One more than asked for tells whether there is more.
    let page = hub.history(&room, since, limit.saturating_add(1), reverse, now_ms)?;
    let mut bytes = 0;
    let fits = page.events.iter().take(limit).take_while(|event| {
        let first = bytes == 0;
        bytes += event.text.len() + 1;
        first || bytes <= MAX_PAGE_BYTES
    });
    let count = fits.count();
    // What was encoded by this server decodes; one that doesn't is left out rather than failing the page.
    let events = page.events[..count].iter().filter_map(|event| serde_json::from_str(&event.text).ok()).collect();
    Ok(History { room, epoch: page.epoch, offset: page.offset, events, more: count < page.events.len() })
}
