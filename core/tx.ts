declare const transaction: unique symbol;

/** An open unit of work. Opaque: only a store knows what is inside. */
export interface Tx {
  readonly [transaction]: true;
}

/** The only way to get a Tx. Nothing external (network, another unit of work) is awaited inside `work`. */
export interface UnitOfWork {
  run<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
}
