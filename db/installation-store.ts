/** Facts of an installation that are written once and hold from then on. */
import { sql } from 'kysely';
import type { Tx } from '../core/tx.ts';
import { type Database, executorOf } from './database.ts';

export interface InstallationStore {
  get(name: string): Promise<unknown>;
  /** Stores `value` unless the fact is already fixed; answers what holds now. Inside `tx` where one is given. */
  setOnce(name: string, value: unknown, tx?: Tx): Promise<unknown>;
}

interface Row {
  readonly value: unknown;
}

export function installationStore(db: Database): InstallationStore {
  return {
    async get(name) {
      const { rows } = await sql<Row>`select value from installation where name = ${name}`.execute(db.read);
      return rows[0]?.value;
    },
    async setOnce(name, value, tx) {
      const executor = tx === undefined ? db.read : executorOf(tx);
      await sql`
        insert into installation (name, value) values (${name}, ${JSON.stringify(value)}::jsonb)
        on conflict do nothing`.execute(executor);
      const { rows } = await sql<Row>`select value from installation where name = ${name}`.execute(executor);
      return rows[0]?.value;
    },
  };
}
