import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Effect } from '../../core/effects.ts';
import { monotonicIds } from '../../core/ids.ts';
import { systemRandom } from '../../core/system.ts';
import type { Database } from '../../db/database.ts';
import { hostStore } from '../../db/host-store.ts';
import { osqueryStore } from '../../db/osquery-store.ts';
import { createInventory } from '../../hosts/inventory.ts';
import { labelQueryName, readLabelQueryName } from '../../osquery/label-names.ts';
import type { OsqueryStore } from '../../osquery/ports.ts';
import { readLabelReports } from '../../osquery/read-labels.ts';
import { createOsqueryService } from '../../osquery/service.ts';
import { eachDatabase } from '../support/databases.ts';

const HOUR_MS = 3_600_000;
const POLL_MS = 10_000;

describe('the name of a label query', () => {
  it('says the label, the list and the time, and nothing else is one', () => {
    const at = new Date('2026-03-01T12:00:00.123Z');
    const name = labelQueryName(7, 42, at);
    expect(name).toMatch(/^espalier_label_7_42_/);
    expect(readLabelQueryName(name)).toEqual({ labelId: 7, epoch: 42, askedAt: at });
    for (const other of ['espalier_label_7', 'espalier_label_7_42', 'x_espalier_label_7_42_a', 'espalier_label_-1_2_a'])
      expect(readLabelQueryName(other)).toBeUndefined();
    for (const other of [
      'espalier_label_9999999999_1_a',
      'espalier_label_1_9999999999999999_a',
      'espalier_label_1_1_zzzzzzzzz',
    ])
      expect(() => readLabelQueryName(other)?.askedAt.toISOString()).not.toThrow();
  });
});

describe('answers in a report', () => {
  const at = new Date(1_000_000);
  const name = (label: number, epoch = 5, asked = at) => labelQueryName(label, epoch, asked);
  const read = (queries: object, more: object = {}) => readLabelReports({ queries, ...more });

  it('a row is yes, none is no, a status is neither, and what is missing is missing', () => {
    const statuses = { [name(3)]: 1, [name(4)]: '1', [name(5)]: 0, [name(1)]: 0 };
    const messages = { [name(3)]: 'no such table: x\0', [name(4)]: '' };
    expect(
      read({ [name(1)]: [{ 1: '1' }], [name(2)]: [], [name(6)]: '', [name(7)]: 5 }, { statuses, messages }),
    ).toEqual([
      {
        epoch: 5,
        askedAt: at,
        answers: [
          { labelId: 1, answer: 'yes' },
          { labelId: 2, answer: 'no' },
          { labelId: 6, answer: 'no' },
          { labelId: 7, answer: 'error', message: 'the rows are not a list' },
          { labelId: 3, answer: 'error', message: 'no such table: x' },
          { labelId: 4, answer: 'error', message: 'osquery status 1' },
        ],
      },
    ]);
  });

  it('what was asked at two times are two reports, the older first', () => {
    const later = new Date(2_000_000);
    const reports = read({ [name(1, 6, later)]: [], [name(1)]: [{}], espalier_os: [] });
    expect(reports.map(({ epoch, askedAt }) => [epoch, askedAt])).toEqual([
      [5, at],
      [6, later],
    ]);
  });

  it('hostile bodies are read within bounds', () => {
    for (const body of [{}, { queries: null }, { queries: [], statuses: 5 }, { queries: { __proto__: [] } }])
      expect(readLabelReports(body as Record<string, unknown>)).toEqual([]);
    const many = Object.fromEntries(Array.from({ length: 30_000 }, (_, index) => [name(index, index), []]));
    expect(read(many).length).toBeLessThanOrEqual(8);
    const long = read({ [name(1)]: '' }, { statuses: { [name(1)]: 1 }, messages: { [name(1)]: 'x'.repeat(10_000) } });
    expect(long[0]?.answers[0]?.message?.length).toBeLessThan(1000);
  });
});

