import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Effect } from '../../core/effects.ts';
import { systemRandom } from '../../core/system.ts';
import type { Tx } from '../../core/tx.ts';
import { type Database, executorOf } from '../../db/database.ts';
import { installationStore } from '../../db/installation-store.ts';
import { tokenHash } from '../../http/token.ts';
import { withCommitHooks } from '../../server/after-commit.ts';
import { ensureAdminToken } from '../../server/data-folder.ts';
import { createEffects } from '../../server/effects.ts';
import { startJobs } from '../../server/jobs.ts';
import { eachDatabase } from '../support/databases.ts';

eachDatabase((_kind, open) => {
  let db: Database;
  const folders: string[] = [];
  const folder = () => {
    const made = mkdtempSync(path.join(tmpdir(), 'espalier-token-'));
    folders.push(made);
    return made;
  };
  beforeAll(async () => {
    db = await open();
  });
  afterAll(async () => {
    await db.close();
    for (const made of folders) rmSync(made, { recursive: true, force: true });
  });
  const addTeam = (tx: Tx, name: string) => sql`insert into team (name) values (${name})`.execute(executorOf(tx));
  const teams = async () =>
    (await sql<{ name: string }>`select name from team`.execute(db.read)).rows.map(({ name }) => name);

  describe('commit hooks', () => {
    it('run once the work is committed, each once, in order', async () => {
      const { run, afterCommit } = withCommitHooks(db);
      const ran: string[] = [];
      const again = () => void ran.push('again');
      const result = await run(async (tx) => {
        afterCommit(tx, () => void ran.push('first'));
        afterCommit(tx, again);
        afterCommit(tx, again);
        await addTeam(tx, 'committed');
        expect(ran).toEqual([]);
        return 'done';
      });
      expect([result, ran]).toEqual(['done', ['first', 'again']]);
      expect(await teams()).toContain('committed');
    });

    it('never run for work that rolled back', async () => {
      const { run, afterCommit } = withCommitHooks(db);
      const ran: string[] = [];
      const failed = run(async (tx) => {
        afterCommit(tx, () => void ran.push('never'));
        await addTeam(tx, 'rolled back');
        throw new Error('no');
      });
      await expect(failed).rejects.toThrow('no');
      expect([ran, (await teams()).includes('rolled back')]).toEqual([[], false]);
    });

    it('of an attempt that is tried again are forgotten', async () => {
      const { run, afterCommit } = withCommitHooks(db);
      const ran: number[] = [];
      let attempt = 0;
      await run(async (tx) => {
        attempt += 1;
        const mine = attempt;
        afterCommit(tx, () => void ran.push(mine));
        if (attempt === 1) throw Object.assign(new Error('serialisation failure'), { code: '40001' });
      });
      expect(ran).toEqual([2]);
    });
  });

  describe('the admin token', () => {
    it('is made once, mode 0600, and known to the database by its hash alone', async () => {
      const [store, data] = [installationStore(db), folder()];
      const hash = await ensureAdminToken(data, store, systemRandom);
      const file = path.join(data, 'admin.token');
      const token = readFileSync(file, 'utf8').trim();
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(hash).toEqual(tokenHash(token));
      expect(await ensureAdminToken(data, store, systemRandom)).toEqual(hash);
      const { rows } = await sql<{ all: string }>`select string_agg(value::text, '') as all from installation`.execute(
        db.read,
      );
      expect(rows[0]?.all).toContain(hash.toString('hex'));
      expect(rows[0]?.all).not.toContain(token);

      // A second folder on this database is a replica: it needs the first one's file.
      const replica = folder();
      await expect(ensureAdminToken(replica, store, systemRandom)).rejects.toMatchObject({ code: 'settings_invalid' });
      writeFileSync(path.join(replica, 'admin.token'), `${token}\n`);
      expect(await ensureAdminToken(replica, store, systemRandom)).toEqual(hash);
    });
  });
});

describe('effects', () => {
  it('are carried out one after the other, in the transaction that asked, until one fails', async () => {
    const done: unknown[] = [];
    const tx = { name: 'tx' } as unknown as Tx;
    const note = async (given: Tx, effect: Effect) => {
      await Promise.resolve();
      if (effect.kind === 'enrollment_ended') throw new Error('failed');
      done.push([given === tx, effect.kind]);
    };
    const apply = createEffects({
      push: note,
      enrollment_started: note,
      enrollment_live: note,
      enrollment_ended: note,
      op_settled: note,
      profiles_observed: note,
      policies_observed: note,
      labels_answered: note,
      host_facts_changed: note,
    });
    const effects: readonly Effect[] = [
      { kind: 'enrollment_live', enrollment: 1, first: true },
      { kind: 'push', enrollment: 1, reason: 'x' },
      { kind: 'enrollment_ended', enrollment: 1 },
      { kind: 'push', enrollment: 2, reason: 'x' },
    ];
    await expect(apply(tx, effects)).rejects.toThrow('failed');
    expect(done).toEqual([
      [true, 'enrollment_live'],
      [true, 'push'],
    ]);
  });
});

describe('jobs', () => {
  afterEach(() => vi.useRealTimers());
  const errors: unknown[] = [];
  const log = { debug() {}, info() {}, warn() {}, error: (fields: object) => void errors.push(fields) };

  it('run again after a failure, also one that is thrown at once', async () => {
    vi.useFakeTimers();
    let turns = 0;
    const jobs = startJobs(
      [
        {
          name: 'shaky',
          everyMs: 1000,
          run() {
            turns += 1;
            if (turns === 1) throw new Error('at once');
            return turns === 2 ? Promise.reject(new Error('later')) : Promise.resolve();
          },
        },
      ],
      log,
    );
    for (const turn of [1, 2, 3]) {
      await vi.advanceTimersByTimeAsync(1100);
      expect(turns).toBe(turn);
    }
    expect(errors).toMatchObject([{ job: 'shaky' }, { job: 'shaky' }]);
    await jobs.stop();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(turns).toBe(3);
  });

  it('stopping waits for what runs, and a job never runs beside itself', async () => {
    vi.useFakeTimers();
    let running = 0;
    let finish = () => {};
    const job = {
      name: 'long',
      everyMs: 10,
      run: () => {
        running += 1;
        return new Promise<void>((resolve) => {
          finish = resolve;
        });
      },
    };
    const jobs = startJobs([job], log);
    await vi.advanceTimersByTimeAsync(1000);
    expect(running).toBe(1);
    let stopped = false;
    const stopping = jobs.stop().then(() => {
      stopped = true;
    });
    await vi.advanceTimersByTimeAsync(1000);
    expect(stopped).toBe(false);
    finish();
    await stopping;
    expect(running).toBe(1);
  });
});
