import { sql } from 'kysely';
import type { Channel, EnrollmentRef } from '../core/enrollment.ts';
import type { ReconcileStore } from '../reconciler/ports.ts';
import type { CatalogueRows, IncludeMode } from '../reconciler/types.ts';
import { LABEL_EPOCH } from './catalogue-epoch.ts';
import { type Database, type Executor, executorOf } from './database.ts';
import { forgetAnswers, labelTruth } from './label-copies.ts';
import { askAudit, auditPage, endAudit, layOutAudit, leaseAudit, repairCopies } from './reconcile-audit.ts';
import { writeContent } from './reconcile-evidence.ts';
import { findHost, readHost, teamNames } from './reconcile-host.ts';
import { reconcileQueue } from './reconcile-queue.ts';
import { failedIn, hostNames, scan } from './reconcile-read.ts';
import { lockFacts, lockOne, readFacts } from './reconcile-rows.ts';
import { queueWaitingFor } from './reconcile-siblings.ts';
import { writeFacts, writePlans } from './reconcile-write.ts';

/** PGlite has one session: a device waits as long as a transaction takes (design §5). */
const PGLITE = {
  batchLimit: 100,
  batchTargetMs: 20,
  batchesAtOnce: 1,
  auditPageKeys: 300,
  auditPagesAhead: 0,
};
/** A page's estimate stays below `jit_above_cost`: compiling it would cost more than reading it (measured). */
const POSTGRES = {
  batchLimit: 2000,
  batchTargetMs: 250,
  batchesAtOnce: 2,
  auditPageKeys: 3000,
  auditPagesAhead: 2,
};

export function reconcileStore(db: Database): ReconcileStore {
  return {
    ...(db.kind === 'pglite' ? PGLITE : POSTGRES),

    async epoch() {
      const { rows } = await sql<{ epoch: number }>`select epoch from catalogue`.execute(db.read);
      return rows[0]?.epoch ?? 0;
    },
    loadCatalogue: (tx) => loadCatalogue(tx === undefined ? db.read : executorOf(tx)),

    ...reconcileQueue(db),

    lock: (tx, enrollments) => lockFacts(executorOf(tx), enrollments),
    writePlans: (tx, writes, bodies, now) => writePlans(executorOf(tx), writes, bodies, now),
    lockOne: (tx, enrollment) => lockOne(executorOf(tx), enrollment),
    writeFacts: (tx, write, now) => writeFacts(executorOf(tx), write, now),
    writeContent: (tx, enrollment, content) => writeContent(executorOf(tx), enrollment, content),

    async writeObserver(tx, enrollment, observer) {
      // When rows last came is the age of the evidence; an answer without rows changes only the state.
      const set =
        observer.source === 'profile_list'
          ? sql`profile_list_at = ${observer.at}`
          : observer.state === 'rows'
            ? sql`osquery_state = 'rows', osquery_at = ${observer.at}`
            : sql`osquery_state = ${observer.state}`;
      await sql`update recon set ${set} where enrollment_id = ${enrollment}`.execute(executorOf(tx));
    },

    async forget(tx, enrollment) {
      await dropOps(executorOf(tx), enrollment);
      await writeContent(executorOf(tx), enrollment, undefined);
      await sql`
        update recon set applied = '{}', applied_fp = 0, actual_known = false, op_count = 0, observed_extra = '[]',
          osquery_at = null, osquery_state = 'never', profile_list_at = null, label_epoch = 0, unknown_label_ids = '{}'
        where enrollment_id = ${enrollment}
      `.execute(executorOf(tx));
      await forgetAnswers(executorOf(tx), enrollment);
    },
    /** The host is locked: whoever moves it meanwhile would not see this row, and it not the team. */
    async ensure(tx, enrollment) {
      await sql`
        insert into recon (enrollment_id, team_id, label_ids, label_epoch, unknown_label_ids)
        select t.id, h.team_id, t.label_ids, t.label_epoch, t.unknown_label_ids
        from (${labelTruth(sql`e.id = ${enrollment} and e.state = 'enrolled'`)}) t join host h on h.id = t.host_id
        for share of h
        on conflict (enrollment_id) do update set team_id = excluded.team_id, label_ids = excluded.label_ids,
          label_epoch = excluded.label_epoch, unknown_label_ids = excluded.unknown_label_ids
      `.execute(executorOf(tx));
    },
    async drop(tx, enrollment) {
      await dropOps(executorOf(tx), enrollment);
      await writeContent(executorOf(tx), enrollment, undefined);
      await sql`delete from recon where enrollment_id = ${enrollment}`.execute(executorOf(tx));
    },

    async bounds() {
      const { rows } = await sql<{ low: number | null; high: number | null }>`
        select min(id) as low, max(id) as high from enrollment
      `.execute(db.read);
      const { low = null, high = null } = rows[0] ?? {};
      return low === null || high === null ? undefined : { low, high };
    },
    auditPage: (low, high) => auditPage(db.read, low, high),
    read: (enrollments, tx) => readFacts(tx === undefined ? db.read : executorOf(tx), enrollments),
    repairCopies: (tx, suspects) => repairCopies(executorOf(tx), suspects),
    layOutAudit: (slices, now) => layOutAudit(db.read, slices, now),
    askAudit: (slices, now) => askAudit(db.read, slices, now),
    leaseAudit: (slices, owner, now, until) => leaseAudit(db.read, slices, owner, now, until),
    endAudit: (slices, slice, owner, dueAt) => endAudit(db.read, slices, slice, owner, dueAt),

    findHost: (ref) => findHost(db.read, ref),
    readHost: (hostId) => readHost(db.read, hostId),
    teamNames: (teamIds) => teamNames(db.read, teamIds),
    scan: (after, limit, teamIds) => scan(db.read, after, limit, teamIds),
    queueWaitingFor: (tx, enrollment, slots, now) => queueWaitingFor(executorOf(tx), enrollment, slots, now),
    failedIn: (slotId, teamIds, after, limit) => failedIn(db.read, slotId, teamIds, after, limit),
    hostNames: (enrollments) => hostNames(db.read, enrollments),
  };
}

