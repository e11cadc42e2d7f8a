import type { EnrollmentEffect } from '../core/effects.ts';
import type { Log } from '../core/log.ts';
import type { Tx, UnitOfWork } from '../core/tx.ts';
import { consequencesOf, PUSH_FOR_DEFERRED } from './command.ts';
import type { ApplyEffects, CommandStore, MdmStore, PollAnswer, PollRow, ReportedCommand } from './ports.ts';
import type { ReadReport } from './types.ts';

export interface SettleDeps {
  readonly unitOfWork: UnitOfWork;
  readonly store: MdmStore;
  readonly commands: CommandStore;
  readonly applyEffects: ApplyEffects;
  readonly log: Log;
}

export type Readable = Extract<ReadReport, { kind: 'readable' }>;

/** A report that was read, with what the poll statement needs of it. */
export interface Polled {
  readonly enrollmentId: string;
  readonly read: Readable;
  readonly row: PollRow;
}

/**
 * Results from which more follows, several in one transaction: read, decide, write. Answers `not_live` for those whose
 * command is not in a live queue; nothing was done for them.
 */
export function settleTogether(deps: SettleDeps, items: readonly Polled[], now: Date): Promise<readonly PollAnswer[]> {
  return deps.unitOfWork.run(async (tx) => {
    const live = await settle(deps, tx, items);
    const rest = items.filter((_, index) => live[index]);
    const answers = await takeTurns(deps, tx, rest, now);
    return items.map((item) => answers[rest.indexOf(item)] ?? { kind: 'not_live' });
  });
}

/** Carry out what follows from the results of live commands; `takeTurns` then takes these out of their queues. */
export async function settle(deps: SettleDeps, tx: Tx, items: readonly Polled[]): Promise<readonly boolean[]> {
  const rows = items.map(({ row }) => row);
  const found = rows.some(({ turn }) => turn === 'finished') ? await deps.commands.reported(tx, rows) : [];
  const effects: EnrollmentEffect[] = [];
  for (const [index, { read }] of items.entries()) {
    const reported = found[index];
    if (reported !== undefined) effects.push(...(await follow(deps, tx, read, reported)));
  }
  if (effects.length > 0) {
    // Ascending, so that two transactions meeting on two Macs wait for each other in one order only.
    await deps.applyEffects(
      tx,
      effects.toSorted((a, b) => a.enrollment - b.enrollment),
    );
  }
  return items.map((_, index) => found[index] !== undefined);
}

async function follow(
  { store, log }: SettleDeps,
  tx: Tx,
  { who, report, dict }: Readable,
  { enrollment, command }: ReportedCommand,
): Promise<readonly EnrollmentEffect[]> {
  if (report.kind !== 'finished') return [];
  if (report.outcome === 'Unknown' || report.outcome === 'CommandFormatError') {
    // A mistake of ours, or a word of Apple's that is new: somebody should look (§2.1, CMD-07).
    log.warn({ enrollment: who.enrollmentId, command: report.commandUuid, status: report.status }, 'odd result');
  }
  const { effects, configured } = consequencesOf(enrollment, command, report, dict);
  if (configured) await store.setAwaitingConfiguration(tx, enrollment, false);
  return effects;
}

/** The queues' next turns, in the transaction that has seen to everything else. */
export async function takeTurns(
  { commands, applyEffects }: SettleDeps,
  tx: Tx,
  items: readonly Polled[],
  now: Date,
): Promise<readonly PollAnswer[]> {
  if (items.length === 0) return [];
  const answers = await commands.pollIn(
    tx,
    items.map(({ row }) => ({ ...row, settled: true })),
    now,
  );
  const behind = answers.flatMap((answer) => (answer.kind === 'nothing' ? (answer.leftBehind ?? []) : []));
  if (behind.length > 0) {
    await applyEffects(
      tx,
      behind.map((enrollment) => ({ kind: 'push', enrollment, reason: PUSH_FOR_DEFERRED, later: true })),
    );
  }
  return answers;
}
