import type { Clock, Random } from '../core/clock.ts';
import { createLabelList, type LabelList } from './label-list.ts';
import { labelQueryName } from './label-names.ts';
import type { OsqueryStore } from './ports.ts';
import type { OsqueryNode } from './types.ts';

/** Some 100 bytes each, as many as there are nodes in memory. */
const MAX_NODES = 200_000;
const MAX_SOON = 100_000;
/** Answers to a new label a second, about: a fleet that all answers at its next poll would stand in its own way. */
const ANSWERS_PER_SECOND = 500;

/** With discovery as all have it: once one query has some, each needs an entry. */
export interface LabelQuery {
  readonly name: string;
  readonly sql: string;
  readonly discovery: string;
}

interface Turn {
  /** Milliseconds. */
  dueAt: number;
  /** When the last answer came. */
  answeredAt: number;
  /** Epoch of the newest label that the host has been asked for. */
  epoch: number;
  /** Reports in a row in which a query failed. */
  failures: number;
}

export interface LabelAsksDeps {
  readonly store: Pick<OsqueryStore, 'catalogueEpoch' | 'labelList' | 'hostsAskedSoon'>;
  readonly clock: Clock;
  readonly random: Random;
  /** Milliseconds between two questions for the same labels. */
  readonly everyMs: number;
  /** Milliseconds after which a first "no" is asked again, and the first delay after a failure. */
  readonly soonMs: number;
}

export type LabelAsks = ReturnType<typeof createLabelAsks>;

/**
 * Which agent is to be asked for its labels, in memory: once an interval, with jitter; sooner for a label that is new or
 * edited, where a query failed, and where the database says that somebody waits for a second "no".
 */
export function createLabelAsks(deps: LabelAsksDeps) {
  const { clock, everyMs, soonMs } = deps;
  const list = createLabelList(deps.store, clock);
  const turns = new Map<number, Turn>();
  let soon: ReadonlySet<string> = new Set();

  function jittered(ms: number): number {
    return ms * (0.9 + 0.2 * (deps.random.bytes(1).readUInt8(0) / 256));
  }

  /** A restart asks nobody before the time, whom another process has asked. */
  function turnOf(node: OsqueryNode): Turn {
    const known = turns.get(node.id);
    if (known !== undefined) return known;
    if (turns.size >= MAX_NODES) turns.delete(turns.keys().next().value ?? 0);
    const answeredAt = node.labelsAt?.getTime() ?? 0;
    const turn = {
      dueAt: answeredAt === 0 ? 0 : answeredAt + jittered(everyMs),
      answeredAt,
      epoch: node.labelEpoch,
      failures: 0,
    };
    turns.set(node.id, turn);
    return turn;
  }

  function isDue(node: OsqueryNode, { labels, newest, since }: LabelList, now: number): boolean {
    if (labels.length === 0) return false;
    const turn = turnOf(node);
    // Further off than any turn is: answered while a clock was ahead that has been set right.
    if (turn.dueAt <= now || turn.dueAt > now + 2 * everyMs) return true;
    if (newest > turn.epoch) {
      const spread = Math.min(everyMs, (turns.size * 1000) / ANSWERS_PER_SECOND);
      return since + spread * placeOf(node.id) <= now;
    }
    return soon.has(node.hostId) && turn.answeredAt + soonMs <= now;
  }

  return {
    /** Queries to be sent now; asked again at each read until a report comes. */
    async due(node: OsqueryNode): Promise<readonly LabelQuery[]> {
      const asked = await list.current();
      const at = clock.now();
      if (!isDue(node, asked, at.getTime())) return [];
      return asked.labels.map(({ id, query }) => ({
        name: labelQueryName(id, asked.epoch, at),
        sql: query,
        discovery: 'SELECT 1',
      }));
    },

    reported(node: OsqueryNode, report: { readonly epoch: number; readonly failed: boolean }): void {
      const turn = turnOf(node);
      const now = clock.now().getTime();
      turn.answeredAt = now;
      turn.epoch = Math.max(turn.epoch, report.epoch);
      turn.failures = report.failed ? turn.failures + 1 : 0;
      const wait = report.failed ? Math.min(everyMs, soonMs * 2 ** Math.min(20, turn.failures - 1)) : everyMs;
      turn.dueAt = now + jittered(wait);
    },

    refreshList: list.refresh,
    /** Which hosts are to be asked before their turn, whoever noted it. */
    async refreshSoon(): Promise<void> {
      soon = new Set(await deps.store.hostsAskedSoon(MAX_SOON));
    },
  };
}

/** 0 to 1, the same for a node each time (Knuth's multiplicative hash). */
function placeOf(nodeId: number): number {
  return (Math.imul(nodeId, 2654435761) >>> 0) / 2 ** 32;
}