eachDatabase((_kind, open) => {
  let db: Database;
  let now = new Date('2026-03-01T12:00:00Z');
  let effects: Effect[] = [];
  let statements = 0;
  const clock = { now: () => now };
  const later = (ms: number) => {
    now = new Date(now.getTime() + ms);
  };

  function serviceOn(database: Database) {
    const ids = monotonicIds(clock, systemRandom);
    const store: OsqueryStore = osqueryStore(database);
    const counted = Object.fromEntries(
      Object.entries(store).map(([name, method]) => [
        name,
        (...given: readonly unknown[]) => {
          statements += 1;
          return (method as (...given: readonly unknown[]) => unknown)(...given);
        },
      ]),
    ) as unknown as OsqueryStore;
    return createOsqueryService({
      store: counted,
      unitOfWork: database,
      hosts: createInventory({ store: hostStore(database), unitOfWork: database, clock, ids, wakeAfter() {} }),
      async applyEffects(_tx, asked) {
        effects.push(...asked.filter((effect) => effect.kind === 'labels_answered'));
      },
      clock,
      random: systemRandom,
      log: { debug() {}, info() {}, warn() {}, error() {} },
      intervalMs: POLL_MS,
      profilesEveryMs: HOUR_MS * 1000,
      labelsEveryMs: HOUR_MS,
    });
  }
  type Service = ReturnType<typeof serviceOn>;
  let service: Service;
  let secret: string;
  let made = 0;

  const ask = (endpoint: 'enroll' | 'distributed/read' | 'distributed/write', body: unknown, on = service) =>
    on.handle(endpoint, Buffer.from(JSON.stringify(body)));
  async function enroll(on = service, named?: string): Promise<string> {
    made += 1;
    const identifier = named ?? `label-host-${made}`;
    const { body } = await ask('enroll', { enroll_secret: secret, host_identifier: identifier }, on);
    return String(body['node_key']);
  }
  /** Names of label queries in a read, after what else was asked has been answered. */
  async function asked(key: string, on = service): Promise<readonly string[]> {
    const { body } = await ask('distributed/read', { node_key: key }, on);
    return Object.keys((body['queries'] ?? {}) as object).filter((name) => name.startsWith('espalier_label_'));
  }
  async function answer(key: string, names: readonly string[], rows: unknown = [{}], more: object = {}, on = service) {
    const queries = Object.fromEntries(names.map((name) => [name, rows]));
    return ask('distributed/write', { node_key: key, queries, ...more }, on);
  }
  async function dynamicLabel(query = 'SELECT 1'): Promise<number> {
    made += 1;
    const { rows } = await sql<{ id: number }>`
      with e as (update catalogue set epoch = epoch + 1 returning epoch)
      insert into label (name, kind, query, epoch) select ${`label ${made}`}, 'dynamic', ${query}, epoch from e returning id
    `.execute(db.read);
    return rows[0]?.id ?? 0;
  }

  beforeAll(async () => {
    db = await open();
  });
  afterAll(() => db.close());
  beforeEach(async () => {
    await sql`truncate label, host_label cascade`.execute(db.read);
    service = serviceOn(db);
    secret = await service.createSecret(1);
    effects = [];
  });

  it('asks every label with a query, with discovery, and again until a report comes; then an hour later', async () => {
    const [one, two] = [await dynamicLabel("SELECT 1 FROM apps WHERE name = 'x'"), await dynamicLabel()];
    await sql`insert into label (name, kind, epoch) values ('manual', 'manual', 0)`.execute(db.read);
    const key = await enroll();
    const { body } = await ask('distributed/read', { node_key: key });
    const { queries, discovery } = body as { queries: Record<string, string>; discovery: Record<string, string> };
    const names = Object.keys(queries).filter((name) => name.startsWith('espalier_label_'));
    expect(names.map((name) => readLabelQueryName(name)?.labelId)).toEqual([one, two]);
    expect(queries[names[0] ?? '']).toBe("SELECT 1 FROM apps WHERE name = 'x'");
    expect(Object.keys(discovery)).toEqual(Object.keys(queries));
    expect(await asked(key)).toHaveLength(2);
    expect(await answer(key, names)).toEqual({ status: 200, body: {} });
    expect(await asked(key)).toEqual([]);
    later(HOUR_MS * 0.89);
    expect(await asked(key)).toEqual([]);
    later(HOUR_MS * 0.22);
    expect(await asked(key)).toHaveLength(2);
  });

  it('a report becomes one effect of its host, with the list and the time it was asked', async () => {
    const id = await dynamicLabel();
    const key = await enroll();
    const askedAt = now;
    const names = await asked(key);
    later(5000);
    await answer(key, names, []);
    const { rows } = await sql<{ epoch: number }>`select epoch from catalogue`.execute(db.read);
    expect(effects).toEqual([
      {
        kind: 'labels_answered',
        hostId: expect.any(String),
        epoch: rows[0]?.epoch,
        askedAt,
        answers: [{ labelId: id, answer: 'no' }],
      },
    ]);
  });

  it('a new or an edited label is asked as soon as this process knows of it', async () => {
    const key = await enroll();
    await dynamicLabel();
    await service.refreshLabels();
    await answer(key, await asked(key));
    expect(await asked(key)).toEqual([]);
    await dynamicLabel();
    expect(await asked(key)).toEqual([]);
    await service.refreshLabels();
    later(POLL_MS);
    expect(await asked(key)).toHaveLength(2);
    await answer(key, await asked(key));
    expect(await asked(key)).toEqual([]);
    await sql`
      with e as (update catalogue set epoch = epoch + 1 returning epoch) update label set query = 'SELECT 9', epoch = e.epoch from e
    `.execute(db.read);
    await service.refreshLabels();
    later(POLL_MS);
    expect(await asked(key)).toHaveLength(2);
  });

  it('what was edited between two replicas’ reads is asked by the list that was read first', async () => {
    await dynamicLabel();
    const key = await enroll();
    const [before] = await asked(key);
    await sql`update catalogue set epoch = epoch + 1`.execute(db.read);
    await service.refreshLabels();
    const [after] = await asked(key);
    expect(readLabelQueryName(after ?? '')?.epoch).toBe((readLabelQueryName(before ?? '')?.epoch ?? 0) + 1);
  });

  it('a query that fails is asked again soon, then less and less often', async () => {
    await dynamicLabel();
    const key = await enroll();
    const fail = async () => {
      const names = await asked(key);
      expect(names).toHaveLength(1);
      await answer(key, names, '', {
        statuses: { [names[0] ?? '']: 1 },
        messages: { [names[0] ?? '']: 'no such table' },
      });
    };
    await fail();
    expect(effects).toMatchObject([{ answers: [{ answer: 'error', message: 'no such table' }] }]);
    for (const wait of [POLL_MS, 2 * POLL_MS, 4 * POLL_MS]) {
      later(wait * 0.89);
      expect(await asked(key)).toEqual([]);
      later(wait * 0.22);
      await fail();
    }
  });

  it('a query that failed is asked anew as soon as it is edited, however often it had failed', async () => {
    await dynamicLabel('SELECT 1 FROM aps');
    const key = await enroll();
    for (let times = 0; times < 12; times += 1) {
      const [name = ''] = await asked(key);
      await answer(key, [name], '', { statuses: { [name]: 1 } });
      later(2 * HOUR_MS);
    }
    const [name = ''] = await asked(key);
    await answer(key, [name], '', { statuses: { [name]: 1 } });
    await sql`
      with e as (update catalogue set epoch = epoch + 1 returning epoch) update label set query = 'SELECT 9', epoch = e.epoch from e
    `.execute(db.read);
    await service.refreshLabels();
    later(POLL_MS);
    expect(await asked(key)).toHaveLength(1);
  });

  it('a clock that was a year ahead and is set right keeps nobody from being asked', async () => {
    await dynamicLabel();
    const key = await enroll();
    const right = now;
    later(365 * 24 * HOUR_MS);
    await answer(key, await asked(key));
    now = right;
    expect(await asked(key)).toHaveLength(1);
    await answer(key, await asked(key));
    expect(await asked(key)).toEqual([]);
  });

  it('a host that is about to leave a label, or is new to life, is asked soon by whichever replica it polls', async () => {
    await dynamicLabel();
    const key = await enroll();
    const other = serviceOn(db);
    await answer(key, await asked(key));
    // Both replicas know when it answered last.
    await sql`
      insert into host_label (host_id, label_epoch, evaluated_at) select n.host_id, epoch, ${now} from osquery_node n, catalogue
      on conflict (host_id) do update set label_epoch = excluded.label_epoch, evaluated_at = excluded.evaluated_at`.execute(
      db.read,
    );
    expect([await asked(key), await asked(key, other)]).toEqual([[], []]);
    await sql`update host_label set ask_soon = true`.execute(db.read);
    later(POLL_MS);
    expect([await asked(key), await asked(key, other)]).toEqual([[], []]);
    for (const one of [service, other]) await one.refresh();
    expect([await asked(key), await asked(key, other)]).toEqual([[expect.any(String)], [expect.any(String)]]);
    await answer(key, await asked(key));
    // Not at every poll, should the answer not have settled it.
    expect(await asked(key)).toEqual([]);
    later(POLL_MS);
    expect(await asked(key)).toHaveLength(1);
  });

  it('a restart asks nobody before the time; an agent that enrols again is asked at once', async () => {
    await dynamicLabel();
    const key = await enroll(service, 'restarted');
    await answer(key, await asked(key));
    later(1000);
    await sql`
      insert into host_label (host_id, label_epoch, evaluated_at) select n.host_id, epoch, ${now} from osquery_node n, catalogue
      where n.host_identifier = 'restarted'`.execute(db.read);
    const restarted = serviceOn(db);
    expect(await asked(key, restarted)).toEqual([]);
    later(HOUR_MS * 1.11);
    expect(await asked(key, restarted)).toHaveLength(1);
    later(1000);
    const fresh = await enroll(restarted, 'restarted');
    expect(await asked(fresh, restarted)).toHaveLength(1);
  });

  it('a poll with nothing to ask does not touch the database', async () => {
    await dynamicLabel();
    const key = await enroll();
    const { body } = await ask('distributed/read', { node_key: key });
    const all = Object.keys(body['queries'] as object);
    await answer(key, all, [{ name: 'macos_profiles', computer_name: 'x' }]);
    expect(await asked(key)).toEqual([]);
    statements = 0;
    for (let poll = 0; poll < 5; poll += 1) {
      later(100);
      expect(await asked(key)).toEqual([]);
    }
    expect(statements).toBe(0);
    await service.refreshLabels();
    expect(statements).toBe(1);
  });
});
