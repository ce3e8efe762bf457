/** The words of the generated schema (`generated/events.ts`). */

/** What a value has to be. */
export type Shape =
  /** Bytes are those of UTF-8; `maxEncoded` bounds them once percent-encoded for a room's id. */
  | {
      readonly is: "text";
      readonly minBytes?: number;
      readonly maxBytes?: number;
      readonly maxEncoded?: number;
    }
  | { readonly is: "number"; readonly from?: number; readonly to?: number }
  /** From 0. */
  | { readonly is: "integer"; readonly to?: number }
  | { readonly is: "enum"; readonly names: readonly string[] }
  | { readonly is: "map"; readonly of: Shape }
  | { readonly is: "any"; readonly of: readonly Shape[] }
  | { readonly is: "boolean" | "null" | "json" };

/** A field; an optional one may be null too. */
export type Field = Shape & { readonly optional?: true };

/** The fields of an event's data; others are ignored. */
export type EventSchema = Readonly<Record<string, Field>>;
