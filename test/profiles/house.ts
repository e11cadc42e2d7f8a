/** The profiles room on a database, joined to the real planner for its dry runs. */
import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import { profileStore } from '../../db/profile-store.ts';
import { reconcileStore } from '../../db/reconcile-store.ts';
import type { KeyRing } from '../../keys/key-ring.ts';
import { createProfiles, type Profiles } from '../../profiles/profiles.ts';
import { createCurrentCatalogue } from '../../reconciler/current-catalogue.ts';
import { createPreview } from '../../reconciler/preview.ts';
import { DEFAULT_SETTINGS } from '../../reconciler/settings.ts';
import { NOW } from '../support/rows.ts';

export function profilesOn(db: Database, keys: KeyRing, wakeAfter: () => void = () => {}): Profiles {
  const store = reconcileStore(db);
  const key = keys.mac('fingerprint');
  const clock = { now: () => NOW };
  return createProfiles({
    store: profileStore(db),
    unitOfWork: db,
    signer: keys.identity('profile_signing'),
    witnessKey: keys.mac('witness'),
    clock,
    wakeAfter,
    catalogueRows: (tx) => store.loadCatalogue(tx),
    preview: createPreview({
      store,
      catalogue: createCurrentCatalogue(store, key),
      clock,
      settings: DEFAULT_SETTINGS,
      key,
    }),
  });
}

export async function newLabel(db: Database, name: string): Promise<number> {
  const { rows } = await sql<{ id: number }>`
    insert into label (name, kind, epoch) values (${name}, 'manual', 0) returning id
  `.execute(db.read);
  return rows[0]?.id ?? 0;
}

export async function newTeam(db: Database, name: string): Promise<number> {
  const { rows } = await sql<{ id: number }>`insert into team (name) values (${name}) returning id`.execute(db.read);
  return rows[0]?.id ?? 0;
}
