import { setTimeout as sleep, setImmediate as yieldToOthers } from 'node:timers/promises';
import type { Clock } from '../core/clock.ts';
import type { Channel, EnrollmentRef } from '../core/enrollment.ts';
import { EspalierError, hasCode } from '../core/errors.ts';
import type { Tx, UnitOfWork } from '../core/tx.ts';
import type { Catalogue } from './catalogue.ts';
import type { CurrentCatalogue } from './current-catalogue.ts';
import { CHANNELS, channelsOf, elsewhere, teamsOf, unknownProfile } from './elsewhere.ts';
import type { HostRead, ReconcileStore } from './ports.ts';
import { type Resent, resend, resendWrite } from './resend.ts';
import type { HostFacts, PairState, WaitingReason } from './types.ts';
import { WAITING_WORDS } from './waiting-words.ts';

/** Failed pairs in one unit of work. */
const PAGE = 500;
/** An enrolment in somebody else's hands, and how often and how many milliseconds apart to look again. */
const BUSY = 'busy';
const BUSY_TIMES = 50;
const BUSY_MS = 100;

const ASK_WHY = { fix: 'espalier why says more of this host and profile.' };

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
  /**
   * Undefined = the enrolment has no such pair, or is gone. What somebody else works on is not waited for: a transaction
   * that holds the row and waits for another one could meet a device's that does the same the other way round.
   */
  async function resendOne(tx: Tx, enrollment: EnrollmentRef, slotOf: (now: Catalogue) => number | undefined) {
    const { hosts, busy } = await store.lock(tx, [enrollment]);
    if (busy.length > 0) return BUSY;
    const [facts] = hosts;
    const locked = facts && (await store.lockOne(tx, enrollment));
    if (facts === undefined || locked === undefined) return undefined;
    const current = await catalogue.at(locked.epoch, tx);
    const slotId = slotOf(current);
    return slotId === undefined ? undefined : carryOut(tx, current, facts, slotId);
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

  /** Tries again while a device's report is just being stored. Errors: service_unavailable. */
  async function whenFree<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await unitOfWork.run(work);
      } catch (error) {
        if (!hasCode(error, 'service_unavailable') || tries === BUSY_TIMES) throw error;
      }
      await sleep(BUSY_MS);
    }
  }

  /** Why no channel that was asked for has it. */
  async function noSuchPair(host: HostRead, identifier: string, asked: Channel | undefined): Promise<EspalierError> {
    if (host.channels.length === 0)
      return new EspalierError('conflict', `The host is not enrolled: nothing of ${identifier} could be sent.`);
    const current = await catalogue.at(await store.epoch());
    const [there] = channelsOf(current, host, identifier);
    if (there !== undefined && asked !== undefined && there !== asked)
      return new EspalierError(
        'conflict',
        `${identifier} is on the ${there} channel: nothing could be sent on another.`,
        {
          fix: `Name the ${there} channel, or none.`,
        },
      );
    if (there !== undefined) return nothingSent(identifier, { state: 'waiting', waiting: 'no_user_channel' });
    const names = await store.teamNames(teamsOf(current, identifier));
    const teamName = (id: number) => names.get(id) ?? `number ${id}`;
    const [other] = CHANNELS.flatMap((kind) => elsewhere(current, host, kind, identifier, teamName) ?? []);
    if (other === undefined) return unknownProfile(current, host.teamId, identifier);
    return new EspalierError('profile_not_found', `Nothing of ${identifier} could be sent. ${other.reason}`, ASK_WHY);
  }

  return {
    async resend(hostId, identifier, channel) {
      const host = await store.readHost(hostId);
      if (host === undefined) throw new EspalierError('host_not_found', `There is no host ${hostId}.`);
      const asked = host.channels.filter((one) => channel === undefined || one.channel === channel);
      const { resent, refused } = await whenFree(async (tx) => {
        const sent: ResentPair[] = [];
        let no: { state: PairState; waiting: WaitingReason | undefined } | undefined;
        for (const { channel: kind, facts } of asked) {
          const done = await resendOne(tx, facts.row.enrollment, (now) => now.slotNamed(kind, identifier)?.id);
          // Thrown, so that nothing of another channel is written either.
          if (done === BUSY)
            throw new EspalierError('service_unavailable', 'Reports of this host are just being stored.');
          if (done?.kind === 'resend') sent.push({ ...done.resent, channel: kind });
          if (done?.kind === 'refused') no ??= done;
        }
        return { resent: sent, refused: no };
      });
      if (resent.length > 0) return resent;
      if (refused !== undefined) throw nothingSent(identifier, refused);
      throw await noSuchPair(host, identifier, channel);
    },

    async resendFailed(profileId) {
      const profile = (await catalogue.at(await store.epoch())).profiles.find((one) => one.id === profileId);
      if (profile === undefined) throw new EspalierError('profile_not_found', `There is no live profile ${profileId}.`);
      let resent = 0;
      let left = 0;
      const size = Math.min(PAGE, Math.ceil(store.batchLimit / 4));
      for (let after = 0; ; ) {
        const failed = await store.failedIn(profile.slotId, [profile.teamId], after, size);
        const last = failed.at(-1);
        if (last === undefined) return { resent, left };
        after = last;
        const done = await unitOfWork.run(async (tx) => {
          let sent = 0;
          for (const enrollment of failed) {
            const one = await resendOne(tx, enrollment, () => profile.slotId);
            if (one !== BUSY && one?.kind === 'resend') sent += 1;
          }
          return sent;
        });
        resent += done;
        left += failed.length - done;
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
  return new EspalierError('conflict', `${why}: nothing of ${identifier} could be sent.`, ASK_WHY);
}
