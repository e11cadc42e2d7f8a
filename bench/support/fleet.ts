/**
 * A settled fleet as rows: teams of 45/25/15/10/5 %, 120 labels of skewed size, 7 memberships a host, per team 35 %
 * profiles for all, 35 % include-any, 10 % include-all, 20 % exclude-any (the data of the design's own experiments).
 */
import { createHmac, hash } from 'node:crypto';
import { sql } from 'kysely';
import { type Database, type Executor, executorOf } from '../../db/database.ts';
import { reconcileStore } from '../../db/reconcile-store.ts';
import type { MacKey } from '../../keys/types.ts';
import { type Catalogue, fingerprintOf, indexCatalogue } from '../../reconciler/catalogue.ts';
import { fingerprintText } from '../../reconciler/fingerprint.ts';
import { matcherOf, YES } from '../../reconciler/match.ts';

export const LABELS = 120;
const TEAM_SHARES = [0.45, 0.25, 0.15, 0.1, 0.05];
const MEMBERSHIPS = 7.4;
const SKEW = 0.7;
const DELIVERED_BYTES = 4096;
const PAGE = 5000;

export const fingerprintKey: MacKey = {
  digest: (...parts) => createHmac('sha256', 'bench').update(parts.map(String).join('\0')).digest(),
};

/** Seeded, so that two runs measure the same fleet (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export async function loadCatalogue(db: Database): Promise<Catalogue> {
  return indexCatalogue(await reconcileStore(db).loadCatalogue(), fingerprintKey.digest);
}

/** Answers the mean number of profiles a host should have. */
export async function makeFleet(db: Database, hosts: number, profilesPerTeam: number): Promise<number> {
  await makeCatalogue(db, profilesPerTeam);
  await sql`
    insert into host (id, udid, model, os_version, team_id, created_at, updated_at)
    select n::uuid, n, 'Mac15,3', '15.1', 1, now(), now()
    from generate_series(1, ${hosts}::int) i, lateral (select '00000000-0000-7000-8000-' || lpad(to_hex(i), 12, '0') as n) as n
  `.execute(db.read);
  await sql`
    insert into enrollment (id, enrollment_id, type, channel, host_id, state, generation, topic, push_token, push_magic, binding)
    overriding system value
    select row_number() over (order by id), udid, 'Device', 'device', id, 'enrolled', 1, 'bench', 'token', 'magic', 'link_only'
    from host
  `.execute(db.read);
  await sql`
    insert into push_certificate (topic, certificate, sealed_key, not_after, created_at)
    values ('bench', 'c', 'k', now() + interval '1 year', now())
  `.execute(db.read);
  const mean = await makeRows(db, hosts);
  await sql`
    update host h set team_id = r.team_id from recon r join enrollment e on e.id = r.enrollment_id
    where h.id = e.host_id and h.team_id <> r.team_id
  `.execute(db.read);
  await sql`
    insert into label_member (label_id, host_id)
    select l, e.host_id from recon r join enrollment e on e.id = r.enrollment_id cross join unnest(r.label_ids) as l
    order by e.host_id, l
  `.execute(db.read);
  await sql`
    insert into host_label (host_id, label_epoch, evaluated_at)
    select e.host_id, r.label_epoch, now() from recon r join enrollment e on e.id = r.enrollment_id order by e.host_id
  `.execute(db.read);
  await sql`vacuum analyze`.execute(db.read);
  return mean;
}

async function makeCatalogue(db: Database, profilesPerTeam: number): Promise<void> {
  const random = seeded(1);
  await db.run(async (tx) => {
    const executor = executorOf(tx);
    await sql`insert into team (name) select 'Team ' || i from generate_series(2, ${TEAM_SHARES.length}::int) i`.execute(
      executor,
    );
    await sql`
      insert into label (name, kind, query, epoch)
      select 'Label ' || i, case when i <= 42 then 'manual' else 'dynamic' end, 'select 1', 1 from generate_series(1, ${LABELS}::int) i
    `.execute(executor);
    await sql`
      insert into slot (kind, channel, identifier)
      select 'mdm', 'device', 'com.example.bench.' || i from generate_series(1, ${profilesPerTeam}::int) i
    `.execute(executor);
    for (let team = 1; team <= TEAM_SHARES.length; team += 1)
      for (let place = 0; place < profilesPerTeam; place += 1) await makeProfile(executor, team, place, random);
  });
}

