/** The demo's own event, made known to the SDK's types by augmentation. */
import type {} from "@osbackend/realtime";

declare module "@osbackend/realtime" {
  interface RealtimeEvents {
    /** A message of an administrator to everyone, in `admin:broadcast`. */
    admin_broadcast: { message: string; level?: string };
  }
}
