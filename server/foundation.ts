import path from 'node:path';
import { monotonicIds } from '../core/ids.ts';
import { systemClock, systemRandom } from '../core/system.ts';
import type { Database } from '../db/database.ts';
import { installationStore } from '../db/installation-store.ts';
import { keyStore } from '../db/key-store.ts';
import { openMigratedDatabase } from '../db/migrate.ts';
import { ensureDemoTls } from '../keys/demo-tls.ts';
import { ensureKekFile, loadKek } from '../keys/kek.ts';
import { type KeyRing, openKeyRing } from '../keys/key-ring.ts';
import { type CommitHooks, withCommitHooks } from './after-commit.ts';
import { ensureAdminToken } from './data-folder.ts';
import { createLog } from './log.ts';
import type { Settings } from './settings.ts';
import { demoTls, readTls, type TlsMaterial } from './tls.ts';

/** What every room stands on. */
export interface Foundation {
  readonly settings: Settings;
  readonly clock: typeof systemClock;
  readonly random: typeof systemRandom;
  readonly ids: ReturnType<typeof monotonicIds>;
  readonly log: ReturnType<typeof createLog>;
  readonly db: Database;
  readonly unitOfWork: CommitHooks;
  readonly keys: KeyRing;
  /** Replaced when the files change. */
  tls: TlsMaterial;
  readonly adminTokenHash: Buffer;
}

/** Opens what must be there before a room can be built; on a failure nothing stays open. */
export async function layFoundation(settings: Settings): Promise<Foundation> {
  const [clock, random] = [systemClock, systemRandom];
  const log = createLog(settings.LOG_LEVEL);
  // Before the database: without a KEK nothing may be created.
  const kek = settings.demo
    ? () => ensureKekFile(path.join(settings.DATA, 'kek'), random)
    : always(loadKek({ kek: settings.KEK, kekFile: settings.KEK_FILE }));
  const ownTls =
    settings.TLS_CERT === undefined || settings.TLS_KEY === undefined
      ? undefined
      : readTls(settings.TLS_CERT, settings.TLS_KEY, settings.PUBLIC_URL, clock);
  const db = await openMigratedDatabase(
    settings.DATABASE_URL === undefined ? { dataFolder: settings.DATA } : { databaseUrl: settings.DATABASE_URL },
  );
  try {
    const installation = installationStore(db);
    const adminTokenHash = await ensureAdminToken(settings.DATA, installation, random);
    const keyDeps = { store: keyStore(db), kek: kek(), clock, random, organization: settings.ORGANIZATION };
    const keys = await openKeyRing(keyDeps);
    const host = new URL(settings.PUBLIC_URL).hostname;
    const tls = ownTls ?? demoTls(await ensureDemoTls(keyDeps, { dns: [host], ip: ['127.0.0.1'] }));
    const unitOfWork = withCommitHooks(db);
    return {
      settings,
      clock,
      random,
      ids: monotonicIds(clock, random),
      log,
      db,
      unitOfWork,
      keys,
      tls,
      adminTokenHash,
    };
  } catch (error) {
    await db.close();
    throw error;
  }
}

function always<T>(value: T): () => T {
  return () => value;
}
