/**
 * Checks a domain event's data by the schema that is generated from the Rust types, and names the field that Rust would
 * name. Two things that Rust refuses can't be seen in what was parsed already: `1.0` for an integer, and a field that is
 * there twice.
 */
import { EVENT_SCHEMAS, MAX_DEPTH, PLAIN_ID } from "../generated/events.js";
import type { Field, Shape } from "./schema.js";

/** What is wrong with an event. */
export interface Problem {
  /** The field, such as `data.values.active`. */
  path: string;
  /** What belongs there. */
  expected: string;
  /** What is there: its kind and size, and no text of it beyond a short name. */
  received: string;
}

type Fields = Readonly<Record<string, unknown>>;

/** A problem with its path in pieces, so that nothing is joined for what is in order. */
interface Found {
  path: string[];
  expected: string;
  value: unknown;
}

/** What is wrong with the data of a domain event; nothing for other names. */
export function checkDomainEvent(type: string, data: unknown): Problem | undefined {
  const schema = Object.hasOwn(EVENT_SCHEMAS, type) ? EVENT_SCHEMAS[type] : undefined;
  if (schema === undefined) return undefined;
  const found = inFields(schema, data);
  if (found === undefined) return undefined;
  return {
    path: clip(["data", ...found.path].join("").replaceAll(".[", "[")),
    expected: found.expected,
    received: described(found.value, found.expected.startsWith("one of")),
  };
}

/** In the order in which Rust looks: types as they come, what is missing, bounds. */
function inFields(schema: Readonly<Record<string, Field>>, data: unknown): Found | undefined {
  if (!isObject(data)) return { path: [], expected: "an object", value: data };
  if (!nestsWithin(data, MAX_DEPTH))
    return { path: [], expected: `no more than ${MAX_DEPTH} levels`, value: data };
  for (const [name, value] of Object.entries(data)) {
    if (isTorn(name)) return { path: [".?"], expected: "a name that is Unicode", value: name };
    const field = Object.hasOwn(schema, name) ? schema[name] : undefined;
    if (field === undefined || (field.optional && value === null)) continue;
    const found = ofType(field, value);
    if (found !== undefined) return within(`.${name}`, found, field);
  }
  for (const [name, field] of Object.entries(schema)) {
    if (!field.optional && !Object.hasOwn(data, name))
      return { path: [`.${name}`], expected: wanted(field), value: undefined };
  }
  for (const [name, field] of Object.entries(schema)) {
    const value = Object.hasOwn(data, name) ? data[name] : null;
    if (value !== null && !isBounded(field, value))
      return { path: [`.${name}`], expected: wanted(field), value };
  }
  return undefined;
}

/** Checks the type alone. */
function ofType(shape: Shape, value: unknown): Found | undefined {
  switch (shape.is) {
    case "map": {
      if (!isObject(value)) break;
      return inEach(value, (inner) => ofType(shape.of, inner));
    }
    case "any": {
      // Rust reads it whole before it chooses.
      const found = ofType({ is: "json" }, value);
      if (found !== undefined) return found;
      if (shape.of.some((choice) => ofType(choice, value) === undefined)) return undefined;
      break;
    }
    case "json": {
      if (isObject(value)) return inEach(value, (inner) => ofType(shape, inner));
      if (Array.isArray(value)) {
        for (const [index, inner] of value.entries()) {
          const found = ofType(shape, inner);
          if (found !== undefined) return within(`[${index}]`, found);
        }
        return undefined;
      }
      if (typeof value === "string" ? !isTorn(value) : typeof value !== "number" || Number.isFinite(value))
        return undefined;
      break;
    }
    default:
      if (isPlain(shape, value)) return undefined;
  }
  return { path: [], expected: wanted(shape), value };
}

function isPlain(shape: Shape, value: unknown): boolean {
  switch (shape.is) {
    case "text":
      return typeof value === "string" && !isTorn(value);
    case "enum":
      return typeof value === "string" && shape.names.includes(value);
    case "number":
      return Number.isFinite(value);
    case "integer":
      return Number.isInteger(value) && (value as number) >= 0;
    case "boolean":
      return typeof value === "boolean";
    default:
      return value === null;
  }
}

