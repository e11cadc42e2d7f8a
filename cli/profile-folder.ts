import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { Failure } from './failure.ts';
import { readNamedFile } from './read-file.ts';

/** What a folder of profiles says besides the profiles: by file, whom each is for. */
export const SETTINGS_FILE = 'espalier.json';

const Settings = z.strictObject({
  name: z.string().optional(),
  include: z.enum(['none', 'any', 'all']).optional(),
  labels: z.array(z.string()).optional(),
  exclude_labels: z.array(z.string()).optional(),
  min_os: z.string().optional(),
  max_os: z.string().optional(),
  delivery: z.enum(['verbatim', 'resign']).optional(),
});
export type ProfileSettings = z.output<typeof Settings>;
const SettingsFile = z.strictObject({ profiles: z.record(z.string(), Settings) });

/** One entry of the request that replaces a team's set. */
export interface FolderEntry extends ProfileSettings {
  readonly file: string;
  /** Base64. */
  readonly mobileconfig: string;
}

/**
 * The set that stands at a path: a folder with all its `*.mobileconfig`, sub-folders included, and perhaps an
 * `espalier.json`; or such a JSON file elsewhere, and then the files it names, relative to it. Errors: Failure.
 */
export function readSet(given: string): readonly FolderEntry[] {
  if (!existsSync(given)) throw new Failure(`${given} does not exist`);
  const isFolder = statSync(given).isDirectory();
  const folder = isFolder ? given : path.dirname(given);
  const settingsFile = isFolder ? path.join(given, SETTINGS_FILE) : given;
  const settings = existsSync(settingsFile) ? readSettings(settingsFile) : {};
  const files = isFolder ? mobileconfigsIn(folder) : Object.keys(settings).toSorted();
  for (const named of Object.keys(settings)) {
    if (!existsSync(path.join(folder, named)))
      throw new Failure(`${settingsFile} names ${named}, and there is no such file in ${folder}`);
    if (!files.includes(named)) throw new Failure(`${settingsFile} names ${named}, which is no .mobileconfig`);
  }
  return files.map((file) => ({
    file,
    mobileconfig: readNamedFile(path.join(folder, file)).toString('base64'),
    ...settings[file],
  }));
}

function mobileconfigsIn(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((found) => found.isFile() && found.name.toLowerCase().endsWith('.mobileconfig'))
    .map((found) => path.relative(folder, path.join(found.parentPath, found.name)).replaceAll(path.sep, '/'))
    .toSorted();
}

function readSettings(file: string): Readonly<Record<string, ProfileSettings>> {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new Failure(`${file} is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  const read = SettingsFile.safeParse(value);
  if (read.success) return read.data.profiles;
  const issue = read.error.issues[0];
  throw new Failure(`${file}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not valid'}`);
}
