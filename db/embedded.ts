/** PGlite in a data folder of its own. */
import { chmodSync, constants, cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SessionSource } from './dialect.ts';
import { startHousekeeping } from './housekeeping.ts';
import { lockDataFolder } from './lock-file.ts';
import { pgliteSessions } from './pglite-session.ts';
import { startPglite } from './pglite-thread.ts';
import { templateName } from './schema.ts';

/** Where the build leaves the template of this schema, when it made one. */
function shippedTemplate(): string | undefined {
  const folder = fileURLToPath(new URL(templateName(), import.meta.url));
  return existsSync(folder) ? folder : undefined;
}

/** Made aside and renamed: a start that is killed half-way leaves nothing that looks like a data directory. */
async function makeDirectory(directory: string, template: string | undefined): Promise<void> {
  const aside = `${directory}.new`;
  rmSync(aside, { recursive: true, force: true });
  if (template === undefined) await (await startPglite(aside)).close();
  else cpSync(template, aside, { recursive: true, mode: constants.COPYFILE_FICLONE });
  chmodSync(aside, 0o700);
  renameSync(aside, directory);
}

/** Creates the folder (mode 0700) where it is missing. Errors: data_folder_in_use, store_unavailable. */
export async function openEmbedded(dataFolder: string, template = shippedTemplate()): Promise<SessionSource> {
  mkdirSync(dataFolder, { recursive: true, mode: 0o700 });
  const unlock = lockDataFolder(dataFolder);
  try {
    const directory = path.join(dataFolder, 'postgres');
    if (!existsSync(directory)) await makeDirectory(directory, template);
    const sessions = pgliteSessions(await startPglite(directory));
    const stop = startHousekeeping(sessions);
    return {
      acquire: () => sessions.acquire(),
      async close() {
        stop();
        await sessions.close();
        unlock();
      },
    };
  } catch (error) {
    unlock();
    throw error;
  }
}
