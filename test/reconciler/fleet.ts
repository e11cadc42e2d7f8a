/** A fleet in a real database: rows as the other rooms write them, and Macs that live on their own commands. */
import { sql } from 'kysely';
import type { Ids } from '../../core/clock.ts';
import type { CommandOutcome, ErrorChainItem, ObservedProfile } from '../../core/effects.ts';
import type { Channel, EnrollmentRef } from '../../core/enrollment.ts';
import { monotonicIds } from '../../core/ids.ts';
import type { Log } from '../../core/log.ts';
import { systemRandom } from '../../core/system.ts';
import type { Tx, UnitOfWork } from '../../core/tx.ts';
import { type Database, executorOf } from '../../db/database.ts';
import { reconcileStore } from '../../db/reconcile-store.ts';
import type { CommandBody } from '../../reconciler/ports.ts';
import type { ReconcilerSettings } from '../../reconciler/settings.ts';
import { createReconciler, type Reconciler } from '../../reconciler/tick.ts';
import type { IncludeMode } from '../../reconciler/types.ts';
import { enrolledHost, TOPIC } from '../support/rows.ts';
import { digest, witness } from './world.ts';

/** A clock that tests move. */
class Hands {
  #now = new Date('2026-03-01T12:00:00Z');
  now(): Date {
    return this.#now;
  }
  forward(ms: number): void {
    this.#now = new Date(this.#now.getTime() + ms);
  }
}

/** Whatever its name is, it is the one that this enrolment was made with. */
const ENROLLMENT_PROFILE = 'com.example.enrolment';

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

export interface ProfileSpec {
  readonly team?: number;
  readonly identifier: string;
  readonly channel?: Channel;
  readonly includeMode?: IncludeMode;
  readonly include?: readonly number[];
  readonly exclude?: readonly number[];
  readonly minOs?: string;
  readonly maxOs?: string;
}

export interface Mac {
  readonly hostId: string;
  readonly enrollment: EnrollmentRef;
  /** What it really holds: identifier → UUID. */
  readonly holds: Map<string, string>;
}

export class Fleet {
  readonly db: Database;
  readonly clock = new Hands();
  readonly ids: Ids;
  constructor(db: Database) {
    this.db = db;
    this.ids = monotonicIds(this.clock, systemRandom);
  }

  /** Bodies say in plain text what they are; a Mac here reads them. */
  readonly commandBody: CommandBody = async (_tx, request) =>
    Buffer.from(
      request.kind === 'install'
        ? `install ${request.versionId}`
        : request.kind === 'remove'
          ? `remove ${request.identifier}`
          : 'list',
    );

  reconciler(
    settings: Partial<ReconcilerSettings> = {},
    commandBody = this.commandBody,
    unitOfWork: UnitOfWork = this.db,
  ): Reconciler {
    return createReconciler({
      store: reconcileStore(this.db),
      unitOfWork,
      clock: this.clock,
      ids: this.ids,
      log: quiet,
      key: { digest },
      commandBody,
      settings,
    });
  }

  async team(name: string): Promise<number> {
    const { rows } = await sql<{ id: number }>`insert into team (name) values (${name}) returning id`.execute(
      this.db.read,
    );
    return rows[0]?.id ?? 0;
  }

  /** Dynamic unless said otherwise: nobody's membership is known before its host was asked. */
  async label(name: string, kind: 'manual' | 'dynamic' = 'dynamic'): Promise<number> {
    return this.change(async (tx) => {
      const { rows } = await sql<{ id: number }>`
        insert into label (name, kind, query, epoch) values (${name}, ${kind}, 'select 1', (select epoch from catalogue)) returning id
      `.execute(executorOf(tx));
      return rows[0]?.id ?? 0;
    });
  }

  async upload(spec: ProfileSpec): Promise<number> {
    return this.change((tx) => this.insertProfile(tx, spec));
  }

