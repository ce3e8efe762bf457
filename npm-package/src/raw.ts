/** What frameworks must not wrap: a proxy has no access to private fields. */

/** Vue's `reactive` and `ref` hold such an object as it is. */
export class Raw {
  /** @internal */
  readonly __v_skip = true;
}
