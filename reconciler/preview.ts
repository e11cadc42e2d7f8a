import { setImmediate as yieldToOthers } from 'node:timers/promises';
import type { Clock } from '../core/clock.ts';
import type { Channel, EnrollmentRef } from '../core/enrollment.ts';
import type { MacKey } from '../keys/types.ts';
import { type Catalogue, indexCatalogue } from './catalogue.ts';
import type { CurrentCatalogue } from './current-catalogue.ts';
import { type Difference, differenceOf, differenceWithoutUserChannel, mayDiffer } from './difference.ts';
import type { HostNames, ReconcileStore } from './ports.ts';
import type { ReconcilerSettings } from './settings.ts';
import type {
  CatalogueRows,
  Preview,
  PreviewAction,
  PreviewChange,
  PreviewLine,
  PreviewOf,
  ReconRow,
} from './types.ts';

/** Rows read at a time without what they hold: some 2 MB. */
const SCAN_PAGE = 5000;
/** Enrolments read at a time with their ops and commands. */
const READ_PAGE = 500;
/** Lines in one answer. */
const MAX_LINES = 1000;

export interface PreviewDeps {
  readonly store: Pick<ReconcileStore, 'batchLimit' | 'epoch' | 'scan' | 'read' | 'hostNames'>;
  readonly catalogue: CurrentCatalogue;
  readonly clock: Clock;
  readonly settings: ReconcilerSettings;
  /** The key of the fingerprints of applied versions. */
  readonly key: MacKey;
}

/**
 * What the next tick would do because of a change: every enrolment that it may concern is planned under the present
 * catalogue and under the changed one by the planner's own code, and only the difference counts. Outside any transaction,
 * page by page, and others have their turn in between.
 */
export function createPreview(deps: PreviewDeps): PreviewOf {
  const { store, clock, settings } = deps;

  return async (change) => {
    const asOf = clock.now();
    const present = await deps.catalogue.at(await store.epoch());
    const changed = indexCatalogue(withPresent(change.rows, present), (...parts) => deps.key.digest(...parts), present);
    const sum = new Sum();
    for (let after = 0; ; ) {
      const page = await store.scan(after, SCAN_PAGE, change.teamIds);
      const last = page.at(-1);
      if (last === undefined) break;
      after = last.row.enrollment;
      sum.hosts += page.length;
      const concerned: EnrollmentRef[] = [];
      const without = new Map<EnrollmentRef, readonly Difference[]>();
      for (const { row, userChannel } of page) {
        const moved = inNewTeam(row, change);
        if (mayDiffer(present, row, changed, moved)) concerned.push(row.enrollment);
        const unreachable = userChannel ? [] : differenceWithoutUserChannel(present, row, changed, moved);
        if (unreachable.length > 0) without.set(row.enrollment, unreachable);
      }
      await yieldToOthers();
      const size = Math.min(READ_PAGE, store.batchLimit);
      for (let from = 0; from < concerned.length; from += size) {
        for (const facts of await store.read(concerned.slice(from, from + size))) {
          const { enrollment, channel } = facts.row;
          const next = { ...facts, row: inNewTeam(facts.row, change) };
          const found = differenceOf(present, facts, changed, next, asOf, settings);
          sum.add(enrollment, channel, [...found, ...(without.get(enrollment) ?? [])]);
          without.delete(enrollment);
        }
        await yieldToOthers();
      }
      for (const [enrollment, found] of without) sum.add(enrollment, 'user', found);
    }
    return sum.preview(asOf, await store.hostNames(sum.named()));
  };
}

/** What was committed since the change was rehearsed: rows that are read now may name it. */
function withPresent(rows: CatalogueRows, present: Catalogue): CatalogueRows {
  const versions = new Set(rows.versions.map((version) => version.id));
  const slots = new Set(rows.slots.map((slot) => slot.id));
  return {
    ...rows,
    versions: [
      ...rows.versions,
      ...[...present.versions]
        .filter(([id]) => !versions.has(id))
        .map(([id, version]) => ({ ...version, id, ...(id === version.id ? {} : { sameAs: version.id }) })),
    ],
    slots: [...rows.slots, ...[...present.slots.values()].filter((slot) => !slots.has(slot.id))],
  };
}

function inNewTeam(row: ReconRow, { moves }: PreviewChange): ReconRow {
  const teamId = moves?.get(row.teamId);
  return teamId === undefined ? row : { ...row, teamId };
}

type Line = Difference & { readonly enrollment: EnrollmentRef; readonly channel: Channel };

class Sum {
  hosts = 0;
  #changed = 0;
  readonly #counts: Record<PreviewAction, number> = { install: 0, replace: 0, remove: 0, hold: 0 };
  readonly #lines: Line[] = [];
  #truncated = false;

  add(enrollment: EnrollmentRef, channel: Channel, differences: readonly Difference[]): void {
    if (differences.length > 0) this.#changed += 1;
    for (const difference of differences) {
      this.#counts[difference.action] += 1;
      if (this.#lines.length < MAX_LINES) this.#lines.push({ channel, ...difference, enrollment });
      else this.#truncated = true;
    }
  }

  named(): EnrollmentRef[] {
    return [...new Set(this.#lines.map((line) => line.enrollment))];
  }

  preview(asOf: Date, names: ReadonlyMap<EnrollmentRef, Pick<HostNames, 'hostId' | 'hostName'>>): Preview {
    const lines = this.#lines.flatMap(({ enrollment, channel, identifier, action }): PreviewLine[] => {
      const host = names.get(enrollment);
      if (host === undefined) return [];
      const { hostId, hostName } = host;
      return [{ hostId, hostName, channel, identifier, action }];
    });
    lines.sort(inOrder);
    return {
      asOf,
      hosts: this.hosts,
      changed: this.#changed,
      counts: { ...this.#counts },
      lines,
      truncated: this.#truncated,
    };
  }
}

function inOrder(one: PreviewLine, other: PreviewLine): number {
  const keys = ['hostName', 'hostId', 'identifier', 'channel'] as const;
  for (const key of keys) if (one[key] !== other[key]) return one[key] < other[key] ? -1 : 1;
  return 0;
}