  async insertProfile(tx: Tx, spec: ProfileSpec): Promise<number> {
    const executor = executorOf(tx);
    await sql`
      insert into slot (kind, channel, identifier) values ('mdm', ${spec.channel ?? 'device'}, ${spec.identifier}) on conflict do nothing
    `.execute(executor);
    const { rows } = await sql<{ id: number }>`
      insert into profile (team_id, slot_id, name, include_mode, include_label_ids, exclude_label_ids, min_os, max_os, epoch, created_at, updated_at)
      select ${spec.team ?? 1}, id, ${spec.identifier}, ${spec.includeMode ?? 'none'}, ${sql.val([...(spec.include ?? [])])}::int[],
        ${sql.val([...(spec.exclude ?? [])])}::int[], ${spec.minOs ?? null}, ${spec.maxOs ?? null}, 1, now(), now()
      from slot where channel = ${spec.channel ?? 'device'} and identifier = ${spec.identifier} returning id
    `.execute(executor);
    const id = rows[0]?.id ?? 0;
    await this.newVersion(tx, id);
    return id;
  }

  async edit(profileId: number): Promise<void> {
    await this.change((tx) => this.newVersion(tx, profileId));
  }

  async remove(profileId: number): Promise<void> {
    await this.change(async (tx) => {
      await sql`update profile set deleted_at = now() where id = ${profileId}`.execute(executorOf(tx));
    });
  }

  async newVersion(tx: Tx, profileId: number): Promise<void> {
    const executor = executorOf(tx);
    const { rows } = await sql<{ id: number }>`
      insert into profile_version (profile_id, content_sha256, original, delivery, witness_uuid, display_name, delivered, created_at)
      values (${profileId}, sha256(${this.ids.uuid()}::bytea), 'x', 'rewritten', '', 'name', 'x', now()) returning id
    `.execute(executor);
    const id = rows[0]?.id ?? 0;
    await sql`update profile_version set witness_uuid = ${witness(id).toUpperCase()} where id = ${id}`.execute(
      executor,
    );
    await sql`update profile set current_version_id = ${id} where id = ${profileId}`.execute(executor);
  }

