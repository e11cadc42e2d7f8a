/** Labels as people read them: counts, and the hosts of one. */
import { sql } from 'kysely';
import { hostDisplayName } from '../core/host-name.ts';
import type {
  CountedLabel,
  Label,
  LabelCounts,
  LabelKind,
  LabelOnHost,
  LabelView,
  ProfileUse,
  VitalsCriteria,
} from '../hosts/types.ts';
import { LABEL_EPOCH } from './catalogue-epoch.ts';
import type { Executor } from './database.ts';

const MAX_ERRORS = 20;

export interface LabelColumns {
  readonly id: number;
  readonly name: string;
  readonly kind: LabelKind;
  readonly query: string | null;
  readonly vitals: VitalsCriteria | null;
}

/** A row without what its kind must have was not written by this program. */
export function labelOf({ id, name, kind, query, vitals }: LabelColumns): Label {
  if (kind === 'dynamic' && query !== null) return { id, name, kind, query };
  if (kind === 'host_vitals' && vitals !== null) return { id, name, kind, criteria: vitals };
  if (kind === 'manual') return { id, name, kind };
  throw new Error(`label ${id} is ${kind} and has nothing that says who is in it`);
}

interface Row extends LabelColumns {
  readonly known_from: number;
  readonly filled: boolean;
}

/** Of a member `m` of `l` with what is known of its host, `hl`: is it one for the gate too. */
export const KNOWN_MEMBER = sql`
  (${LABEL_EPOCH} <= coalesce(hl.label_epoch, 0) and (hl.unknown_label_ids is null or not l.id = any(hl.unknown_label_ids)))`;

/** Every label, as it stands with one host. */
export async function labelsOfHost(
  executor: Executor,
  hostId: string,
): Promise<{ readonly labels: readonly LabelOnHost[]; readonly labelEpoch: number }> {
  const { rows } = await sql<OnHost>`
    select l.id, l.name, l.kind, l.query, l.vitals, l.epoch, l.filled, m.host_id is not null as member, m.since,
      coalesce(l.id = any(hl.unknown_label_ids), false) as unknown, hl.errors ->> l.id::text as error,
      coalesce(hl.leaving_counts[array_position(hl.leaving_label_ids, l.id)], 0) as noes,
      coalesce(hl.label_epoch, 0) as label_epoch
    from label l left join label_member m on m.label_id = l.id and m.host_id = ${hostId}
    left join host_label hl on hl.host_id = ${hostId}
    order by l.name
  `.execute(executor);
  return {
    labels: rows.map((row) => ({
      label: labelOf(row),
      member: row.member,
      since: row.since ?? undefined,
      epoch: row.epoch,
      filled: row.filled,
      unknown: row.unknown,
      noes: row.noes,
      error: row.error ?? undefined,
    })),
    labelEpoch: rows[0]?.label_epoch ?? 0,
  };
}

interface OnHost extends LabelColumns {
  readonly epoch: number;
  readonly filled: boolean;
  readonly member: boolean;
  readonly since: Date | null;
  readonly unknown: boolean;
  readonly error: string | null;
  readonly noes: number;
  readonly label_epoch: number;
}

export async function listLabels(executor: Executor): Promise<readonly CountedLabel[]> {
  const { rows } = await sql<Row>`
    select l.id, l.name, l.kind, l.query, l.vitals, l.filled, ${LABEL_EPOCH} as known_from from label l order by l.name
  `.execute(executor);
  const counts = await countLabels(executor, rows);
  return rows.map(({ id, name, kind }) => ({ id, name, kind, ...(counts.of.get(id) ?? NOBODY) }));
}

