/** The time, passed in so that a seeded run can own it. */
export interface Clock {
  now(): Date;
}

/** Unpredictable bytes, passed in for the same reason. */
export interface Random {
  bytes(length: number): Buffer;
}

/** Fresh identifiers: UUIDv7 (RFC 9562 §5.7), strictly increasing within one process. */
export interface Ids {
  uuid(): string;
}
