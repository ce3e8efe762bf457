// Generated from shared-protocol by `cargo xtask codegen`; do not edit.

import type { EventSchema } from "../validate/schema.js";

/** The fields of each domain event (§4), in the order in which Rust looks for them. */
export const EVENT_SCHEMAS: Readonly<Record<string, EventSchema>> = {
  metric_update: {
    metric: { is: "text", minBytes: 1, maxBytes: 128 },
    values: { is: "map", of: { is: "any", of: [{ is: "number" }, { is: "text" }, { is: "boolean" }, { is: "null" }] } },
  },
  agent_status_change: {
    agentId: { is: "text", minBytes: 1, maxBytes: 128, maxEncoded: 128 },
    status: { is: "text", minBytes: 1, maxBytes: 128 },
    details: { is: "map", of: { is: "json" }, optional: true },
    message: { is: "text", optional: true },
  },
  voice_clone_progress: {
    userId: { is: "text", minBytes: 1, maxBytes: 128, maxEncoded: 128 },
    status: { is: "enum", names: ["queued","processing","completed","failed"] },
    progress: { is: "number", from: 0, to: 100 },
    jobId: { is: "text", minBytes: 1, maxBytes: 128, optional: true },
    message: { is: "text", optional: true },
  },
  training_milestone: {
    userId: { is: "text", minBytes: 1, maxBytes: 128, maxEncoded: 128 },
    milestone: { is: "text", minBytes: 1, maxBytes: 128 },
    details: { is: "map", of: { is: "json" }, optional: true },
  },
  clip_played: {
    clipId: { is: "text", minBytes: 1, maxBytes: 128 },
    plays: { is: "integer", to: 9007199254740991 },
    location: { is: "text", optional: true },
  },
};

/** What stays one byte in a room's id; each byte of other characters becomes three (§5). */
export const PLAIN_ID = "+-.0123456789=@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz|~";

/** The deepest nesting of an event's data (§2). */
export const MAX_DEPTH = 31;