  /** What every change of the catalogue does: raise the epoch and queue who may be concerned, in its own transaction. */
  async change<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.db.run(async (tx) => {
      const result = await work(tx);
      await sql`update catalogue set epoch = epoch + 1`.execute(executorOf(tx));
      await sql`
        insert into recon_queue (enrollment_id, reason, due_at) select enrollment_id, 'catalogue', ${this.clock.now()}::timestamptz from recon
      `.execute(executorOf(tx));
      return result;
    });
  }

  async mac(reconciler: Reconciler, options: { team?: number; os?: string } = {}): Promise<Mac> {
    const host = await enrolledHost(this.db);
    await sql`
      insert into push_certificate (topic, certificate, sealed_key, not_after, created_at)
      values (${TOPIC}, 'c', 'k', '2100-01-01', now()) on conflict do nothing
    `.execute(this.db.read);
    await sql`
      update host set team_id = ${options.team ?? 1}, os_version = ${options.os ?? '15.1'} where id = ${host.hostId}
    `.execute(this.db.read);
    await sql`
      update enrollment set frozen = ${JSON.stringify({ PayloadIdentifier: ENROLLMENT_PROFILE })}::jsonb where id = ${host.enrollment}
    `.execute(this.db.read);
    await this.live(reconciler, host.enrollment);
    return { hostId: host.hostId, enrollment: host.enrollment, holds: new Map() };
  }

  /** A user channel of a Mac, with profiles of its own. */
  async user(reconciler: Reconciler, mac: Mac): Promise<Mac> {
    const { rows } = await sql<{ id: number }>`
      insert into enrollment (enrollment_id, type, channel, host_id, device_id, user_id, state, generation, topic, binding)
      select enrollment_id || ':501', 'User', 'user', host_id, id, '501', 'enrolled', 1, topic, binding
      from enrollment where id = ${mac.enrollment} returning id
    `.execute(this.db.read);
    const enrollment = rows[0]?.id ?? 0;
    await this.live(reconciler, enrollment);
    return { hostId: mac.hostId, enrollment, holds: new Map() };
  }

  async live(reconciler: Reconciler, enrollment: EnrollmentRef): Promise<void> {
    await this.db.run((tx) =>
      reconciler.handlers.onEnrollmentLive(tx, { kind: 'enrollment_live', enrollment, first: true }),
    );
  }

  /** In place: the profiles stay on the Mac, the server forgets and cancels. */
  async reenrol(reconciler: Reconciler, mac: Mac): Promise<void> {
    await this.db.run(async (tx) => {
      const executor = executorOf(tx);
      const { rows } = await sql<{ generation: number }>`
        update enrollment set generation = generation + 1 where id = ${mac.enrollment} returning generation
      `.execute(executor);
      await sql`delete from command where enrollment_id = ${mac.enrollment}`.execute(executor);
      await reconciler.handlers.onEnrollmentStarted(tx, {
        kind: 'enrollment_started',
        enrollment: mac.enrollment,
        generation: rows[0]?.generation ?? 0,
      });
    });
    await this.live(reconciler, mac.enrollment);
  }

  /** A host answers its label queries: members, and queries that failed. Everything known so far is evaluated. */
  async answerLabels(mac: Mac, members: readonly number[], failed: readonly number[] = []): Promise<void> {
    await this.db.run(async (tx) => {
      const executor = executorOf(tx);
      await sql`delete from label_member where host_id = ${mac.hostId}`.execute(executor);
      await sql`
        insert into label_member (label_id, host_id) select id, ${mac.hostId} from unnest(${sql.val([...members])}::int[]) as id
      `.execute(executor);
      await sql`
        insert into host_label (host_id, label_epoch, unknown_label_ids)
        select ${mac.hostId}, epoch, ${sql.val([...failed])}::int[] from catalogue
        on conflict (host_id) do update set label_epoch = excluded.label_epoch, unknown_label_ids = excluded.unknown_label_ids
      `.execute(executor);
      await sql`
        update recon set label_ids = ${sql.val([...members].sort((a, b) => a - b))}::int[], label_epoch = (select epoch from catalogue),
          unknown_label_ids = ${sql.val([...failed])}::int[]
        where enrollment_id in (select id from enrollment where host_id = ${mac.hostId})
      `.execute(executor);
      await this.dirty(tx, mac);
    });
  }

  async moveTeam(mac: Mac, team: number): Promise<void> {
    await this.db.run(async (tx) => {
      const executor = executorOf(tx);
      await sql`update host set team_id = ${team} where id = ${mac.hostId}`.execute(executor);
      await sql`
        update recon set team_id = ${team} where enrollment_id in (select id from enrollment where host_id = ${mac.hostId})
      `.execute(executor);
      await this.dirty(tx, mac);
    });
  }

  async dirty(tx: Tx, mac: Mac): Promise<void> {
    await sql`
      insert into recon_queue (enrollment_id, reason, due_at)
      select id, 'labels', ${this.clock.now()}::timestamptz from enrollment where host_id = ${mac.hostId}
    `.execute(executorOf(tx));
  }

  /** The oldest live command, marked as handed out. */
  async fetch(mac: Mac): Promise<{ uuid: string; says: string } | undefined> {
    const { rows } = await sql<{ command_uuid: string; bytes: Buffer }>`
      update command c set state = 'sent', deliveries = deliveries + 1, sent_at = ${this.clock.now()}
      from command_body b
      where b.id = c.body_id and (c.enrollment_id, c.command_uuid) in (
        select enrollment_id, command_uuid from command where enrollment_id = ${mac.enrollment} order by seq limit 1)
      returning c.command_uuid, b.bytes
    `.execute(this.db.read);
    const row = rows[0];
    return row && { uuid: row.command_uuid, says: row.bytes.toString() };
  }

  /** What an honest Mac does with a command. */
  obey(mac: Mac, says: string): void {
    const [verb, what = ''] = says.split(' ');
    if (verb === 'remove') mac.holds.delete(what);
    if (verb === 'install')
      mac.holds.set(this.versions.get(Number(what))?.identifier ?? '?', witness(Number(what)).toUpperCase());
  }
  readonly versions = new Map<number, { identifier: string; channel: Channel }>();
  async learnVersions(): Promise<void> {
    const { rows } = await sql<{ id: number; identifier: string; channel: Channel }>`
      select v.id, s.identifier, s.channel from profile_version v join profile p on p.id = v.profile_id join slot s on s.id = p.slot_id
    `.execute(this.db.read);
    for (const { id, ...where } of rows) this.versions.set(id, where);
  }

  /** The report of a command, carried out as the device protocol does it: a late one changes nothing. */
  async answer(
    reconciler: Reconciler,
    mac: Mac,
    uuid: string,
    outcome: CommandOutcome = 'Acknowledged',
    errorChain: ErrorChainItem[] = [],
  ): Promise<void> {
    await this.db.run(async (tx) => {
      const executor = executorOf(tx);
      const { rows } = await sql<{
        slot_id: number | null;
        op_generation: number;
        enrollment_generation: number;
        request_type: string;
      }>`
        with gone as (delete from command where enrollment_id = ${mac.enrollment} and command_uuid = ${uuid} returning *)
        insert into command_history (enrollment_id, command_uuid, request_type, origin, outcome, enrollment_generation, slot_id,
          op_generation, finished_at)
        select enrollment_id, command_uuid, request_type, origin, ${outcome}, enrollment_generation, slot_id, op_generation,
          ${this.clock.now()} from gone
        returning slot_id, op_generation, enrollment_generation, request_type
      `.execute(executor);
      const done = rows[0];
      if (done === undefined) return;
      const { enrollment } = mac;
      if (done.slot_id !== null)
        await reconciler.handlers.onOpSettled(tx, {
          kind: 'op_settled',
          enrollment,
          enrollmentGeneration: done.enrollment_generation,
          op: { slot: done.slot_id, generation: done.op_generation },
          outcome,
          errorChain,
        });
      if (done.request_type === 'ProfileList') await this.observe(reconciler, mac, tx, 'profile_list');
    });
  }

  async report(reconciler: Reconciler, mac: Mac, source: 'osquery' | 'profile_list' = 'osquery'): Promise<void> {
    await this.db.run((tx) => this.observe(reconciler, mac, tx, source));
  }

  async observe(reconciler: Reconciler, mac: Mac, tx: Tx, source: 'osquery' | 'profile_list'): Promise<void> {
    const own: ObservedProfile = {
      identifier: ENROLLMENT_PROFILE,
      uuid: 'E',
      displayName: undefined,
      installedAt: undefined,
    };
    const profiles = [...mac.holds].map(([identifier, uuid]) => ({ ...own, identifier, uuid }));
    await reconciler.handlers.onProfilesObserved(tx, {
      kind: 'profiles_observed',
      enrollment: mac.enrollment,
      source,
      observation: { state: 'rows', profiles: [own, ...profiles] },
    });
  }

  /** Fetch, obey and acknowledge until there is nothing left. */
  async pollAll(reconciler: Reconciler, mac: Mac): Promise<number> {
    await this.learnVersions();
    for (let count = 0; ; count += 1) {
      const command = await this.fetch(mac);
      if (command === undefined) return count;
      this.obey(mac, command.says);
      await this.answer(reconciler, mac, command.uuid);
    }
  }

  async liveCommands(): Promise<readonly { enrollment_id: number; slot_id: number | null; request_type: string }[]> {
    const { rows } = await sql<{ enrollment_id: number; slot_id: number | null; request_type: string }>`
      select enrollment_id, slot_id, request_type from command order by enrollment_id, seq
    `.execute(this.db.read);
    return rows;
  }

  async ops(
    mac: Mac,
  ): Promise<
    readonly { slot_id: number; op: string; state: string; reason: string; generation: number; verify_misses: number }[]
  > {
    const { rows } = await sql<{
      slot_id: number;
      op: string;
      state: string;
      reason: string;
      generation: number;
      verify_misses: number;
    }>`
      select slot_id, op, state, reason, generation, verify_misses from op where enrollment_id = ${mac.enrollment} order by slot_id
    `.execute(this.db.read);
    return rows;
  }

  /** Every plan is carried out and every claim about counts is true. */
  async invariants(): Promise<void> {
    const broken = await sql<{ what: string }>`
      select 'two live commands for slot ' || slot_id || ' of ' || enrollment_id as what from command
      where slot_id is not null group by enrollment_id, slot_id having count(*) > 1
      union all
      select 'op_count of ' || r.enrollment_id from recon r
      where r.op_count <> (select count(*) from op o where o.enrollment_id = r.enrollment_id)
      union all
      select 'no live command for queued op ' || o.slot_id || ' of ' || o.enrollment_id from op o
      where o.state = 'queued' and o.command_uuid is not null and not exists (
        select from command c where c.enrollment_id = o.enrollment_id and c.command_uuid = o.command_uuid)
      union all
      select 'a live command without its op: slot ' || c.slot_id || ' of ' || c.enrollment_id from command c
      where c.slot_id is not null and not exists (
        select from op o where o.enrollment_id = c.enrollment_id and o.slot_id = c.slot_id and o.command_uuid = c.command_uuid
          and o.generation = c.op_generation and o.state = 'queued')
    `.execute(this.db.read);
    if (broken.rows.length > 0) throw new Error(broken.rows.map((row) => row.what).join('; '));
  }
}
