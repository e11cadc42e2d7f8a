import type { Clock, Ids } from '../core/clock.ts';
import type { Effect } from '../core/effects.ts';
import type { EnrollmentRef } from '../core/enrollment.ts';
import { EspalierError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Tx, UnitOfWork } from '../core/tx.ts';
import { EMPTY } from './answer.ts';
import { giveBootstrapToken, sealedColumn, storeBootstrapToken, type TokenVault } from './bootstrap-token.ts';
import { type Act, decide, type Tabled } from './enrollment.ts';
import type { DeviceIdentity } from './identity.ts';
import type { ApplyEffects, ChangedHost, NewEnrollment } from './ports.ts';
import { runAgain } from './try-again.ts';
import type { CheckinMessage, DeviceResponse, EnrollmentRecord, Known } from './types.ts';

export interface CheckInDeps extends TokenVault {
  readonly unitOfWork: UnitOfWork;
  /** Did the database refuse a row, and not fail as a whole? */
  isRowFault(error: unknown): boolean;
  readonly applyEffects: ApplyEffects;
  /** Do we hold a push certificate with this topic? (AUT-02) */
  holdsTopic(topic: string): Promise<boolean>;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
}

/** One check-in message: decided by `enrollment.ts`, carried out here in one transaction. Errors: mdm_*. */
export function createCheckIn(
  deps: CheckInDeps,
): (identity: DeviceIdentity, message: CheckinMessage) => Promise<DeviceResponse> {
  return async (identity, message) => {
    switch (message.type) {
      case 'Authenticate':
        if (!(await deps.holdsTopic(message.topic))) {
          throw new EspalierError('mdm_topic_mismatch', 'there is no push certificate with the Topic of this message');
        }
        return tabled(deps, identity, message);
      case 'TokenUpdate':
      case 'CheckOut':
      case 'SetBootstrapToken':
      case 'GetBootstrapToken':
        return tabled(deps, identity, message);
      case 'UserAuthenticate':
        // Network users are not managed; the client asks again at the next login (UAU-01, UAU-02).
        return untabled(deps, identity, message, 'mdm_user_not_managed', 'network and mobile users are not managed');
      case 'DeclarativeManagement':
        return untabled(
          deps,
          identity,
          message,
          'mdm_endpoint_unknown',
          'declarative management was never switched on',
        );
      case 'GetToken':
        return untabled(deps, identity, message, 'mdm_endpoint_unknown', 'there is no token service of this type');
      case 'unknown':
        throw new EspalierError(
          'mdm_message_type_unknown',
          `unknown MessageType ${JSON.stringify(message.messageType)}`,
        );
    }
  };
}

/** A message that changes nothing and is refused to everyone whose identity is in order. */
async function untabled(
  deps: CheckInDeps,
  identity: DeviceIdentity,
  { who }: Extract<CheckinMessage, { who: unknown }>,
  code: 'mdm_user_not_managed' | 'mdm_endpoint_unknown',
  detail: string,
): Promise<DeviceResponse> {
  const { act } = await deps.unitOfWork.run(async (tx) => {
    const known = await deps.store.known(tx, identity.sha256, who, undefined);
    return decide({ ...known, validity: identity.validity }, { type: 'Report', who });
  });
  if (act.kind === 'ignore') return EMPTY;
  if (act.kind === 'refuse') throw new EspalierError(act.code, act.detail);
  throw new EspalierError(code, detail);
}

async function tabled(deps: CheckInDeps, identity: DeviceIdentity, message: Tabled): Promise<DeviceResponse> {
  const { store, log } = deps;
  const now = deps.clock.now();
  return runAgain(deps.unitOfWork, deps.isRowFault, async (tx) => {
    const serialNumber = message.type === 'Authenticate' ? message.facts.serialNumber : undefined;
    const known = {
      ...(await store.known(tx, identity.sha256, message.who, serialNumber)),
      validity: identity.validity,
    };
    const { act, promote } = decide(known, message);
    log.info({ enrollment: message.who.enrollmentId, message: message.type, act: act.kind }, 'check-in');
    if (act.kind === 'refuse') throw new EspalierError(act.code, act.detail);
    if (promote && known.device !== undefined) await store.promote(tx, identity.sha256, known.device.ref, now);
    const { effects, answer } = await carryOut(deps, tx, { identity, message, known, now }, act);
    if (effects.length > 0) await deps.applyEffects(tx, effects);
    return answer ?? EMPTY;
  });
}

interface Occasion {
  readonly identity: DeviceIdentity;
  readonly message: Tabled;
  readonly known: Known;
  readonly now: Date;
}

interface Outcome {
  readonly effects: readonly Effect[];
  readonly answer?: DeviceResponse;
}

const NOTHING: Outcome = { effects: [] };

