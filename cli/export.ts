import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { z } from 'zod';
import { type Client, clientFor } from './client.ts';
import { Failure } from './failure.ts';
import { type ProfileSettings, SETTINGS_FILE } from './profile-folder.ts';

const Profile = z.object({
  id: z.number(),
  identifier: z.string(),
  name: z.string(),
  channel: z.string(),
  include: z.enum(['none', 'any', 'all']),
  labels: z.array(z.string()),
  exclude_labels: z.array(z.string()),
  min_os: z.string().nullable(),
  max_os: z.string().nullable(),
  version: z.object({ id: z.number(), display_name: z.string(), delivery: z.string() }),
});
type ProfileRow = z.output<typeof Profile>;

export function addExport(program: Command): void {
  program
    .command('export')
    .description("Write a team's profiles into a folder, so that apply of it changes nothing.")
    .argument('<folder>', 'a new or empty folder')
    .option('--team <name>', 'the team whose set it is', 'Default')
    .option('--data <folder>', 'data folder of the running server', 'espalier-data')
    .action(async (folder: string, options: { team: string; data: string }) => {
      const count = await exportSet(clientFor(options.data), folder, options.team);
      console.log(`${count} profiles of ${options.team} are in ${folder}.`);
    });
}

/** Answers how many. Errors: Failure where the folder holds something, ApiError. */
export async function exportSet(client: Client, folder: string, team: string): Promise<number> {
  if (existsSync(folder) && readdirSync(folder).length > 0)
    throw new Failure(`${folder} is not empty; an export into it could hide what is there`);
  const answer = await client.get(`/profiles?${new URLSearchParams({ team })}`);
  const { profiles } = z.object({ profiles: z.array(Profile) }).parse(answer);
  mkdirSync(folder, { recursive: true });
  const settings: Record<string, ProfileSettings> = {};
  const taken = new Set<string>();
  // By name and not by age: two exports of one set are the same files.
  const order = ({ identifier, channel }: ProfileRow) => `${identifier} ${channel}`;
  for (const profile of profiles.toSorted((a, b) => (order(a) < order(b) ? -1 : 1))) {
    const file = fileName(profile, taken);
    const bytes = await client.download(`/profiles/${profile.id}/versions/${profile.version.id}/mobileconfig`);
    writeFileSync(path.join(folder, file), bytes);
    const said = settingsOf(profile);
    if (Object.keys(said).length > 0) settings[file] = said;
  }
  writeFileSync(path.join(folder, SETTINGS_FILE), `${JSON.stringify({ profiles: settings }, null, 2)}\n`);
  return profiles.length;
}

/** The identifier where a file can be called so; somebody else chose it, so nothing of it may lead out of the folder. */
function fileName({ identifier, channel }: ProfileRow, taken: Set<string>): string {
  const base = identifier
    .replace(/[^A-Za-z0-9._-]/g, '_')
    .replace(/^\.+/, '_')
    .slice(0, 120);
  for (let number = 1; ; number += 1) {
    const more = number === 1 ? '' : number === 2 ? `-${channel}` : `-${number}`;
    const file = `${base}${more}.mobileconfig`;
    // Most Macs have a file system that takes two spellings for one name.
    if (taken.has(file.toLowerCase())) continue;
    taken.add(file.toLowerCase());
    return file;
  }
}

/** Only what is not the default. */
function settingsOf(profile: ProfileRow): ProfileSettings {
  const { name, include, labels, exclude_labels, min_os, max_os, version } = profile;
  return {
    ...(name === version.display_name ? {} : { name }),
    // One that has lost its last label is for nobody; left out, the file would say everyone.
    ...(include === 'all' || (include === 'any' && labels.length === 0) ? { include } : {}),
    ...(labels.length === 0 ? {} : { labels }),
    ...(exclude_labels.length === 0 ? {} : { exclude_labels }),
    ...(min_os === null ? {} : { min_os }),
    ...(max_os === null ? {} : { max_os }),
    ...(version.delivery === 'resigned' ? { delivery: 'resign' as const } : {}),
  };
}
