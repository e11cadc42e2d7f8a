/** Whatever happened before: once faults stop, three ticks bring every Mac to what the SQL definition says. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Database } from '../../db/database.ts';
import { eachDatabase } from '../support/databases.ts';
import { type Faults, faultySessions } from '../support/faulty-sessions.ts';
import { type Happening, history, told } from './events.ts';
import { History } from './history.ts';
import type { SimMac } from './sim-mac.ts';

/** Histories per engine. */
const RUNS = Number(process.env['HISTORIES'] ?? 50);
/** What a failure printed, to see it again. */
const { HISTORY_SEED: SEED, HISTORY_PATH: PATH } = process.env;

/** What a page may show of a pair that is not wanted. */
const UNWANTED = new Set(['not_in_scope', 'unmanaged', 'waiting os_gate']);

async function live(db: Database, faults: Faults, happenings: readonly Happening[]): Promise<void> {
  const one = await History.begin(db, faults);
  try {
    await run(one, happenings);
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${await one.dump()}`, { cause: error });
  }
}

async function run(one: History, happenings: readonly Happening[]): Promise<void> {
  for (const happening of happenings) await one.happen(happening);

  expect(await one.unannounced()).toEqual([]);
  await one.calm();
  expect(await one.wrongMembers()).toEqual([]);
  const kept = await present(one);
  for (let round = 0; round < 3; round += 1) await one.goodRound(round === 0);
  if (await one.newContentForGivenUp()) for (let round = 0; round < 3; round += 1) await one.goodRound(false);

  const wanted = await one.wanted();
  for (const mac of one.macs) {
    if (!mac.enrolled) continue;
    const places = wanted.get(mac) ?? new Map();
    expect(Object.fromEntries(holding(mac, places)), mac.serialNumber).toEqual(
      Object.fromEntries([...places].flatMap(([place, uuid]) => expected(place, uuid, mac, kept))),
    );
  }
  for (const mac of one.macs) {
    if (!mac.enrolled) continue;
    const places = wanted.get(mac) ?? new Map();
    for (const [place, state] of await one.states(mac)) {
      if (place.startsWith('user ') && !mac.user) expect(state).toMatch(/^(waiting |not_in_scope)/);
      else if (!places.has(place)) expect(UNWANTED, `${mac.serialNumber} ${place}`).toContain(state);
      else if (places.get(place) !== undefined) expect(state, `${mac.serialNumber} ${place}`).toBe('verified');
    }
  }
  for (const rooms of one.replicas) {
    const again = await rooms.reconciler.audit();
    expect(again).toMatchObject({ commands: 0, failed: 0, swept: { repaired: 0, queued: 0 } });
  }
  await one.check();
}

/** What each Mac holds now where no op is under way. */
async function present(one: History): Promise<Map<string, string | undefined>> {
  const underWay = await one.underWay();
  const kept = new Map<string, string | undefined>();
  for (const [mac, places] of await one.wanted())
    for (const [place, uuid] of places) {
      const key = `${mac.udid} ${place}`;
      if (uuid === undefined && !underWay.has(key)) kept.set(key, holding(mac, places).get(place) ?? 'nothing');
    }
  return kept;
}

/** Ours, and what ought to be. What a person put there and nobody wants stays and is shown as drift. */
function holding(mac: SimMac, wanted: ReadonlyMap<string, unknown>): Map<string, string> {
  const all = new Map<string, string>();
  for (const channel of ['device', 'user'] as const) {
    if (channel === 'user' && !mac.user) continue;
    for (const [identifier, { uuid, managed }] of mac.holds[channel])
      if (managed || wanted.has(`${channel} ${identifier}`)) all.set(`${channel} ${identifier}`, uuid.toUpperCase());
  }
  return all;
}

/** Where nobody knows whether it is wanted, it is as it was. */
function expected(
  place: string,
  uuid: string | undefined,
  mac: SimMac,
  kept: ReadonlyMap<string, string | undefined>,
): [string, string][] {
  if (uuid !== undefined) return [[place, uuid]];
  const before = kept.get(`${mac.udid} ${place}`);
  const now = before ?? holding(mac, new Map([[place, undefined]])).get(place);
  return now === undefined || now === 'nothing' ? [] : [[place, now]];
}

eachDatabase((_kind, open) => {
  test(
    'every history converges, and the tick after it is empty',
    async () => {
      const { faults, wrap } = faultySessions();
      const db = await open(wrap);
      try {
        await fc.assert(
          fc.asyncProperty(history, (happenings) => live(db, faults, happenings)),
          {
            numRuns: RUNS,
            endOnFailure: process.env['SHRINK'] === undefined,
            ...(SEED === undefined ? {} : { seed: Number(SEED) }),
            ...(PATH === undefined ? {} : { path: PATH }),
            reporter(out) {
              if (!out.failed) return;
              const [found = []] = out.counterexample ?? [];
              throw new Error(`seed ${out.seed} path ${out.counterexamplePath}\n${told(found)}`, {
                cause: out.errorInstance,
              });
            },
          },
        );
      } finally {
        await db.close();
      }
    },
    60_000 + 4000 * RUNS,
  );
});
