import { z } from 'zod';
import { authorOf } from './author.ts';
import type { Client } from './client.ts';
import { Failure } from './failure.ts';
import { Findings, findingLine, located } from './findings.ts';
import { notDone, Plan, planTable } from './plan-table.ts';
import { printable, table } from './table.ts';

/** A profile as people name it. */
export interface ProfileRef {
  /** Id, or PayloadIdentifier. */
  readonly text: string;
  readonly team: string;
}

export interface ChangeWish {
  readonly dryRun?: boolean;
  readonly author?: string;
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
  versions: z.array(Version),
  changes: z.array(z.object({ at: z.string(), by: z.string(), change: z.string(), version_id: z.number() })),
});
const Diff = z.object({
  changes: z.array(
    z.object({ kind: z.string(), path: z.string(), before: z.unknown().optional(), after: z.unknown().optional() }),
  ),
  truncated: z.boolean(),
});
const Listed = z.object({
  profiles: z.array(z.object({ id: z.number(), identifier: z.string(), channel: z.string() })),
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
  const raw = await client.get(`/profiles/${await idOf(client, ref, false)}`);
  const profile = Profile.parse(raw);
  const rows = profile.versions.map((version) => [
    version.id === profile.version.id ? `${version.id} (current)` : String(version.id),
    version.created_at,
    version.uploaded_by,
    version.delivery,
    version.signer?.subject ?? '',
    version.display_name,
  ]);
  const changes = profile.changes.map(({ at, by, change, version_id }) => [at, by, change, String(version_id)]);
  return {
    raw,
    lines: [
      printable(`${profile.identifier} (profile ${profile.id}, ${profile.channel} channel, team ${profile.team})`),
      printable(`${profile.name}: for ${profile.targets}`),
      '',
      table(['version', 'uploaded', 'by', 'delivery', 'signer', 'name'], rows),
      '',
      table(['changed', 'by', 'what', 'version'], changes),
    ],
  };
}

/** Errors: Failure, ApiError. */
export async function diffLines(
  client: Client,
  ref: ProfileRef,
  from: string | undefined,
  to: string | undefined,
): Promise<Shown> {
  const id = await idOf(client, ref, false);
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
  wish: ChangeWish,
): Promise<Shown> {
  const id = await idOf(client, ref, version === undefined);
  const path = version === undefined ? `/profiles/${id}/restore` : `/profiles/${id}/versions/${version}/restore`;
  return edited(await client.post(`${path}?${changeQuery(wish)}`, {}));
}

/** Errors: Failure, ApiError. */
export async function removalOf(client: Client, ref: ProfileRef, wish: ChangeWish): Promise<Shown> {
  return edited(await client.delete(`/profiles/${await idOf(client, ref, false)}?${changeQuery(wish)}`));
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

async function idOf(client: Client, { text, team }: ProfileRef, deleted: boolean): Promise<number> {
  if (/^\d+$/.test(text)) return Number(text);
  const query = new URLSearchParams({ team, deleted: String(deleted) });
  const { profiles } = Listed.parse(await client.get(`/profiles?${query}`));
  const found = profiles.filter(({ identifier }) => identifier === text);
  const [only, another] = found;
  if (only === undefined) throw new Failure(`team ${team} has no ${deleted ? 'deleted ' : ''}profile ${text}`);
  if (another === undefined) return only.id;
  const ids = found.map(({ id, channel }) => `${id} (${channel} channel)`).join(', ');
  throw new Failure(
    `team ${team} has several ${deleted ? 'deleted ' : ''}profiles ${text}: name one by its id, ${ids}`,
  );
}
