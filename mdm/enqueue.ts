import type { Clock, Ids } from '../core/clock.ts';
import type { EnrollmentRef } from '../core/enrollment.ts';
import { EspalierError } from '../core/errors.ts';
import type { Tx, UnitOfWork } from '../core/tx.ts';
import { asDict, optionalString, stringAt } from '../plist/fields.ts';
import { PROFILE_LIMITS, readPlist } from '../plist/read.ts';
import { isDict, type PlistDict } from '../plist/types.ts';
import { commandBody } from './hand-out.ts';
import type { ApplyEffects, CommandStore, CommandTarget, MdmStore } from './ports.ts';
import { REQUEST_TYPES } from './request-types.ts';
import type { NewCommand } from './types.ts';

export interface EnqueueDeps {
  readonly unitOfWork: UnitOfWork;
  readonly store: MdmStore;
  readonly commands: CommandStore;
  readonly applyEffects: ApplyEffects;
  readonly clock: Clock;
  readonly ids: Ids;
}

export interface Enqueued {
  readonly commandUuid: string;
  readonly requestType: string;
  readonly enrollmentIds: readonly string[];
}

export interface Enqueue {
  /**
   * A raw command from an admin: `{CommandUUID?, Command: {RequestType, …}}`, or the Command dictionary alone. To all
   * of the enrolments or, on any error, to none. Errors: plist_*, command_invalid, conflict.
   */
  raw(plist: Buffer, enrollmentIds: readonly string[]): Promise<Enqueued>;
  /**
   * Commands of the reconciler or of the lifecycle, in their transaction: body from `commandBody`. Answers the
   * enrolments that took theirs; the others are not enrolled.
   */
  within(tx: Tx, commands: readonly NewCommand[]): Promise<ReadonlySet<EnrollmentRef>>;
}

/** CommandUUIDs come back in every report and stand in every history row. */
const MAX_UUID_LENGTH = 127;
const MAX_TARGETS = 10_000;

export function createEnqueue(deps: EnqueueDeps): Enqueue {
  const { store, commands, applyEffects, clock, ids } = deps;

  /** Command and push commit together: an accepted command reaches an online device (R1). */
  async function within(tx: Tx, entries: readonly NewCommand[]): Promise<ReadonlySet<EnrollmentRef>> {
    const taken = await commands.enqueue(tx, entries, clock.now());
    if (taken.size > 0) {
      await applyEffects(
        tx,
        [...taken].map((enrollment) => ({ kind: 'push', enrollment, reason: 'command' })),
      );
    }
    return taken;
  }

  return {
    within,
    async raw(plist, enrollmentIds) {
      const { command, commandUuid = ids.uuid().toUpperCase() } = readCommand(plist);
      const requestType = stringAt(command, 'RequestType', { code: 'command_invalid' });
      const targets = await targetsOf(store, enrollmentIds);
      for (const target of targets) refuseMismatch(target, requestType, command);
      const body = commandBody(command);
      await deps.unitOfWork.run(async (tx) => {
        const taken = await within(
          tx,
          targets.map(({ ref }) => ({ enrollment: ref, commandUuid, requestType, body, origin: 'api', op: undefined })),
        );
        const refused = targets.filter(({ ref }) => !taken.has(ref));
        if (refused.length > 0) throw usedBefore(commandUuid, refused);
      });
      return { commandUuid, requestType, enrollmentIds: targets.map((target) => target.enrollmentId) };
    },
  };
}

function readCommand(plist: Buffer): { command: PlistDict; commandUuid: string | undefined } {
  const where = { code: 'command_invalid' } as const;
  const outer = asDict(readPlist(plist, PROFILE_LIMITS), '', 'command_invalid');
  const inner = outer.get('Command');
  const commandUuid = optionalString(outer, 'CommandUUID', where);
  if (commandUuid !== undefined && !/^[\x21-\x7e]+$/.test(commandUuid)) {
    throw new EspalierError('command_invalid', 'CommandUUID must be printable ASCII without spaces');
  }
  if (commandUuid !== undefined && commandUuid.length > MAX_UUID_LENGTH) {
    throw new EspalierError('command_invalid', `CommandUUID is longer than ${MAX_UUID_LENGTH} characters`);
  }
  return isDict(inner) ? { command: inner, commandUuid } : { command: outer, commandUuid: undefined };
}

async function targetsOf(store: MdmStore, enrollmentIds: readonly string[]): Promise<readonly CommandTarget[]> {
  const wanted = [...new Set(enrollmentIds)];
  if (wanted.length === 0 || wanted.length > MAX_TARGETS) {
    throw new EspalierError('command_invalid', `between 1 and ${MAX_TARGETS} enrolments can be named`);
  }
  const targets = await store.targets(wanted);
  const missing = wanted.filter((id) => !targets.some((target) => target.enrollmentId === id && target.live));
  if (missing.length > 0) {
    throw new EspalierError('command_invalid', `not enrolled: ${missing.slice(0, 10).join(', ')}`, {
      fix: 'A command can be queued once the enrolment has sent its first TokenUpdate.',
    });
  }
  return targets;
}

/** What the Mac would refuse a week later, or what would cut it off (CMD-12, §2.4 RemoveProfile). */
function refuseMismatch(target: CommandTarget, requestType: string, command: PlistDict): void {
  const channels = REQUEST_TYPES.get(requestType);
  if (channels === undefined) {
    throw new EspalierError(
      'command_invalid',
      `RequestType ${JSON.stringify(requestType.slice(0, 100))} is not Apple's`,
      {
        place: { path: 'Command.RequestType' },
      },
    );
  }
  if (!channels.includes(target.channel)) {
    throw new EspalierError('command_invalid', `${requestType} cannot be sent on the ${target.channel} channel`);
  }
  const removed = requestType === 'RemoveProfile' ? command.get('Identifier') : undefined;
  if (removed !== undefined && removed === target.enrollmentProfile) {
    throw new EspalierError('command_invalid', 'this would remove the enrolment profile, and the Mac with it', {
      place: { path: 'Command.Identifier' },
    });
  }
}

function usedBefore(commandUuid: string, refused: readonly CommandTarget[]): EspalierError {
  const who = refused.slice(0, 10).map((target) => target.enrollmentId);
  return new EspalierError(
    'conflict',
    `CommandUUID ${commandUuid} has been used before, or the enrolment has just ended: ${who.join(', ')}`,
    { fix: 'Leave CommandUUID out: a fresh one is made.' },
  );
}
