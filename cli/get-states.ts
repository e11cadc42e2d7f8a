import { z } from 'zod';
import type { Client } from './client.ts';
import type { Listing } from './listing.ts';

const HostOfProfile = z.object({
  id: z.string(),
  name: z.string(),
  channel: z.string(),
  state: z.string(),
  waiting: z.string().nullable(),
  reason: z.string(),
  since: z.string().nullable(),
});
const Page = z.object({ hosts: z.array(HostOfProfile), next_cursor: z.string().nullable() });
const Causes = {
  waiting: z.array(z.object({ reason: z.string(), count: z.number() })),
  errors: z.array(z.object({ code: z.string(), count: z.number() })),
};
const Status = z.object({
  as_of: z.string(),
  hosts: z.object({ total: z.number(), states: z.array(z.object({ state: z.string(), count: z.number() })) }),
  pairs: z.object({ in_scope: z.number(), counts: z.record(z.string(), z.number()), ...Causes }),
  oldest_unsettled_at: z.string().nullable(),
});

/** Pages asked for at most; 500 lines each. */
const MAX_PAGES = 10_000;

/** What a list of hosts is narrowed to. */
export interface StateFilter {
  readonly state?: string;
  readonly waiting?: string;
  readonly error?: string;
  readonly team?: string;
  readonly label?: string;
  readonly query?: string;
}

export function queryOf({ state, waiting, error, team, label, query }: StateFilter): string {
  const given = Object.entries({ state, waiting, error, team, label, query }).filter(
    ([, value]) => value !== undefined,
  );
  return given.map(([name, value]) => `&${name}=${encodeURIComponent(String(value))}`).join('');
}

export async function hostsOfProfile(client: Client, profile: string, filter: StateFilter): Promise<Listing> {
  const all: z.output<typeof HostOfProfile>[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const after: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const route = `/profiles/${encodeURIComponent(profile)}/hosts?limit=500${queryOf(filter)}${after}`;
    const { hosts, next_cursor } = Page.parse(await client.get(route));
    all.push(...hosts);
    cursor = next_cursor;
    if (cursor === null) break;
  }
  return {
    headings: ['name', 'channel', 'state', 'since', 'id', 'reason'],
    rows: all.map((one) => [
      one.name,
      one.channel,
      one.waiting === null ? one.state : `${one.state}: ${one.waiting}`,
      one.since ?? '',
      one.id,
      one.reason,
    ]),
    raw: all,
  };
}

export async function status(client: Client): Promise<Listing> {
  const raw = Status.parse(await client.get('/status'));
  const { hosts, pairs, as_of, oldest_unsettled_at } = raw;
  const row = (what: string, of: string, count: number) => [what, of, String(count)];
  return {
    headings: ['what', 'of it', 'count'],
    rows: [
      ['as of', as_of, ''],
      row('hosts', 'all', hosts.total),
      ...hosts.states.map(({ state, count }) => row('hosts', state, count)),
      row('pairs', 'in scope', pairs.in_scope),
      ...Object.entries(pairs.counts).map(([state, count]) => row('pairs', state, count)),
      ...pairs.waiting.map(({ reason, count }) => row('waiting', reason, count)),
      ...pairs.errors.map(({ code, count }) => row('failed', code, count)),
      ['oldest unsettled', oldest_unsettled_at ?? 'none', ''],
    ],
    raw,
  };
}