export async function viewLabel(executor: Executor, name: string): Promise<LabelView | undefined> {
  const { rows } = await sql<Row>`
    select l.id, l.name, l.kind, l.query, l.vitals, l.filled, ${LABEL_EPOCH} as known_from from label l where l.name = ${name}
  `.execute(executor);
  const row = rows[0];
  if (row === undefined) return undefined;
  const { of, total } = await countLabels(executor, [row]);
  const errors = await sql<{ host_id: string; host_name: string; serial_number: string | null; message: string }>`
    select h.host_id, host.name as host_name, host.serial_number, h.errors ->> ${String(row.id)} as message
    from host_label h join host on host.id = h.host_id
    where h.errors <> '{}' and h.errors ->> ${String(row.id)} is not null
    order by h.evaluated_at desc nulls last, h.host_id limit ${MAX_ERRORS}
  `.execute(executor);
  const evaluated = await sql<{ at: Date | null }>`
    select max(evaluated_at) as at from host_label where label_epoch >= ${row.known_from}
  `.execute(executor);
  return {
    label: labelOf(row),
    counts: of.get(row.id) ?? NOBODY,
    total,
    filled: row.filled,
    evaluatedAt: row.kind === 'dynamic' ? (evaluated.rows[0]?.at ?? undefined) : undefined,
    errors: errors.rows.map(({ host_id: id, host_name: name, serial_number: serialNumber, message }) => ({
      hostId: id,
      hostName: hostDisplayName({ id, name, serialNumber }),
      message,
    })),
    profiles: await profilesNaming(executor, row.id),
  };
}

/** Profiles that name the label: live ones, or deleted ones that somebody may restore. */
export async function profilesNaming(
  executor: Executor,
  labelId: number,
  deleted = false,
): Promise<readonly ProfileUse[]> {
  const { rows } = await sql<Omit<ProfileUse, 'teamId'> & { team_id: number }>`
    select p.id, s.identifier, p.name, p.team_id, t.name as team,
      case when ${labelId} = any(p.include_label_ids) then 'include' else 'exclude' end as role
    from profile p join slot s on s.id = p.slot_id join team t on t.id = p.team_id
    where (p.deleted_at is not null) = ${deleted} and t.deleted_at is null and (${labelId} = any(p.include_label_ids) or ${labelId} = any(p.exclude_label_ids))
    order by p.name, p.id
  `.execute(executor);
  return rows.map(({ team_id: teamId, ...use }) => ({ ...use, teamId }));
}

const NOBODY: LabelCounts = { hosts: 0, unknown: 0, leaving: 0 };

/**
 * Four passes over the fleet however many labels there are. A label is unknown where its host has not come to its epoch,
 * or is among the unknown ones of a host that has.
 */
async function countLabels(
  executor: Executor,
  labels: readonly { readonly id: number; readonly kind: LabelKind; readonly known_from: number }[],
): Promise<{ readonly of: ReadonlyMap<number, LabelCounts>; readonly total: number }> {
  const ids = sql`${sql.val(labels.map((label) => label.id))}::int[]`;
  const hosts = await sql<{ count: number }>`select count(*)::int as count from host`.execute(executor);
  const total = hosts.rows[0]?.count ?? 0;
  const epochs = await sql<{ epoch: number; count: number }>`
    select label_epoch as epoch, count(*)::int as count from host_label group by label_epoch
  `.execute(executor);
  const open = await sql<{ id: number; epoch: number; count: number }>`
    select k as id, h.label_epoch as epoch, count(*)::int as count
    from host_label h, unnest(h.unknown_label_ids) as k
    where h.unknown_label_ids <> '{}' and k = any(${ids}) group by k, h.label_epoch
  `.execute(executor);
  const leaving = await sql<{ id: number; count: number }>`
    select k as id, count(*)::int as count from host_label h, unnest(h.leaving_label_ids) as k
    where h.ask_soon and k = any(${ids}) and k <> all(h.unknown_label_ids) group by k
  `.execute(executor);
  const members = await sql<{ id: number; count: number }>`
    select l.id, count(*)::int as count
    from label l join label_member m on m.label_id = l.id left join host_label hl on hl.host_id = m.host_id
    where l.id = any(${ids}) and ${KNOWN_MEMBER} group by l.id
  `.execute(executor);
  const countOf = (rows: readonly { readonly id: number; readonly count: number }[], id: number) =>
    rows.find((row) => row.id === id)?.count ?? 0;
  const reached = (from: number) =>
    from <= 0 ? total : epochs.rows.reduce((sum, row) => (row.epoch >= from ? sum + row.count : sum), 0);
  const of = labels.map(({ id, known_from: from }): [number, LabelCounts] => [
    id,
    {
      hosts: countOf(members.rows, id),
      unknown:
        total -
        reached(from) +
        open.rows.reduce((sum, row) => (row.id === id && row.epoch >= from ? sum + row.count : sum), 0),
      leaving: countOf(leaving.rows, id),
    },
  ]);
  return { of: new Map(of), total };
}
