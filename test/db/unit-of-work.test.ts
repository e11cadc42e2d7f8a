import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Tx } from '../../core/tx.ts';
import { type Database, executorOf } from '../../db/database.ts';
import { eachDatabase } from '../support/databases.ts';

eachDatabase((kind, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
    await sql`create table account (id int primary key, balance int not null)`.execute(db.read);
  });
  afterAll(() => db.close());

  const addTeam = (tx: Tx, name: string) => sql`insert into team (name) values (${name})`.execute(executorOf(tx));
  async function hasTeam(name: string): Promise<boolean> {
    return (await sql`select 1 from team where name = ${name}`.execute(db.read)).rows.length === 1;
  }

  test('commits together', async () => {
    const result = await db.run(async (tx) => {
      await addTeam(tx, 'one');
      await addTeam(tx, 'two');
      return 'done';
    });
    expect([result, await hasTeam('one'), await hasTeam('two')]).toEqual(['done', true, true]);
  });

  test('rolls back together when the work throws, and throws the same error', async () => {
    const reason = new Error('no');
    const run = db.run(async (tx) => {
      await addTeam(tx, 'never');
      throw reason;
    });
    await expect(run).rejects.toBe(reason);
    expect(await hasTeam('never')).toBe(false);
  });

  test('work without a statement commits nothing and holds nothing', async () => {
    expect(await db.run(async () => 5)).toBe(5);
    await expect(db.run(async () => Promise.reject(new Error('x')))).rejects.toThrow('x');
    expect(await hasTeam('Default')).toBe(true);
  });

  test('a statement error reaches the caller with its SQLSTATE and constraint', async () => {
    const run = db.run((tx) => addTeam(tx, 'Default'));
    await expect(run).rejects.toMatchObject({ code: '23505', constraint: 'team_live', table: 'team' });
  });

  test('a failed statement that the work catches does not pass for a commit', async () => {
    const run = db.run(async (tx) => {
      await addTeam(tx, 'swallowed');
      await addTeam(tx, 'Default').catch(() => undefined);
    });
    await expect(run).rejects.toMatchObject({ code: 'internal_error' });
    expect(await hasTeam('swallowed')).toBe(false);
  });

  test('a savepoint lets the work go on after an error', async () => {
    await db.run(async (tx) => {
      await addTeam(tx, 'before');
      await sql`savepoint s`.execute(executorOf(tx));
      await addTeam(tx, 'Default').catch(() => sql`rollback to savepoint s`.execute(executorOf(tx)));
      await addTeam(tx, 'after');
    });
    expect([await hasTeam('before'), await hasTeam('after')]).toEqual([true, true]);
  });

  test('a unit of work inside another is refused at once instead of waiting for itself', async () => {
    const run = db.run(async (tx) => {
      await addTeam(tx, 'outer');
      await db.run((inner) => addTeam(inner, 'inner'));
    });
    await expect(run).rejects.toMatchObject({ code: 'internal_error' });
    expect([await hasTeam('outer'), await hasTeam('inner')]).toEqual([false, false]);
  });

  test('a read on a second connection inside a unit of work is refused', async () => {
    const before = db.run(() => sql`select 1`.execute(db.read).then(() => sql`select 1`.execute(db.read)));
    const after = db.run(async (tx) => {
      await addTeam(tx, 'reader');
      await sql`select 1`.execute(db.read);
    });
    await expect(before).rejects.toMatchObject({ code: 'internal_error' });
    await expect(after).rejects.toMatchObject({ code: 'internal_error' });
  });

  test('what is started inside a unit of work and runs after it is free to begin its own', async () => {
    let later: Promise<unknown> = Promise.resolve();
    let go = () => {};
    const signal = new Promise<void>((resolve) => {
      go = resolve;
    });
    await db.run(async (tx) => {
      await addTeam(tx, 'starter');
      later = signal.then(() => db.run((next) => addTeam(next, 'later')));
    });
    go();
    await later;
    expect(await hasTeam('later')).toBe(true);
  });

  test('a tx is of no use after its unit of work', async () => {
    let kept: Tx | undefined;
    await db.run(async (tx) => {
      kept = tx;
    });
    expect(() => executorOf(kept as Tx)).toThrow(/over/);
  });

  test('a statement nobody awaited never runs outside its unit of work', async () => {
    for (let round = 0; round < 20; round += 1) {
      const late: Promise<unknown>[] = [];
      const run = db.run(async (tx) => {
        const executor = executorOf(tx);
        await addTeam(tx, `early ${round}`);
        late.push(
          Promise.resolve().then(() => sql`insert into team (name) values (${`late ${round}`})`.execute(executor)),
        );
        throw new Error('stop');
      });
      await expect(run).rejects.toThrow('stop');
      await Promise.allSettled(late);
    }
    const { rows } = await sql`select 1 from team where name like ${'late %'} or name like ${'early %'}`.execute(
      db.read,
    );
    expect(rows).toEqual([]);
  });

  test('when one of several statements at once fails, none of them stays', async () => {
    for (let round = 0; round < 20; round += 1) {
      const run = db.run((tx) =>
        Promise.all([addTeam(tx, `p${round}`), Promise.reject(new Error('stop')), addTeam(tx, `q${round}`)]),
      );
      await expect(run).rejects.toThrow('stop');
    }
    const { rows } = await sql`select name from team where name ~ ${'^[pq][0-9]'}`.execute(db.read);
    expect(rows).toEqual([]);
  });

  test('20 at once keep the sum of all balances', async () => {
    await sql`insert into account select i, 100 from generate_series(1, 5) i`.execute(db.read);
    await Promise.all(
      Array.from({ length: 20 }, (_, worker) =>
        db
          .run(async (tx) => {
            const executor = executorOf(tx);
            const [from, to] = [1 + (worker % 5), 1 + ((worker * 3 + 1) % 5)];
            // Ordered, as every store must lock, or PostgreSQL would have to break a deadlock.
            await sql`select 1 from account where id in (${from}, ${to}) order by id for update`.execute(executor);
            await sql`update account set balance = balance - 7 where id = ${from}`.execute(executor);
            await sql`update account set balance = balance + 7 where id = ${to}`.execute(executor);
            if (worker % 4 === 3) throw new Error('fourth');
          })
          .catch((error: Error) => expect(error.message).toBe('fourth')),
      ),
    );
    const { rows } = await sql<{ sum: number }>`select sum(balance)::int as sum from account`.execute(db.read);
    expect(rows[0]?.sum).toBe(500);
  });

  test('reads and units of work side by side see committed rows only', async () => {
    await sql`create table pair (a int, b int)`.execute(db.read);
    const writes = Array.from({ length: 30 }, (_, n) =>
      db.run(async (tx) => {
        await sql`insert into pair values (${n}, 0)`.execute(executorOf(tx));
        await sql`insert into pair values (${n}, 1)`.execute(executorOf(tx));
      }),
    );
    const reads = Array.from({ length: 60 }, async () => {
      const { rows } = await sql<{ n: number }>`
        select count(*) as n from (select a from pair group by a having count(*) <> ${2}) odd`.execute(db.read);
      expect(rows).toEqual([{ n: 0 }]);
    });
    await Promise.all([...writes, ...reads]);
  });

  test('a serialisation failure or deadlock is tried again, and only so often', async () => {
    let attempts = 0;
    const fail = (until: number) =>
      db.run(async (tx) => {
        attempts += 1;
        await addTeam(tx, `retry ${until}`);
        if (attempts < until)
          await sql.raw(`do $$ begin raise exception 'x' using errcode = '40001'; end $$`).execute(executorOf(tx));
      });
    await fail(4);
    expect([attempts, await hasTeam('retry 4')]).toEqual([4, true]);
    attempts = 0;
    await expect(fail(100)).rejects.toMatchObject({ code: 'store_unavailable', cause: { code: '40001' } });
    expect([attempts, await hasTeam('retry 100')]).toEqual([6, false]);
  });

  describe.skipIf(kind === 'pglite')('with several connections', () => {
    test('two that lock in opposite order both end well', async () => {
      await sql`truncate account`.execute(db.read);
      await sql`insert into account values (1, 0), (2, 0)`.execute(db.read);
      const add = (first: number, second: number) =>
        db.run(async (tx) => {
          for (const id of [first, second]) {
            await sql`update account set balance = balance + 1 where id = ${id}`.execute(executorOf(tx));
          }
        });
      await Promise.all([add(1, 2), add(2, 1)]);
      expect((await sql`select balance from account`.execute(db.read)).rows).toEqual([{ balance: 2 }, { balance: 2 }]);
    });
  });
});
