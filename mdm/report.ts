import type { Clock } from '../core/clock.ts';
import type { EnrollmentRef } from '../core/enrollment.ts';
import { EspalierError } from '../core/errors.ts';
import type { Tx } from '../core/tx.ts';
import { RESULT_LIMITS } from '../plist/read.ts';
import { commandAnswer, EMPTY } from './answer.ts';
import type { BodyCache } from './body-cache.ts';
import { decide } from './enrollment.ts';
import { handOut } from './hand-out.ts';
import type { DeviceIdentity } from './identity.ts';
import type { PollBatcher } from './poll-batch.ts';
import type { PollAnswer, PollRow } from './ports.ts';
import { type Polled, type Readable, type SettleDeps, settle, takeTurns } from './settle.ts';
import { runAgain } from './try-again.ts';
import type { Claimant, DeviceResponse, Known, ReadReport } from './types.ts';

export interface ReportDeps extends SettleDeps {
  /** One statement for many turns of queues. */
  readonly turns: PollBatcher<PollRow, PollAnswer>;
  /** One transaction for some results from which more follows. */
  readonly settling: PollBatcher<Polled, PollAnswer>;
  readonly bodies: BodyCache;
  readonly clock: Clock;
}

type Unreadable = Extract<ReadReport, { kind: 'unreadable' }>;

/** Bytes. Larger results go alone, so that one Mac's application list does not hold up sixty polls. */
const MAX_BATCHED_RESULT = 64 * 1024;
/** Bytes of a result that are kept. */
const MAX_KEPT_RESULT = RESULT_LIMITS.maxBytes;

/** A report and the next command, in one committed step. A report that is stored is answered 200 (R4, CHK-08). */
export function createReport(
  deps: ReportDeps,
): (identity: DeviceIdentity, read: ReadReport, body: Buffer) => Promise<DeviceResponse> {
  return async (identity, read, body) => {
    const answer =
      read.kind === 'readable' ? await poll(deps, identity, read, body) : await keep(deps, identity, read, body);
    if (answer.kind !== 'command') return EMPTY;
    return commandAnswer(handOut(answer.commandUuid, await deps.bodies.get(answer.bodyId)));
  };
}

async function poll(deps: ReportDeps, identity: DeviceIdentity, read: Readable, body: Buffer): Promise<PollAnswer> {
  const row = pollRow(identity, read, body);
  const item = { enrollmentId: row.enrollmentId, read, row };
  if (body.length > MAX_BATCHED_RESULT) return byItself(deps, identity, item);
  let answer = await deps.turns.submit(row);
  if (answer.kind === 'weighty') answer = await deps.settling.submit(item);
  return answer.kind === 'not_live' ? byItself(deps, identity, item) : answer;
}

function pollRow({ sha256 }: DeviceIdentity, { who, report }: Readable, body: Buffer): PollRow {
  const finished = report.kind === 'finished';
  const truncated = finished && body.length > MAX_KEPT_RESULT;
  return {
    enrollmentId: who.enrollmentId,
    certificateSha256: sha256,
    turn: report.kind,
    commandUuid: report.kind === 'idle' ? undefined : report.commandUuid,
    outcome: finished ? report.outcome : undefined,
    errorChain: finished ? report.errorChain : [],
    result: finished ? (truncated ? body.subarray(0, MAX_KEPT_RESULT) : body) : undefined,
    truncated,
    settled: false,
  };
}

/** Whoever was not known as live: late results, renewed certificates, channels that have ended, strangers. */
function byItself(deps: ReportDeps, identity: DeviceIdentity, item: Polled): Promise<PollAnswer> {
  const now = deps.clock.now();
  return runAgain(deps.unitOfWork, deps.commands.isRowFault, async (tx) => {
    const [live] = await settle(deps, tx, [item]);
    if (!live) {
      const admitted = await admit(deps, tx, identity, item.read.who, now);
      if (admitted === undefined) return NOTHING;
      // A renewed certificate is the current one only from here on; what still is not in the queue is late.
      const [found] = admitted.serve ? await settle(deps, tx, [item]) : [];
      if (!found) await keepLate(deps, tx, admitted.ref, item.row, now);
      if (!admitted.serve) return NOTHING;
    }
    const [answer] = await takeTurns(deps, tx, [item], now);
    return answer ?? NOTHING;
  });
}

const NOTHING: PollAnswer = { kind: 'nothing', leftBehind: undefined };

interface Admitted {
  readonly ref: EnrollmentRef;
  /** Hand out commands; else only keep what came. */
  readonly serve: boolean;
}

/** Undefined: answered as if there were nothing (quarantine). Errors: mdm_identity_*, mdm_enrollment_unknown. */
async function admit(
  { store }: ReportDeps,
  tx: Tx,
  identity: DeviceIdentity,
  who: Claimant,
  now: Date,
): Promise<Admitted | undefined> {
  const known: Known = { ...(await store.known(tx, identity.sha256, who, undefined)), validity: identity.validity };
  const { act, promote } = decide(known, { type: 'Report', who });
  if (act.kind === 'refuse') throw new EspalierError(act.code, act.detail);
  if (act.kind === 'ignore' || known.device === undefined) return undefined;
  if (promote) await store.promote(tx, identity.sha256, known.device.ref, now);
  return { ref: (known.user ?? known.device).ref, serve: act.kind === 'serve' };
}

async function keepLate({ commands }: ReportDeps, tx: Tx, ref: EnrollmentRef, row: PollRow, now: Date): Promise<void> {
  const { turn, commandUuid = '', outcome = 'Unknown', errorChain, result = EMPTY.body, truncated } = row;
  if (turn !== 'finished') return;
  await commands.recordLate(tx, { enrollment: ref, commandUuid, outcome, errorChain, result, truncated }, now);
}

/**
 * An authenticated report that not even names its command: kept as it came, and 200. No next command: the one just
 * answered is still the oldest, and would come round at once, for ever.
 */
function keep(deps: ReportDeps, identity: DeviceIdentity, { who }: Unreadable, body: Buffer): Promise<PollAnswer> {
  const now = deps.clock.now();
  const truncated = body.length > MAX_KEPT_RESULT;
  const result = truncated ? body.subarray(0, MAX_KEPT_RESULT) : body;
  deps.log.warn({ enrollment: who?.enrollmentId, bytes: body.length }, 'a result cannot be read');
  return deps.unitOfWork.run(async (tx) => {
    const ref =
      who === undefined
        ? await deps.store.pinnedDevice(tx, identity.sha256)
        : (await admit(deps, tx, identity, who, now))?.ref;
    if (ref !== undefined) {
      const late = { enrollment: ref, commandUuid: '', outcome: 'Unknown', errorChain: [], result, truncated } as const;
      await deps.commands.recordLate(tx, late, now);
    }
    return NOTHING;
  });
}