async function carryOut(
  deps: CheckInDeps,
  tx: Tx,
  occasion: Occasion,
  act: Exclude<Act, { kind: 'refuse' }>,
): Promise<Outcome> {
  const { store } = deps;
  const { identity, message, known, now } = occasion;
  switch (act.kind) {
    case 'enrol':
    case 'reenrol':
      return enrol(deps, tx, occasion, act);
    case 'quarantine':
      deps.log.warn(
        { enrollment: message.who.enrollmentId },
        'an unproven identity claims a live enrolment: quarantined',
      );
      await store.quarantine(tx, identity.sha256, act.claimed, now);
      return NOTHING;
    case 'renew':
      await store.renew(tx, identity.sha256, device(known).ref, now);
      return refresh(deps, tx, occasion);
    case 'refresh':
      return refresh(deps, tx, occasion);
    case 'go_live':
      return goLive(deps, tx, occasion, act.first);
    case 'user_live':
    case 'user_wait':
      return userToken(deps, tx, occasion, act);
    case 'end':
      return { effects: ended(await store.end(tx, act.ref, now)) };
    case 'store_bootstrap_token':
      if (message.type === 'SetBootstrapToken') await storeBootstrapToken(deps, tx, device(known), message);
      return NOTHING;
    case 'give_bootstrap_token':
      if (message.type !== 'GetBootstrapToken') return NOTHING;
      return { effects: [], answer: await giveBootstrapToken(deps, tx, device(known), message) };
    case 'ignore':
    case 'serve':
    case 'record':
      return NOTHING;
  }
}

const ended = (refs: readonly EnrollmentRef[]): Effect[] =>
  refs.map((enrollment) => ({ kind: 'enrollment_ended', enrollment }));

const changed = (host: ChangedHost | undefined): Effect[] =>
  host === undefined ? [] : [{ kind: 'host_facts_changed', ...host }];

const live = (enrollment: EnrollmentRef): Effect[] => [
  { kind: 'enrollment_live', enrollment, first: true },
  // The device does not poll by itself after enrolling (§2.1).
  { kind: 'push', enrollment, reason: 'enrolled' },
];

function device(known: Known): EnrollmentRecord {
  if (known.device === undefined) throw new EspalierError('internal_error', 'a decision without its device');
  return known.device;
}

async function enrol(
  { store, ids }: CheckInDeps,
  tx: Tx,
  { identity, message, known, now }: Occasion,
  act: Extract<Act, { kind: 'enrol' | 'reenrol' }>,
): Promise<Outcome> {
  if (message.type !== 'Authenticate') return NOTHING;
  const gone = act.rival === undefined ? [] : await store.end(tx, act.rival.ref, now);
  const enrollment: NewEnrollment = {
    who: message.who,
    facts: message.facts,
    topic: message.topic,
    binding: act.binding,
    certificateSha256: identity.sha256,
    takesOver: act.rival?.hostId,
    newHostId: ids.uuid(),
  };
  if (act.kind === 'enrol') {
    const { ref, host } = await store.enrol(tx, enrollment, now);
    // The host first: whoever judges it waits for changes of labels, which wait for what an enrolment locks.
    return {
      effects: [...changed(host), ...ended(gone), { kind: 'enrollment_started', enrollment: ref, generation: 1 }],
    };
  }
  const { ref } = device(known);
  const users = await store.endUsers(tx, ref, now);
  const { generation, host } = await store.reenrol(tx, ref, enrollment, now);
  const started: Effect = { kind: 'enrollment_started', enrollment: ref, generation };
  return { effects: [...changed(host), ...ended([...gone, ...users]), started] };
}

async function refresh({ store }: CheckInDeps, tx: Tx, { message, known, now }: Occasion): Promise<Outcome> {
  if (message.type !== 'Authenticate') return NOTHING;
  return { effects: changed(await store.refreshHost(tx, device(known).ref, message.facts, now)) };
}

async function goLive(deps: CheckInDeps, tx: Tx, { message, known, now }: Occasion, first: boolean): Promise<Outcome> {
  if (message.type !== 'TokenUpdate') return NOTHING;
  const life = device(known);
  const { ref } = life;
  await deps.store.saveToken(tx, ref, message, now);
  if (message.unlockToken !== undefined) {
    const sealed = deps.sealer.seal(message.unlockToken, sealedColumn(life, 'unlock_token'));
    await deps.store.saveUnlockToken(tx, ref, sealed);
  }
  if (!first) return { effects: [{ kind: 'enrollment_live', enrollment: ref, first: false }] };
  const users = await deps.store.activateWaiting(tx, ref, now);
  return { effects: [ref, ...users].flatMap(live) };
}

async function userToken(
  { store }: CheckInDeps,
  tx: Tx,
  { message, known, now }: Occasion,
  act: Extract<Act, { kind: 'user_live' | 'user_wait' }>,
): Promise<Outcome> {
  if (message.type !== 'TokenUpdate') return NOTHING;
  const state = act.kind === 'user_live' ? 'enrolled' : 'waiting_for_device';
  const ref = await store.saveUserToken(tx, device(known).ref, message, state, now);
  if (act.kind === 'user_wait') return NOTHING;
  return { effects: act.first ? live(ref) : [{ kind: 'enrollment_live', enrollment: ref, first: false }] };
}
