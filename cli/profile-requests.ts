import { z } from 'zod';
import { authorOf } from './author.ts';
import type { Client } from './client.ts';
import { Failure } from './failure.ts';
import { Findings, findingLine, located } from './findings.ts';
import { notDone, Plan, planTable } from './plan-table.ts';
import { type ProfileRef, profileId } from './profile-ref.ts';
import { printable, table } from './table.ts';

export interface ChangeWish {
  readonly dryRun?: boolean;
  readonly author?: string;
}

export interface TargetsWish {
  readonly name?: string;
  readonly include?: string;
  readonly label?: readonly string[];
  readonly excludeLabel?: readonly string[];
  readonly minOs?: string;
  readonly maxOs?: string;
}

export interface Shown {
  readonly raw: unknown;
  readonly lines: readonly string[];
}

const Uploaded = z.object({
  message: z.string(),
  outcome: z.string(),
  signer: z.object({ subject: z.string(), expired: z.boolean() }).nullable(),
  lines_of: z.string(),
  warnings: Findings,
  plan: Plan.optional(),
});
const Edited = z.object({ id: z.number(), identifier: z.string(), outcome: z.string(), plan: Plan.optional() });
const Version = z.object({
  id: z.number(),
  display_name: z.string(),
  delivery: z.string(),
  signer: z.object({ subject: z.string() }).nullable(),
  uploaded_by: z.string(),
  created_at: z.string(),
});
const Profile = z.object({
  id: z.number(),
  identifier: z.string(),
  name: z.string(),
  team: z.string(),
  channel: z.string(),
  targets: z.string(),
  version: z.object({ id: z.number() }),
  moved_from: z.object({ channel: z.string(), profile_id: z.number() }).nullish(),
  versions: z.array(Version),
  changes: z.array(z.object({ at: z.string(), by: z.string(), change: z.string(), version_id: z.number() })),
});
const Diff = z.object({
  changes: z.array(
    z.object({ kind: z.string(), path: z.string(), before: z.unknown().optional(), after: z.unknown().optional() }),
  ),
  truncated: z.boolean(),
});

const SIGNS: Readonly<Record<string, string>> = { added: '+', removed: '-', changed: '~' };

/** Errors: Failure with a line for every finding, ApiError. */
export async function uploadOf(
  client: Client,
  file: string,
  bytes: Uint8Array,
  options: ChangeWish & { readonly team: string } & Readonly<Record<string, unknown>>,
): Promise<Shown & { readonly warnings: readonly string[] }> {
  const query = changeQuery(options);
  query.set('team', options.team);
  const single = { name: 'name', include: 'include', minOs: 'min_os', maxOs: 'max_os', delivery: 'delivery' };
  for (const [option, name] of Object.entries(single)) {
    const value = options[option];
    if (typeof value === 'string') query.set(name, value);
  }
  for (const [option, name] of [
    ['label', 'label'],
    ['excludeLabel', 'exclude_label'],
  ] as const) {
    const values = options[option];
    for (const value of Array.isArray(values) ? values : []) query.append(name, String(value));
  }
  let raw: unknown;
  try {
    raw = await client.upload(`/profiles?${query}`, bytes, 'application/x-apple-aspen-config');
  } catch (error) {
    throw located(error, file);
  }
  const { message, outcome, signer, lines_of, warnings, plan } = Uploaded.parse(raw);
  const by = signer === null ? [] : [`signed by ${signer.subject}${signer.expired ? ' (expired)' : ''}`];
  return {
    raw,
    lines: [`${outcome}: ${printable(message)}`, ...by.map(printable), ...planLines(plan, outcome)],
    warnings: warnings.map((finding) => findingLine(file, lines_of, finding)),
  };
}

/** Errors: Failure, ApiError. */
export async function showLines(client: Client, ref: ProfileRef): Promise<Shown> {
  const raw = await client.get(`/profiles/${await profileId(client, ref, false)}`);
  const profile = Profile.parse(raw);
  const rows = versionRows(profile.versions, profile.version.id);
  const changes = profile.changes.map(({ at, by, change, version_id }) => [at, by, change, String(version_id)]);
  return {
    raw,
    lines: [
      printable(`${profile.identifier} (profile ${profile.id}, ${profile.channel} channel, team ${profile.team})`),
      printable(`${profile.name}: for ${profile.targets}`),
      '',
      table(VERSION_COLUMNS, rows),
      '',
      table(['changed', 'by', 'what', 'version'], changes),
      ...(await earlierLines(client, profile)),
    ],
  };
}

const VERSION_COLUMNS = ['version', 'uploaded', 'by', 'delivery', 'signer', 'name'];

function versionRows(versions: readonly z.output<typeof Version>[], current: number | undefined) {
  return versions.map((version) => [
    version.id === current ? `${version.id} (current)` : String(version.id),
    version.created_at,
    version.uploaded_by,
    version.delivery,
    version.signer?.subject ?? '',
    version.display_name,
  ]);
}

/** Profiles that one profile has been, a scope ago each. */
const MAX_MOVES = 20;

