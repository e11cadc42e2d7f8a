import { setImmediate as yieldToOthers } from 'node:timers/promises';
import type { Clock } from '../core/clock.ts';
import { EspalierError } from '../core/errors.ts';
import { noSuchLabel } from '../core/label-not-found.ts';
import type { UnitOfWork } from '../core/tx.ts';
import { repeated } from './decide-set.ts';
import type { SignedDelivery } from './deliver.ts';
import { errorsFirst, hasErrors, linesOf } from './finding.ts';
import type { ProfileStore } from './ports.ts';
import { type PrepareDeps, type Prepared, prepared, type Read, readUpload } from './prepare.ts';
import { checkTargets, type NamedTargets } from './targets.ts';
import {
  type EntryFindings,
  type Finding,
  type FindingCode,
  ProfileInvalidError,
  ProfileSetInvalidError,
} from './types.ts';

/** One profile of a complete list. */
export interface SetEntry {
  readonly bytes: Buffer;
  /** As the caller calls it, for messages. */
  readonly file: string | undefined;
  /** PayloadDisplayName where undefined. */
  readonly name: string | undefined;
  readonly targets: NamedTargets;
  readonly delivery: SignedDelivery | undefined;
}

/** An entry with nothing against it. */
export interface ReadEntry {
  readonly prepared: Prepared;
  readonly file: string | undefined;
  readonly name: string | undefined;
  readonly named: NamedTargets;
}

export interface ReadSetDeps extends PrepareDeps {
  readonly store: Pick<ProfileStore, 'labels' | 'labelNames'>;
  readonly unitOfWork: UnitOfWork;
  readonly clock: Clock;
}

/** Of one entry; a set may have a thousand of them. */
const MAX_FINDINGS = 20;

/**
 * Reads and judges every entry; what is wrong with any of them is said at once. Others have their turn between two.
 * Errors: profile_invalid (ProfileSetInvalidError).
 */
export async function readSet(
  entries: readonly SetEntry[],
  deps: ReadSetDeps,
  now: Date,
): Promise<readonly ReadEntry[]> {
  const names = entries.flatMap(({ targets }) => [...targets.includeLabels, ...targets.excludeLabels]);
  const asked = [...new Set(names)];
  const known = await deps.unitOfWork.run(async (tx) => {
    const found = new Set((await deps.store.labels(tx, asked)).map(({ name }) => name));
    return asked.length === found.size ? found : new Set([...found, ...(await deps.store.labelNames(tx))]);
  });
  const read: { one: Read | undefined; prepared: Prepared | undefined; findings: Finding[] }[] = [];
  for (const entry of entries) {
    read.push(readEntry(entry, known, deps, now));
    await yieldToOthers();
  }
  const slots = read.map(({ one }) => one && slotOf(one));
  for (const [index, earlier] of repeated(slots)) {
    const slot = slots[index];
    const other = entries[earlier]?.file ?? `entry ${earlier}`;
    const message = `${slot?.identifier} on the ${slot?.channel} channel is in ${other} already`;
    read[index]?.findings.push(said('duplicate_entry', message));
  }
  const ready = read.flatMap(({ prepared: done, findings }, index): ReadEntry[] => {
    const entry = entries[index];
    if (done === undefined || entry === undefined || hasErrors(findings)) return [];
    return [{ prepared: done, file: entry.file, name: entry.name, named: entry.targets }];
  });
  if (ready.length === entries.length) return ready;
  throw new ProfileSetInvalidError(
    read.map(
      ({ one, findings }, index): EntryFindings => ({
        index,
        file: entries[index]?.file,
        identifier: one?.profile.identifier || undefined,
        linesOf: one === undefined ? 'file' : linesOf(one.profile),
        findings: errorsFirst(findings).slice(0, MAX_FINDINGS),
      }),
    ),
  );
}

function readEntry(entry: SetEntry, labels: ReadonlySet<string>, deps: PrepareDeps, now: Date) {
  const findings: Finding[] = targetFindings(entry.targets, labels);
  let one: Read | undefined;
  let done: Prepared | undefined;
  try {
    one = readUpload(entry.bytes, entry.delivery, now);
    findings.push(...one.findings);
    if (!hasErrors(one.findings)) done = prepared(one, entry.delivery, deps, now);
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    if (error instanceof ProfileInvalidError)
      return { one, prepared: done, findings: [...findings, ...error.findings] };
    const { line, column = 1 } = error.place ?? {};
    const place = line === undefined ? {} : { place: { line, column } };
    findings.push({ ...said('unreadable', error.message), path: error.place?.path ?? '', ...place });
  }
  return { one, prepared: done, findings };
}

function targetFindings(targets: NamedTargets, labels: ReadonlySet<string>): Finding[] {
  const findings = [...targets.includeLabels, ...targets.excludeLabels]
    .filter((name) => !labels.has(name))
    .map((name) => said('label_not_found', noSuchLabel(name, [...labels])));
  try {
    checkTargets(targets);
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    findings.push(said('targets_invalid', error.message));
  }
  return findings;
}

function slotOf({ profile }: Read) {
  return {
    channel: profile.scope === 'User' ? ('user' as const) : ('device' as const),
    identifier: profile.identifier,
  };
}

/** About the entry, not about anything in its property list. */
function said(code: FindingCode, message: string): Finding {
  return { code, severity: 'error', message, path: '', at: [] };
}
