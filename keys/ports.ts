/** A stored key: its plaintext exists only inside this room. */
export interface KeyRecord {
  readonly purpose: string;
  /** Counts up from 1 per purpose; the highest is the current one, older ones open what they sealed. */
  readonly version: number;
  /** DER, for keys that have a certificate. */
  readonly certificate: Buffer | null;
  readonly sealed: Buffer;
  readonly createdAt: Date;
}

export interface KeyStore {
  /** All records, by purpose and version. */
  list(): Promise<readonly KeyRecord[]>;
  /** Stores all of them or, where one of the (purpose, version) pairs exists already, none; says which. */
  insertAll(records: readonly KeyRecord[]): Promise<boolean>;
}
