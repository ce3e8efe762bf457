/** What an application gives to check its own events with: functions, or schemas of any library with Standard Schema. */

/** A schema as standardschema.dev has it (Zod, Valibot, ArkType and others), version 1, as much of it as is needed. */
export interface StandardSchema<T = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    /** Whether the value is good, by a list of issues. */
    readonly validate: (value: unknown) => StandardResult | Promise<StandardResult>;
    readonly types?: { readonly input: T; readonly output: unknown } | undefined;
  };
}

/** What a schema answers: issues, or none. */
export interface StandardResult {
  readonly issues?: readonly StandardIssue[] | undefined;
}

/** One thing that is wrong. */
export interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/**
 * Checks an event's data, at once (no promise). A function refuses by throwing, or by giving back `false`. The data
 * reaches listeners as it came, whatever a schema would make of it.
 */
export type Validator<T = unknown> =
  | StandardSchema<T>
  | ((data: unknown) => data is T)
  | ((data: unknown) => unknown);

/** Validators by event type. `createClient` infers its events from them, where it is not told. */
export type Validators<E = unknown> = unknown extends E
  ? { readonly [type: string]: Validator }
  : { readonly [K in keyof E]?: Validator<E[K]> };

/** What a function that is no type guard lets TypeScript infer, which is next to nothing; an event's data is an object. */
type Inferred<T> = [NonNullable<unknown> | undefined] extends [T] ? Record<string, unknown> : T;

/** The events that `createClient` was given, or inferred from validators; none where it was given names of no kind. */
export type Declared<E> = { [type: string]: unknown } extends E
  ? unknown
  : E extends { [K in keyof E]: Inferred<E[K]> }
    ? E
    : { [K in keyof E]: Inferred<E[K]> };
