import { setImmediate as yieldToOthers } from 'node:timers/promises';
import type { Clock } from '../core/clock.ts';
import type { Channel, EnrollmentRef } from '../core/enrollment.ts';
import { EspalierError } from '../core/errors.ts';
import type { Tx, UnitOfWork } from '../core/tx.ts';
import type { Catalogue } from './catalogue.ts';
import type { CurrentCatalogue } from './current-catalogue.ts';
import type { ReconcileStore } from './ports.ts';
import { type Resent, resend, resendWrite } from './resend.ts';
import type { HostFacts, PairState, WaitingReason } from './types.ts';
import { WAITING_WORDS } from './waiting-words.ts';

/** Failed pairs in one unit of work. */
const PAGE = 500;

export interface ResentPair extends Resent {
  readonly channel: Channel;
}

export interface ReconcilerActions {
  /**
   * Send a profile of a host again, or its removal, whatever its state. One per channel that could. Throws
   * host_not_found, profile_not_found; conflict with the reason where nothing could be sent.
   */
  resend(hostId: string, identifier: string, channel: Channel | undefined): Promise<readonly ResentPair[]>;
  /** The same for every failed pair of a profile, page by page. Throws profile_not_found. */
  resendFailed(profileId: number): Promise<{ readonly resent: number; readonly left: number }>;
}

export interface ActionDeps {
  readonly store: ReconcileStore;
  readonly unitOfWork: UnitOfWork;
  readonly catalogue: CurrentCatalogue;
  readonly clock: Clock;
  /** Wakes the tick once this unit of work has committed. */
  readonly wakeAfter: (tx: Tx) => void;
}

export function createActions({ store, unitOfWork, catalogue, clock, wakeAfter }: ActionDeps): ReconcilerActions {
  /** Undefined = the enrolment has no such pair, or is gone. */
  async function resendOne(tx: Tx, enrollment: EnrollmentRef, slotOf: (now: Catalogue) => number | undefined) {
    const locked = await store.lockOne(tx, enrollment);
    if (locked === undefined) return undefined;
    const current = await catalogue.at(locked.epoch, tx);
    const slotId = slotOf(current);
    if (slotId === undefined) return undefined;
    return carryOut(tx, current, await withCommands(tx, locked.facts), slotId);
  }

  async function carryOut(tx: Tx, current: Catalogue, facts: HostFacts, slotId: number) {
    const now = clock.now();
    const decision = resend(current, facts, slotId, now);
    if (decision?.kind !== 'resend') return decision;
    await store.writeFacts(tx, resendWrite(current, facts, decision), now);
    await store.enqueue(tx, [facts.row.enrollment], 'resend', now);
    wakeAfter(tx);
    return decision;
  }

  /** The lock reads no commands; what holds a user's channel back is said by one. */
  async function withCommands(tx: Tx, facts: HostFacts): Promise<HostFacts> {
    const [read] = await store.read([facts.row.enrollment], tx);
    return read === undefined ? facts : { ...facts, commands: read.commands, heldElsewhere: read.heldElsewhere };
  }

  return {
    async resend(hostId, identifier, channel) {
      const host = await store.readHost(hostId);
      if (host === undefined) throw new EspalierError('host_not_found', `There is no host ${hostId}.`);
      const asked = host.channels.filter((one) => channel === undefined || one.channel === channel);
      const resent: ResentPair[] = [];
      let refused: { state: PairState; waiting: WaitingReason | undefined } | undefined;
      await unitOfWork.run(async (tx) => {
        for (const { channel: kind, facts } of asked) {
          const done = await resendOne(tx, facts.row.enrollment, (now) => now.slotNamed(kind, identifier)?.id);
          if (done?.kind === 'resend') resent.push({ ...done.resent, channel: kind });
          if (done?.kind === 'refused') refused ??= done;
        }
      });
      if (resent.length > 0) return resent;
      if (refused !== undefined) throw nothingSent(identifier, refused);
      const where =
        host.channels.length === 0 ? 'The host is not enrolled' : 'No profile of this name is there or meant';
      throw new EspalierError(
        host.channels.length === 0 ? 'conflict' : 'profile_not_found',
        `${where}: nothing of ${identifier} could be sent.`,
        { fix: 'Ask why: GET /hosts/{host}/profiles/{identifier}/why.' },
      );
    },

    async resendFailed(profileId) {
      const profile = (await catalogue.at(await store.epoch())).profiles.find((one) => one.id === profileId);
      if (profile === undefined) throw new EspalierError('profile_not_found', `There is no live profile ${profileId}.`);
      let resent = 0;
      let left = 0;
      const size = Math.min(PAGE, store.batchLimit);
      for (let after = 0; ; ) {
        const failed = await store.failedIn(profile.slotId, [profile.teamId], after, size);
        const last = failed.at(-1);
        if (last === undefined) return { resent, left };
        after = last;
        await unitOfWork.run(async (tx) => {
          for (const enrollment of failed) {
            const done = await resendOne(tx, enrollment, () => profile.slotId);
            if (done?.kind === 'resend') resent += 1;
            else left += 1;
          }
        });
        await yieldToOthers();
      }
    },
  };
}

function nothingSent(
  identifier: string,
  { state, waiting }: { state: PairState; waiting: WaitingReason | undefined },
): EspalierError {
  const why =
    waiting !== undefined
      ? WAITING_WORDS[waiting].words
      : state === 'not_in_scope'
        ? 'It is not meant for this host and not there'
        : 'Whether it is meant for this host is open';
  return new EspalierError('conflict', `${why}: nothing of ${identifier} could be sent.`, {
    fix: 'Ask why: GET /hosts/{host}/profiles/{identifier}/why.',
  });
}
