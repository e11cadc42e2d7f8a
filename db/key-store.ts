import { sql } from 'kysely';
import type { KeyRecord, KeyStore } from '../keys/ports.ts';
import { type Database, executorOf } from './database.ts';

class Taken extends Error {}

export function keyStore(db: Database): KeyStore {
  return {
    async list() {
      const { rows } = await sql<KeyRecord>`
        select purpose, version, certificate, sealed, created_at as "createdAt"
        from key_record order by purpose, version`.execute(db.read);
      return rows;
    },
    async insertAll(records) {
      // One order for everybody: who comes second waits for the first row and then finds it taken.
      const ordered = records.toSorted((a, b) =>
        a.purpose < b.purpose ? -1 : a.purpose > b.purpose ? 1 : a.version - b.version,
      );
      try {
        await db.run(async (tx) => {
          for (const { purpose, version, certificate, sealed, createdAt } of ordered) {
            const { rows } = await sql`
              insert into key_record (purpose, version, certificate, sealed, created_at)
              values (${purpose}, ${version}, ${certificate}, ${sealed}, ${createdAt})
              on conflict do nothing returning 1`.execute(executorOf(tx));
            if (rows.length === 0) throw new Taken();
          }
        });
        return true;
      } catch (error) {
        if (error instanceof Taken) return false;
        throw error;
      }
    },
  };
}