async function makeProfile(executor: Executor, team: number, place: number, random: () => number): Promise<void> {
  const kind = place % 20;
  const some = (count: number): number[] =>
    [...new Set(Array.from({ length: count }, () => 1 + Math.floor(random() ** 1.5 * LABELS)))].sort((a, b) => a - b);
  const mode = kind < 7 || kind >= 16 ? 'none' : kind < 14 ? 'any' : 'all';
  const include = mode === 'any' ? some(3) : mode === 'all' ? some(2) : [];
  const exclude = kind >= 16 ? some(2) : [];
  const { rows } = await sql<{ id: number }>`
    insert into profile (team_id, slot_id, name, include_mode, include_label_ids, exclude_label_ids, epoch, created_at, updated_at)
    select ${team}::int, id, identifier, ${mode}, ${sql.val(include)}::int[], ${sql.val(exclude)}::int[], 1, now(), now()
    from slot where identifier = ${`com.example.bench.${place + 1}`} returning id
  `.execute(executor);
  await newVersion(executor, rows[0]?.id ?? 0, 'first');
}

/** An edit, as an upload leaves it in the catalogue. */
export async function newVersion(executor: Executor, profileId: number, content: string): Promise<void> {
  const delivered = Buffer.alloc(DELIVERED_BYTES, `${profileId} ${content} `);
  await sql`
    with v as (
      insert into profile_version (profile_id, content_sha256, original, delivery, witness_uuid, display_name, delivered, created_at)
      values (${profileId}, ${hash('sha256', delivered, 'buffer')}, 'x', 'rewritten', gen_random_uuid()::text, 'Bench', ${delivered}, now())
      returning id
    )
    update profile set current_version_id = v.id from v where profile.id = ${profileId}
  `.execute(executor);
}

async function makeRows(db: Database, hosts: number): Promise<number> {
  const catalogue = await loadCatalogue(db);
  const random = seeded(2);
  const shares = labelShares();
  let pairs = 0;
  for (let from = 1; from <= hosts; from += PAGE) {
    const rows = Array.from({ length: Math.min(PAGE, hosts - from + 1) }, (_, index) => {
      const teamId = teamAt(random());
      const labelIds = shares.flatMap((share, label) => (random() < share ? [label + 1] : []));
      const applied = wanted(catalogue, teamId, labelIds);
      pairs += applied.length;
      return {
        id: from + index,
        teamId,
        labelIds,
        applied,
        fingerprint: fingerprintText(fingerprintOf(catalogue, applied)),
      };
    });
    const column = <T>(pick: (row: (typeof rows)[number]) => T) => sql.val(rows.map(pick));
    await sql`
      insert into recon (enrollment_id, team_id, label_ids, label_epoch, applied, applied_fp, actual_known, rev, osquery_at,
        osquery_state, profile_list_at)
      select id, team, labels::int[], 1, applied::int[], fp, true, 1, now(), 'rows', now()
      from unnest(${column((row) => row.id)}::bigint[], ${column((row) => row.teamId)}::int[],
        ${column((row) => `{${row.labelIds}}`)}::text[], ${column((row) => `{${row.applied}}`)}::text[],
        ${column((row) => row.fingerprint)}::bigint[]) as t (id, team, labels, applied, fp)
    `.execute(db.read);
  }
  return pairs / hosts;
}

function labelShares(): number[] {
  const weights = Array.from({ length: LABELS }, (_, index) => (index + 1) ** -SKEW);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => Math.min(0.9, (weight * MEMBERSHIPS) / sum));
}

function teamAt(point: number): number {
  let sum = 0;
  const index = TEAM_SHARES.findIndex((share) => {
    sum += share;
    return point < sum;
  });
  return (index < 0 ? TEAM_SHARES.length - 1 : index) + 1;
}

/** Ascending version ids. */
function wanted(catalogue: Catalogue, teamId: number, labelIds: readonly number[]): number[] {
  const subject = {
    teamId,
    channel: 'device',
    platform: 'mac',
    userEnrollment: false,
    osVersion: '15.1',
    labelIds,
    labelEpoch: 1,
    unknownLabelIds: [],
  } as const;
  const { profiles, match } = matcherOf(catalogue, subject);
  const verdicts = match(subject);
  return profiles
    .flatMap((profile, index) => (verdicts[index] === YES ? [profile.versionId] : []))
    .sort((a, b) => a - b);
}