async function dropOps(executor: Executor, enrollment: EnrollmentRef): Promise<void> {
  await sql`delete from op where enrollment_id = ${enrollment}`.execute(executor);
}

interface ProfileColumns {
  readonly id: number;
  readonly team_id: number;
  readonly slot_id: number;
  readonly name: string;
  readonly include_mode: IncludeMode;
  readonly include_label_ids: number[];
  readonly exclude_label_ids: number[];
  readonly min_os: string | null;
  readonly max_os: string | null;
  readonly current_version_id: number;
  readonly payload_types: string[];
  readonly target_device_type: number | null;
  readonly moved_from_slot_id: number | null;
}

/**
 * Read in an order that stays safe while somebody commits in between: the epoch first, so that anything newer is loaded
 * again with the next claim; what profiles name (versions, slots, labels) after them.
 */
async function loadCatalogue(executor: Executor): Promise<CatalogueRows> {
  const epoch = await sql<{ epoch: number }>`select epoch from catalogue`.execute(executor);
  const profiles = await sql<ProfileColumns>`
    select p.id, p.team_id, p.slot_id, p.name, p.include_mode, p.include_label_ids, p.exclude_label_ids, p.min_os, p.max_os,
      p.current_version_id, p.moved_from_slot_id, v.target_device_type,
      array(select distinct t ->> 'type' from jsonb_array_elements(v.payloads) as t order by 1) as payload_types
    from profile p join profile_version v on v.id = p.current_version_id where p.deleted_at is null order by p.id
  `.execute(executor);
  const versions = await sql<{ id: number; profile_id: number; slot_id: number; witness: string; first: number }>`
    select v.id, v.profile_id, p.slot_id, lower(v.witness_uuid) as witness,
      min(v.id) over (partition by p.slot_id, v.content_sha256, v.delivery, upper(v.witness_uuid)) as first
    from profile_version v join profile p on p.id = v.profile_id order by v.id
  `.execute(executor);
  const slots = await sql<{ id: number; kind: 'mdm' | 'ddm'; channel: Channel; identifier: string }>`
    select id, kind, channel, identifier from slot order by id
  `.execute(executor);
  const labels = await sql<{ id: number; name: string; epoch: number }>`
    select id, name, ${LABEL_EPOCH} as epoch from label order by id
  `.execute(executor);
  return {
    epoch: epoch.rows[0]?.epoch ?? 0,
    slots: slots.rows,
    profiles: profiles.rows.map((row) => ({
      id: row.id,
      teamId: row.team_id,
      slotId: row.slot_id,
      name: row.name,
      includeMode: row.include_mode,
      includeLabelIds: row.include_label_ids,
      excludeLabelIds: row.exclude_label_ids,
      minOs: row.min_os ?? undefined,
      maxOs: row.max_os ?? undefined,
      versionId: row.current_version_id,
      payloadTypes: row.payload_types,
      targetDeviceType: row.target_device_type ?? undefined,
      movedFromSlotId: row.moved_from_slot_id ?? undefined,
    })),
    versions: versions.rows.map((row) => ({
      id: row.id,
      profileId: row.profile_id,
      slotId: row.slot_id,
      witness: row.witness,
      ...(row.first === row.id ? {} : { sameAs: row.first }),
    })),
    labels: labels.rows,
  };
}