/** What it was before its PayloadScope changed: versions stay with the profile that had them. */
async function earlierLines(client: Client, profile: z.output<typeof Profile>): Promise<readonly string[]> {
  const lines: string[] = [];
  let from = profile.moved_from ?? undefined;
  for (let moves = 0; from !== undefined && moves < MAX_MOVES; moves += 1) {
    const { profile_id: id, channel } = from;
    const earlier = Profile.parse(await client.get(`/profiles/${id}?deleted=true`));
    lines.push(
      '',
      `Before, it was profile ${id} on the ${channel} channel, with these versions:`,
      table(VERSION_COLUMNS, versionRows(earlier.versions, undefined)),
      `To go back to one: espalier profile download ${id} VERSION FILE, then espalier profile upload FILE`,
    );
    from = earlier.moved_from ?? undefined;
  }
  return lines;
}

/** Errors: Failure, ApiError. */
export async function diffLines(
  client: Client,
  ref: ProfileRef,
  from: string | undefined,
  to: string | undefined,
): Promise<Shown> {
  for (const text of [from, to]) refuseNoVersion(text);
  const id = await profileId(client, ref, false);
  const { version, changes } = Profile.parse(await client.get(`/profiles/${id}`));
  const earlier = changes.find(({ version_id }) => version_id !== version.id)?.version_id;
  const [before, after] = [from ?? earlier, to ?? version.id];
  if (before === undefined) throw new Failure(`profile ${id} has one version only`);
  const raw = await client.get(`/profiles/${id}/versions/${before}/diff/${after}`);
  const diff = Diff.parse(raw);
  const lines = diff.changes.map(({ kind, path, ...values }) => {
    const shown = ['before' in values ? values.before : undefined, 'after' in values ? values.after : undefined];
    const said = shown.filter((value) => value !== undefined).map((value) => JSON.stringify(value));
    return printable(`${SIGNS[kind] ?? kind} ${path}: ${said.join(' → ')}`);
  });
  const rest = diff.truncated ? ['… and more'] : [];
  return { raw, lines: lines.length === 0 ? ['no difference'] : [...lines, ...rest] };
}

/** Errors: Failure, ApiError. */
export async function restoreOf(
  client: Client,
  ref: ProfileRef,
  version: string | undefined,
  wish: ChangeWish & TargetsWish,
): Promise<Shown> {
  refuseNoVersion(version);
  const patch = patchOf(wish);
  if (version !== undefined && Object.keys(patch).length > 0)
    throw new Failure('an older version comes back with the targets of now: change them with `espalier profile edit`');
  const id = await profileId(client, ref, version === undefined);
  const path = version === undefined ? `/profiles/${id}/restore` : `/profiles/${id}/versions/${version}/restore`;
  return edited(await client.post(`${path}?${changeQuery(wish)}`, patch));
}

/** Errors: Failure, ApiError. */
export async function editOf(client: Client, ref: ProfileRef, wish: ChangeWish & TargetsWish): Promise<Shown> {
  const patch = patchOf(wish);
  if (Object.keys(patch).length === 0)
    throw new Failure('say what is to be changed: --name, --include, --label, --exclude-label, --min-os or --max-os');
  return edited(await client.patch(`/profiles/${await profileId(client, ref, false)}?${changeQuery(wish)}`, patch));
}

/** The upload of a version, byte for byte. Errors: Failure, ApiError. */
export async function downloadOf(client: Client, ref: ProfileRef, version: string): Promise<Buffer> {
  refuseNoVersion(version);
  return client.download(`/profiles/${await profileId(client, ref, false)}/versions/${version}/mobileconfig`);
}

/** A change of name and targets as options say it; `none` takes a bound away. */
function patchOf({ name, include, label, excludeLabel, minOs, maxOs }: TargetsWish): Readonly<Record<string, unknown>> {
  const bound = (text: string) => (text === 'none' ? null : text);
  return {
    ...(name === undefined ? {} : { name }),
    ...(include === undefined ? {} : { include }),
    ...(label === undefined ? {} : { labels: label }),
    ...(excludeLabel === undefined ? {} : { exclude_labels: excludeLabel }),
    ...(minOs === undefined ? {} : { min_os: bound(minOs) }),
    ...(maxOs === undefined ? {} : { max_os: bound(maxOs) }),
  };
}

function refuseNoVersion(text: string | undefined): void {
  if (text === undefined || /^\d{1,10}$/.test(text)) return;
  throw new Failure(
    `${JSON.stringify(text)} is not a version id: a version id is the number in the first column of \`espalier profile show\``,
  );
}

/** Errors: Failure, ApiError. */
export async function removalOf(client: Client, ref: ProfileRef, wish: ChangeWish): Promise<Shown> {
  return edited(await client.delete(`/profiles/${await profileId(client, ref, false)}?${changeQuery(wish)}`));
}

function edited(raw: unknown): Shown {
  const { id, identifier, outcome, plan } = Edited.parse(raw);
  return { raw, lines: [printable(`${identifier} (profile ${id}): ${outcome}`), ...planLines(plan, outcome)] };
}

function planLines(plan: z.output<typeof Plan> | undefined, outcome: string): string[] {
  return plan === undefined ? [] : ['', planTable(plan), notDone(`It would be ${outcome}.`)];
}

function changeQuery({ dryRun, author }: ChangeWish): URLSearchParams {
  const query = new URLSearchParams({ author: authorOf(author) });
  if (dryRun === true) query.set('dry_run', 'true');
  return query;
}
