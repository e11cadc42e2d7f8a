import { EspalierError } from '../core/errors.ts';
import { isDatabaseFault, refusalOf } from './answer.ts';
import { createBodyCache } from './body-cache.ts';
import { type CheckInDeps, createCheckIn } from './check-in.ts';
import { createIdentityVerifier, type IdentityDeps } from './identity.ts';
import { kindOfBody, kindOfMediaType, readCheckin, readReport } from './message.ts';
import { createPollBatch } from './poll-batch.ts';
import type { CommandStore, PollAnswer, PollRow } from './ports.ts';
import { createReport } from './report.ts';
import { type Polled, settleTogether } from './settle.ts';
import type { DeviceRequest, DeviceResponse } from './types.ts';

/** Polls in one statement. */
const MAX_TURNS = 64;
/** Results in one transaction: their effects run one after the other, and all wait for the last. */
const MAX_SETTLED = 16;

export interface MdmServiceDeps extends Omit<CheckInDeps, 'isRowFault'>, IdentityDeps {
  readonly commands: CommandStore;
}

export interface MdmService {
  /** Never rejects: every fault becomes an answer a device can bear. */
  handle(request: DeviceRequest): Promise<DeviceResponse>;
  /** How many poll statements carried how many polls: index = size. For /metrics. */
  readonly batchSizes: readonly number[];
}

/** Both MDM URLs: who is it, what is it, then the room's one function for that. */
export function createMdmService(deps: MdmServiceDeps): MdmService {
  const identify = createIdentityVerifier(deps);
  const checkIn = createCheckIn({ ...deps, isRowFault: deps.commands.isRowFault });
  const { commands } = deps;
  const turns = createPollBatch<PollRow, PollAnswer>({
    poll: (rows) => commands.poll(rows, deps.clock.now()),
    isRowFault: commands.isRowFault,
    maxBatch: MAX_TURNS,
    atOnce: commands.statementsAtOnce,
  });
  const settling = createPollBatch<Polled, PollAnswer>({
    poll: (items) => settleTogether(deps, items, deps.clock.now()),
    // What an effect stumbles over is one Mac's; what has another SQLSTATE or a socket's code is the database's (R19).
    isRowFault: (error) => commands.isRowFault(error) || !isDatabaseFault(error),
    maxBatch: MAX_SETTLED,
    atOnce: commands.statementsAtOnce,
  });
  const report = createReport({ ...deps, turns, settling, bodies: createBodyCache(commands.bodies) });

  async function dispatch(request: DeviceRequest): Promise<DeviceResponse> {
    if (request.method !== 'PUT') throw new EspalierError('method_not_allowed', 'MDM URLs take PUT only');
    const identity = identify(request);
    const { body } = request;
    const kind = kindOfMediaType(request.contentType) ?? kindOfBody(body);
    return kind === 'checkin' ? checkIn(identity, readCheckin(body)) : report(identity, readReport(body), body);
  }

  return {
    batchSizes: turns.sizes,
    async handle(request) {
      try {
        return await dispatch(request);
      } catch (error) {
        const answer = refusalOf(error);
        if (answer.status >= 500) deps.log.error({ err: error }, 'an MDM request failed');
        else deps.log.warn({ code: answer.code, reason: error instanceof Error ? error.message : '' }, 'refused');
        return answer;
      }
    },
  };
}
