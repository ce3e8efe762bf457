/** Frames of successive events made of one recorded event; used by the page and by the replaying server. */

/** `count` texts, each of `batch` events; the first event has the offset after `from`. */
export function frames(event, from, batch, count) {
  const made = [];
  let offset = from;
  for (let n = 0; n < count; n++) {
    const messages = [];
    for (let m = 0; m < batch; m++) {
      offset += 1;
      // As long as the recorded id, and never twice the same.
      const eventId = event.eventId.slice(0, -8) + String(offset).padStart(8, "0");
      messages.push(JSON.stringify({ ...event, offset, eventId }));
    }
    made.push(batch === 1 ? messages[0] : `[${messages.join(",")}]`);
  }
  return made;
}
