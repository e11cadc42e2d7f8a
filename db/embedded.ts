/** PGlite in a data folder of its own. */
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import type { SessionSource } from './dialect.ts';
import { lockDataFolder } from './lock-file.ts';
import { pgliteSessions } from './pglite-session.ts';
import { startPglite } from './pglite-thread.ts';

/** Creates the folder (mode 0700) where it is missing; refuses one that a living process holds. */
export async function openEmbedded(dataFolder: string, template?: string): Promise<SessionSource> {
  mkdirSync(dataFolder, { recursive: true, mode: 0o700 });
  const unlock = lockDataFolder(dataFolder);
  try {
    const directory = path.join(dataFolder, 'postgres');
    const fresh = !existsSync(path.join(directory, 'PG_VERSION'));
    const sessions = pgliteSessions(await startPglite(directory, fresh ? (template ?? null) : null));
    return {
      acquire: () => sessions.acquire(),
      async close() {
        await sessions.close();
        unlock();
      },
    };
  } catch (error) {
    unlock();
    throw error;
  }
}
