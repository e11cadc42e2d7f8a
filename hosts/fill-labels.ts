import { setImmediate as yieldToOthers } from 'node:timers/promises';
import type { Clock } from '../core/clock.ts';
import type { UnitOfWork } from '../core/tx.ts';
import type { VitalsStore, WakeAfter } from './ports.ts';
import { judgeVitals } from './vitals.ts';

export interface FillDeps {
  readonly store: VitalsStore;
  readonly unitOfWork: UnitOfWork;
  readonly clock: Clock;
  readonly wakeAfter: WakeAfter;
}

export interface LabelFiller {
  /** Works out every label that is not filled yet; answers how many hosts were judged. One at a time in a process. */
  fill(): Promise<number>;
  stop(): Promise<void>;
}

/**
 * Works out new or edited host-vitals labels, a page of hosts in a transaction. How far it came stands in the label's
 * row: after a crash whoever is there goes on, and a label that one replica fills is passed over by the others.
 */
export function createLabelFiller({ store, unitOfWork, clock, wakeAfter }: FillDeps): LabelFiller {
  let running: Promise<number> | undefined;
  let stopped = false;

  /** How many hosts were judged; undefined where nothing is left to fill. */
  function page(): Promise<number | undefined> {
    return unitOfWork.run(async (tx) => {
      const next = await store.nextPage(tx, store.pageSize);
      if (next === undefined) return undefined;
      const { label, hosts } = next;
      const now = clock.now();
      const verdicts = hosts.map(({ id, facts }) => {
        const verdict = judgeVitals(label.criteria, facts);
        return {
          hostId: id,
          yes: verdict === 'yes' ? [label.id] : [],
          unknown: verdict === 'unknown' ? [label.id] : [],
        };
      });
      if (verdicts.length > 0) await store.write(tx, [label.id], verdicts, now);
      const last = hosts.at(-1);
      if (last !== undefined) await store.fillTo(tx, label.id, last.id);
      else {
        await store.finishFill(tx, label.id, now);
        wakeAfter(tx);
      }
      return hosts.length;
    });
  }

  async function untilFilled(): Promise<number> {
    let judged = 0;
    while (!stopped) {
      const done = await page();
      if (done === undefined) break;
      judged += done;
      await yieldToOthers();
    }
    return judged;
  }

  return {
    fill() {
      running ??= untilFilled().finally(() => {
        running = undefined;
      });
      return running;
    },
    async stop() {
      stopped = true;
      await running?.catch(() => undefined);
    },
  };
}
