import { setImmediate as yieldToOthers } from 'node:timers/promises';
import type { Channel } from '../core/enrollment.ts';
import { EspalierError } from '../core/errors.ts';
import type { Tx } from '../core/tx.ts';
import type { CarryOut, ChangeOptions, Planned } from './carry-out.ts';
import { clashesWith, indexTeam } from './clashes.ts';
import { decideSet } from './decide-set.ts';
import { located } from './finding.ts';
import { contentText, type LiveProfile, type ProfileStore } from './ports.ts';
import { neighbourOf, type Prepared } from './prepare.ts';
import { type ReadSetDeps, readSet, type SetEntry } from './read-set.ts';
import { type Saved, save } from './save.ts';
import type { NoteOlder } from './summaries.ts';
import { storedTargets } from './targets.ts';
import type { EntryFindings } from './types.ts';

export interface ReplaceSetOptions extends ChangeOptions {
  readonly teamId: number;
  /** Nothing listed means everything deleted: said, not assumed. */
  readonly allowEmpty?: boolean;
  /** More deletions than this are refused. */
  readonly maxRemovals?: number;
}

export interface SetEntrySaved extends Omit<Saved, 'findings'>, EntryFindings {
  readonly identifier: string;
}

export interface SetRemoved {
  readonly profileId: number;
  readonly channel: Channel;
  readonly identifier: string;
  readonly name: string;
}

export interface SetReplaced {
  /** In the order of the list. */
  readonly entries: readonly SetEntrySaved[];
  readonly deleted: readonly SetRemoved[];
}

export type ReplaceSet = (entries: readonly SetEntry[], options: ReplaceSetOptions) => Promise<Planned<SetReplaced>>;

interface ReplaceSetDeps extends ReadSetDeps {
  readonly store: ProfileStore;
  readonly carryOut: CarryOut;
  readonly readOlder: (teamId: number) => Promise<NoteOlder>;
}

/** Names in an error; the count is always said. */
const MAX_NAMES = 20;

/**
 * Makes the profiles of a team those of the list and no others: entries that differ from what is there become versions,
 * what is missing is deleted, what is equal is not touched. Everything is judged before anything is changed, and all of it
 * commits together.
 */
export function createReplaceSet(deps: ReplaceSetDeps): ReplaceSet {
  const { store, carryOut, readOlder, clock } = deps;

  /** Signed before the unit of work, and only what the team does not have yet. */
  async function sign(teamId: number, all: readonly Prepared[]): Promise<void> {
    const known = await store.contents(teamId);
    for (const one of all) {
      const delivery = one.delivery(undefined);
      if (known.has(contentText(one, delivery.contentSha256))) continue;
      delivery.delivered();
      await yieldToOthers();
    }
  }

  return async (entries, options) => {
    const { teamId, by = 'admin' } = options;
    if (entries.length === 0 && options.allowEmpty !== true) {
      throw new EspalierError('request_malformed', 'the list is empty: every profile of the team would be deleted', {
        fix: 'If that is meant, say allow_empty.',
      });
    }
    const noteOlder = await readOlder(teamId);
    const set = await readSet(entries, deps, clock.now());
    await sign(
      teamId,
      set.map(({ prepared }) => prepared),
    );
    const team = indexTeam(set.map(({ prepared }) => neighbourOf(prepared)));

    async function change(tx: Tx, now: Date) {
      if (!(await store.lockTeam(tx, teamId))) throw new EspalierError('team_not_found', `there is no team ${teamId}`);
      const noted = await noteOlder(tx);
      const slots = await store.slots(
        tx,
        set.map(({ prepared }) => prepared),
      );
      const live = await store.live(tx, teamId);
      const contents = await store.contents(teamId, tx);
      const { pairs, removed } = decideSet(
        set.map(({ prepared }) => prepared),
        live,
      );
      guard(removed, live.length, options.maxRemovals);
      for (const one of removed) {
        await store.remove(tx, one.id, now);
        await store.note(tx, one.id, { change: 'deleted', by, versionId: one.versionId }, now);
      }
      const saved: SetEntrySaved[] = [];
      for (const { index, live: own, gives } of pairs) {
        const entry = set[index];
        if (entry === undefined) continue;
        const { prepared, file, named } = entry;
        const targets = await storedTargets(store, tx, named);
        const name = entry.name ?? prepared.profile.displayName;
        const one = await save(
          store,
          tx,
          { teamId, prepared, name, targets, live: own, gives, slots, contents, by },
          now,
        );
        const clashes = clashesWith(neighbourOf(prepared), team);
        const findings = [
          ...prepared.findings,
          ...located(prepared.profile, [...one.findings, ...clashes]),
          ...widened(own ?? gives, entry),
        ];
        saved.push({ ...one, index, file, linesOf: prepared.linesOf, findings });
      }
      const answer: SetReplaced = {
        entries: saved,
        deleted: removed.map(({ id, channel, identifier, name }) => ({ profileId: id, channel, identifier, name })),
      };
      const differs = removed.length > 0 || saved.some(({ outcome }) => outcome !== 'unchanged');
      return { teamId, changed: noted || differs, answer };
    }
    return carryOut(change, options);
  };
}

/** An entry that names no labels is for everyone, and somebody may have aimed the profile by hand. */
function widened(
  before: LiveProfile | undefined,
  { named, prepared }: { named: SetEntry['targets']; prepared: Prepared },
) {
  if (before === undefined || before.includeMode === 'none' || named.includeMode !== 'none') return [];
  const message = `${prepared.identifier} is now for everyone in the team: the entry names no labels, and so far it was aimed by ${before.includeLabelIds.length}`;
  return [{ code: 'targets_widened', severity: 'warning', message, path: '', at: [] } as const];
}

function guard(removed: readonly LiveProfile[], all: number, most: number | undefined): void {
  if (most === undefined || removed.length <= most) return;
  const names = removed.slice(0, MAX_NAMES).map(({ identifier }) => identifier);
  const more = removed.length > names.length ? `, and ${removed.length - names.length} more` : '';
  throw new EspalierError(
    'conflict',
    `${removed.length} of ${all} profiles would be deleted and max_removals is ${most}: ${names.join(', ')}${more}`,
    { fix: 'List what shall stay, or raise max_removals.' },
  );
}
