import { Argument, type Command } from 'commander';
import { z } from 'zod';
import { type Client, clientFor } from './client.ts';
import { Failure } from './failure.ts';
import { hostsOfProfile, queryOf, type StateFilter, status } from './get-states.ts';
import type { Listing } from './listing.ts';
import { profileId } from './profile-ref.ts';
import { table } from './table.ts';

const Host = z.object({
  id: z.string(),
  display_name: z.string(),
  serial_number: z.string().nullable(),
  os_version: z.string(),
  team: z.string(),
  enrollment: z.string(),
});
const DriftItem = z.object({
  host_name: z.string(),
  host_id: z.string(),
  channel: z.string(),
  kind: z.string(),
  identifier: z.string(),
  seen_at: z.string().nullable(),
});
const DriftPage = z.object({ drift: z.array(DriftItem), next_cursor: z.string().nullable() });
const Page = z.object({ hosts: z.array(Host), next_cursor: z.string().nullable() });
const Profile = z.object({
  id: z.number(),
  identifier: z.string(),
  name: z.string(),
  team: z.string(),
  channel: z.string(),
  targets: z.string(),
  counts: z.record(z.string(), z.number()),
});
const Label = z.object({
  name: z.string(),
  kind: z.string(),
  hosts: z.number(),
  unknown: z.number(),
  leaving: z.number(),
});
const Team = z.object({ id: z.number(), name: z.string(), hosts: z.number() });

/** Pages of hosts asked for at most; 100 hosts each. */
const MAX_PAGES = 10_000;

export function addGet(program: Command): void {
  program
    .command('get')
    .description('List hosts, profiles, labels, teams or drift, or count what is not settled.')
    .addArgument(new Argument('<what>').choices(Object.keys(LISTS)))
    .option('--data <folder>', 'data folder of the running server', 'espalier-data')
    .option('--profile <profile>', 'hosts of one profile: its id, or its PayloadIdentifier in the team')
    .option('--state <state>', 'hosts: verified, verifying, pending, waiting or failed')
    .option('--waiting <reason>', 'hosts where something waits for this')
    .option('--error <code>', 'hosts where something failed with this')
    .option('--team <name>', 'hosts, profiles or drift of this team; with --profile: the team whose it is')
    .option('--label <name>', 'hosts with this label')
    .option('--query <text>', 'hosts: part of a name, or the beginning of a serial number or UDID')
    .option('--json', 'as JSON')
    .action(async (what: string, options: Filter & { data: string; json?: boolean }) => {
      const { headings, rows, raw } = await listOf(clientFor(options.data), what, options);
      console.log(options.json === true ? JSON.stringify(raw, null, 2) : table(headings, rows));
    });
}

/** Errors: Failure where a filter is not of this list, ApiError. */
export async function listOf(client: Client, what: string, filter: Filter): Promise<Listing> {
  const list = LISTS[what];
  if (list === undefined) throw new Error(`commander let "${what}" pass`);
  return list(client, filter);
}

interface Filter extends StateFilter {
  readonly profile?: string;
}

/** A list of one profile's hosts has states and nothing else: a filter that would be passed over is refused. */
async function profileHosts(client: Client, profile: string, filter: Filter): Promise<Listing> {
  if (filter.label !== undefined || filter.query !== undefined)
    throw new Failure('--profile goes with --state, --waiting and --error, and with --team to say whose profile it is');
  const id = await profileId(client, { text: profile, team: filter.team ?? 'Default' }, false);
  const { state, waiting, error } = filter;
  return hostsOfProfile(client, String(id), {
    ...(state === undefined ? {} : { state }),
    ...(waiting === undefined ? {} : { waiting }),
    ...(error === undefined ? {} : { error }),
  });
}

const LISTS: Readonly<Record<string, (client: Client, filter: Filter) => Promise<Listing>>> = {
  hosts: (client, filter) =>
    filter.profile === undefined ? hosts(client, filter) : profileHosts(client, filter.profile, filter),
  profiles,
  labels: unfiltered('labels', labels),
  teams: unfiltered('teams', teams),
  drift,
  status: unfiltered('status', status),
};

async function hosts(client: Client, filter: StateFilter): Promise<Listing> {
  const all: z.output<typeof Host>[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const { hosts: some, next_cursor } = Page.parse(await client.get(`/hosts?limit=100${queryOf(filter)}${query}`));
    all.push(...some);
    cursor = next_cursor;
    if (cursor === null) break;
  }
  return {
    headings: ['name', 'serial', 'os', 'team', 'enrolment', 'id'],
    rows: all.map((host) => [
      host.display_name,
      host.serial_number ?? '',
      host.os_version,
      host.team,
      host.enrollment,
      host.id,
    ]),
    raw: all,
  };
}

async function drift(client: Client, filter: Filter): Promise<Listing> {
  refuseOther('drift', filter);
  const all: z.output<typeof DriftItem>[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const { drift: some, next_cursor } = DriftPage.parse(
      await client.get(`/drift?limit=1000${queryOf(filter)}${query}`),
    );
    all.push(...some);
    cursor = next_cursor;
    if (cursor === null) break;
  }
  return {
    headings: ['kind', 'identifier', 'host', 'channel', 'seen'],
    rows: all.map((one) => [one.kind, one.identifier, one.host_name || one.host_id, one.channel, one.seen_at ?? '']),
    raw: all,
  };
}

/** A filter that a list does not have is refused, or it would show more than was asked for. */
function refuseOther(what: string, { team: _team, ...others }: Filter): void {
  const names = ['profile', 'state', 'waiting', 'error', 'label', 'query'] as const;
  const given = names.find((name) => others[name] !== undefined);
  if (given !== undefined) throw new Failure(`--${given} is for hosts, and not for ${what}`);
}

function unfiltered(what: string, list: (client: Client) => Promise<Listing>) {
  return async (client: Client, filter: Filter): Promise<Listing> => {
    refuseOther(what, filter);
    if (filter.team !== undefined) throw new Failure(`--team is for hosts, profiles and drift, and not for ${what}`);
    return list(client);
  };
}

async function profiles(client: Client, filter: Filter): Promise<Listing> {
  refuseOther('profiles', filter);
  const query = filter.team === undefined ? '' : `?team=${encodeURIComponent(filter.team)}`;
  const { profiles: all } = z.object({ profiles: z.array(Profile) }).parse(await client.get(`/profiles${query}`));
  const counts = (profile: z.output<typeof Profile>) =>
    Object.entries(profile.counts)
      .filter(([, count]) => count > 0)
      .map(([state, count]) => `${count} ${state}`)
      .join(', ');
  return {
    headings: ['id', 'identifier', 'name', 'team', 'channel', 'targets', 'hosts'],
    rows: all.map((p) => [String(p.id), p.identifier, p.name, p.team, p.channel, p.targets, counts(p)]),
    raw: all,
  };
}

async function labels(client: Client): Promise<Listing> {
  const { labels: all } = z.object({ labels: z.array(Label) }).parse(await client.get('/labels'));
  return {
    headings: ['name', 'kind', 'hosts', 'unknown', 'leaving'],
    rows: all.map((l) => [l.name, l.kind, String(l.hosts), String(l.unknown), String(l.leaving)]),
    raw: all,
  };
}

async function teams(client: Client): Promise<Listing> {
  const { teams: all } = z.object({ teams: z.array(Team) }).parse(await client.get('/teams'));
  return { headings: ['id', 'name', 'hosts'], rows: all.map((t) => [String(t.id), t.name, String(t.hosts)]), raw: all };
}
