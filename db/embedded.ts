/** PGlite in a data folder of its own. */
import { execFile } from 'node:child_process';
import { chmodSync, constants, cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { EspalierError } from '../core/errors.ts';
import type { SessionSource } from './dialect.ts';
import { unavailable } from './failures.ts';
import { startHousekeeping } from './housekeeping.ts';
import { lockDataFolder } from './lock-file.ts';
import { pgliteSessions } from './pglite-session.ts';
import { startPglite } from './pglite-thread.ts';
import { templateName } from './schema.ts';

const INIT = fileURLToPath(new URL('./pglite-init.mjs', import.meta.url));
/** PostgreSQL's major version in the pinned PGlite; the files of another one cannot be read. */
const MAJOR = '18';

/** Where the build leaves the template of this schema, when it made one. */
function shippedTemplate(): string | undefined {
  const folder = fileURLToPath(new URL(templateName(), import.meta.url));
  return existsSync(folder) ? folder : undefined;
}

/** initdb on a directory that does not exist yet: some seconds. Errors: store_unavailable. */
export async function initDirectory(directory: string): Promise<void> {
  // Without our settings: the KEK may be among them.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('ESPALIER_')));
  await promisify(execFile)(process.execPath, [INIT, directory], { env }).catch((error: unknown) => {
    throw unavailable(error);
  });
}

/** Made aside and renamed: a start that is killed half-way leaves nothing that looks like a data directory. */
async function makeDirectory(directory: string, template: string | undefined): Promise<void> {
  const aside = `${directory}.new`;
  rmSync(aside, { recursive: true, force: true });
  if (template === undefined) await initDirectory(aside);
  else cpSync(template, aside, { recursive: true, mode: constants.COPYFILE_FICLONE });
  chmodSync(aside, 0o700);
  renameSync(aside, directory);
}

function checkVersion(directory: string): void {
  const file = path.join(directory, 'PG_VERSION');
  const found = existsSync(file) ? readFileSync(file, 'utf8').trim() : 'unknown';
  if (found === MAJOR) return;
  throw new EspalierError(
    'store_unavailable',
    `${directory} is of PostgreSQL ${found}; this version embeds ${MAJOR}.`,
    {
      fix: 'Start the Espalier version that wrote it, take a backup there and restore it here.',
    },
  );
}

/** Creates the folder (mode 0700) where it is missing. Errors: data_folder_in_use, store_unavailable. */
export async function openEmbedded(dataFolder: string, template = shippedTemplate()): Promise<SessionSource> {
  mkdirSync(dataFolder, { recursive: true, mode: 0o700 });
  const unlock = lockDataFolder(dataFolder);
  try {
    const directory = path.join(dataFolder, 'postgres');
    if (!existsSync(directory)) await makeDirectory(directory, template);
    checkVersion(directory);
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
