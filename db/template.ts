/** A migrated, empty data directory as tar.gz: a new data folder opens from it without initdb. */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { databaseOver } from './database.ts';
import { migrate, schemaHash } from './migrate.ts';
import { pgliteSessions } from './pglite-session.ts';
import { startPglite } from './pglite-thread.ts';

function templateName(): string {
  return `template-${schemaHash().slice(0, 16)}.tar.gz`;
}

/** Where the build leaves the template of this schema, when it has been built. */
export function shippedTemplate(): string | undefined {
  const file = fileURLToPath(new URL(templateName(), import.meta.url));
  return existsSync(file) ? file : undefined;
}

/**
 * The template of the current schema in `folder`, built there once (some seconds) when it is missing.
 * The name carries the schema's hash, so a template never serves another schema. Safe to race: the last rename wins.
 */
export async function buildTemplate(folder: string): Promise<string> {
  const target = path.join(folder, templateName());
  if (existsSync(target)) return target;
  mkdirSync(folder, { recursive: true });
  const scratch = mkdtempSync(path.join(folder, 'building-'));
  try {
    const thread = await startPglite(path.join(scratch, 'postgres'), null);
    const db = databaseOver('pglite', pgliteSessions(thread));
    await migrate(db);
    writeFileSync(path.join(scratch, 'template.tar.gz'), await thread.dump());
    await db.close();
    renameSync(path.join(scratch, 'template.tar.gz'), target);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return target;
}
