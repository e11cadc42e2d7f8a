/** A migrated, empty data directory: a new data folder starts as a copy of it (0.1 s) instead of by initdb (3 s). */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { databaseOver } from './database.ts';
import { initDirectory } from './embedded.ts';
import { migrate } from './migrate.ts';
import { pgliteSessions } from './pglite-session.ts';
import { startPglite } from './pglite-thread.ts';
import { templateName } from './schema.ts';

/**
 * The template of the current schema in `folder`, made there once (some seconds) when it is missing.
 * Its name carries the schema's hash, so a template never serves another schema. Safe to race: the first rename wins.
 */
export async function ensureTemplate(folder: string): Promise<string> {
  const target = path.join(folder, templateName());
  if (existsSync(target)) return target;
  mkdirSync(folder, { recursive: true });
  const scratch = mkdtempSync(path.join(folder, 'building-'));
  try {
    const directory = path.join(scratch, 'postgres');
    await initDirectory(directory);
    const db = databaseOver('pglite', pgliteSessions(await startPglite(directory)));
    await migrate(db);
    await db.close();
    renameSync(directory, target);
  } catch (error) {
    if (!existsSync(target)) throw error;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return target;
}
