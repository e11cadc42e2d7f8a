import { z } from 'zod';
import type { Client } from './client.ts';
import { Failure } from './failure.ts';
import { printable, table } from './table.ts';

const View = z.object({
  name: z.string(),
  kind: z.string(),
  query: z.string().nullable(),
  criteria: z.unknown(),
  hosts: z.number(),
  unknown: z.number(),
  leaving: z.number(),
  total_hosts: z.number(),
  filled: z.boolean(),
  evaluated_at: z.string().nullable(),
  errors: z.array(z.object({ host_name: z.string(), message: z.string() })),
  profiles: z.array(
    z.object({ id: z.number(), identifier: z.string(), name: z.string(), team: z.string(), role: z.string() }),
  ),
});
const Changed = z.object({ added: z.number(), removed: z.number() });

export interface MembersWish {
  readonly add?: readonly string[];
  readonly remove?: readonly string[];
  readonly set?: readonly string[];
}

/** Errors: ApiError. */
export async function showLabel(
  client: Client,
  name: string,
): Promise<{ readonly raw: unknown; readonly lines: readonly string[] }> {
  const raw = await client.get(`/labels/${encodeURIComponent(name)}`);
  const label = View.parse(raw);
  const source = label.query ?? (label.criteria === null ? undefined : JSON.stringify(label.criteria));
  const counts = `${label.hosts} of ${label.total_hosts} hosts, ${label.unknown} unknown, ${label.leaving} leaving`;
  const uses = label.profiles.map((use) => [use.role, String(use.id), use.identifier, use.name, use.team]);
  const errors = label.errors.map(({ host_name, message }) => [host_name, message]);
  return {
    raw,
    lines: [
      printable(`${label.name} (${label.kind}): ${counts}${label.filled ? '' : '; it is being worked out'}`),
      ...(source === undefined ? [] : [printable(source)]),
      ...(label.evaluated_at === null ? [] : [`last answered ${label.evaluated_at}`]),
      ...(errors.length === 0 ? [] : ['', 'Its query failed:', table(['host', 'why'], errors)]),
      ...(uses.length === 0 ? [] : ['', table(['role', 'profile', 'identifier', 'name', 'team'], uses)]),
    ],
  };
}

/** Errors: Failure where not exactly one change is wished, ApiError. */
export async function changeMembers(client: Client, name: string, { add, remove, set }: MembersWish): Promise<string> {
  const route = `/labels/${encodeURIComponent(name)}/hosts`;
  const wishes = [
    ...(add === undefined ? [] : [() => client.post(route, { hosts: add })]),
    ...(remove === undefined ? [] : [() => client.delete(route, { hosts: remove })]),
    ...(set === undefined ? [] : [() => client.put(route, { hosts: set })]),
  ];
  const [wish, another] = wishes;
  if (wish === undefined || another !== undefined) throw new Failure('say one of --add, --remove and --set');
  const { added, removed } = Changed.parse(await wish());
  return printable(`${name}: ${added} added, ${removed} removed.`);
}