/** Checks the bounds of a value whose type is right. */
function isBounded(shape: Shape, value: unknown): boolean {
  switch (shape.is) {
    case "text": {
      const { minBytes = 0, maxBytes = Number.POSITIVE_INFINITY, maxEncoded } = shape;
      const bytes = new TextEncoder().encode(value as string);
      if (bytes.length < minBytes || bytes.length > maxBytes) return false;
      if (maxEncoded === undefined) return true;
      const plain = bytes.filter((byte) => PLAIN_ID.includes(String.fromCharCode(byte))).length;
      return bytes.length * 3 - plain * 2 <= maxEncoded;
    }
    case "number": {
      const { from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY } = shape;
      return (value as number) >= from && (value as number) <= to;
    }
    case "integer":
      return shape.to === undefined || (value as number) <= shape.to;
    default:
      return true;
  }
}

function inEach(fields: Fields, check: (value: unknown) => Found | undefined): Found | undefined {
  for (const [name, value] of Object.entries(fields)) {
    if (isTorn(name)) return { path: [".?"], expected: "a name that is Unicode", value: name };
    const found = check(value);
    if (found !== undefined) return within(`.${name}`, found);
  }
  return undefined;
}

/** A problem, seen from one level up; on its own level the field knows best what belongs there. */
function within(step: string, found: Found, field?: Field): Found {
  const expected = field !== undefined && found.path.length === 0 ? wanted(field) : found.expected;
  return { ...found, expected, path: [step, ...found.path] };
}

/** What belongs in a place, in words. */
function wanted(shape: Field): string {
  const words = inWords(shape);
  return shape.optional ? `${words}, or nothing` : words;
}

function inWords(shape: Shape): string {
  switch (shape.is) {
    case "text": {
      const { minBytes, maxBytes, maxEncoded } = shape;
      const bytes = maxBytes === undefined ? "" : ` of ${minBytes} to ${maxBytes} bytes`;
      const room = maxEncoded === undefined ? "" : `, ${maxEncoded} once percent-encoded`;
      return `a string${bytes}${room}`;
    }
    case "number":
      return shape.to === undefined ? "a number" : `a number from ${shape.from} to ${shape.to}`;
    case "integer":
      return `a whole number from 0${shape.to === undefined ? "" : ` to ${shape.to}`}`;
    case "enum":
      return `one of ${shape.names.map((name) => `"${name}"`).join(", ")}`;
    case "map":
      return shape.of.is === "json" ? "an object" : `an object of which each value is ${inWords(shape.of)}`;
    case "any": {
      const choices = shape.of.map(inWords);
      return `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`;
    }
    case "boolean":
      return "a boolean";
    case "null":
      return "null";
    case "json":
      return "JSON: finite numbers, strings that are Unicode";
  }
}

/** A value in words. Its text is only told where a name of a few was expected. */
function described(value: unknown, isName: boolean): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "number" || typeof value === "boolean") return `${typeof value} ${value}`;
  if (typeof value !== "string") return "an object";
  if (value === "") return "an empty string";
  if (isTorn(value)) return "a string with half of a surrogate pair";
  if (isName && value.length <= 32) return JSON.stringify(value);
  return `a string of ${new TextEncoder().encode(value).length} bytes`;
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether half of a surrogate pair is in it, which UTF-8 can't hold. */
function isTorn(text: string): boolean {
  return /\p{Surrogate}/u.test(text);
}

/** Whether it nests no deeper than so many levels; looks no deeper either. */
function nestsWithin(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return levels > 0 && Object.values(value).every((inner) => nestsWithin(inner, levels - 1));
}

/** As the server cuts a path: 300 bytes of it. */
function clip(path: string): string {
  const bytes = new TextEncoder().encode(path);
  if (bytes.length <= 300) return path;
  // An incomplete last character becomes a replacement character.
  return `${new TextDecoder().decode(bytes.subarray(0, 300)).replace(/\uFFFD$/, "")}…`;
}
