import { inspect } from 'node:util';

const REDACTED = '[redacted]';

/** A value that must not reach a log, an error or an answer: every string form of it is redacted. */
export class Secret<T> {
  readonly #value: T;
  constructor(value: T) {
    this.#value = value;
  }
  /** The plaintext. Search for callers of this to see every place a secret is used. */
  reveal(): T {
    return this.#value;
  }
  toString(): string {
    return REDACTED;
  }
  toJSON(): string {
    return REDACTED;
  }
  [inspect.custom](): string {
    return REDACTED;
  }
}
