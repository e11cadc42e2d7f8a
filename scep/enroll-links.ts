import type { Clock, Ids, Random } from '../core/clock.ts';
import { EspalierError } from '../core/errors.ts';
import type { Secret } from '../core/secret.ts';
import type { Tx, UnitOfWork } from '../core/tx.ts';
import { hashOfChallenge, newChallenge } from './challenge.ts';
import { hashOfEnrollCode, newEnrollCode } from './enroll-code.ts';
import type { EnrollLinkStore } from './ports.ts';

const HOUR_MS = 3_600_000;
/** From fetching the profile to the PKIOperation; System Settings itself drops a profile not installed in 8 minutes. */
const CHALLENGE_TTL_MS = HOUR_MS;
/** Challenges a link may have out beyond its uses: profiles fetched twice, or by a mail scanner first (H-27). */
const SPARE_CHALLENGES = 20;
/** How long an expired challenge still tells the log why it was refused. */
const KEEP_EXPIRED_MS = 7 * 24 * HOUR_MS;

export interface EnrollLinkOptions {
  /** Only for this Mac: becomes the CN of its certificate. */
  readonly serialNumber?: string;
  readonly uses: number;
  readonly ttlSeconds: number;
  readonly teamId: number;
}

export interface MintedChallenge {
  readonly challenge: Secret<string>;
  readonly challengeId: string;
  readonly serialNumber: string | undefined;
  readonly teamId: number;
}

export interface EnrollLinks {
  /** The code is shown this once; only its hash is stored. */
  create(options: EnrollLinkOptions, tx?: Tx): Promise<{ id: string; code: string; expiresAt: Date }>;
  /**
   * A one-time challenge for one enrolment profile. `frozen`: the profile's keys that may never change (ENR-05).
   * @throws enroll_code_invalid: no such code; enroll_code_exhausted: expired, used up, or too many challenges out.
   */
  mintChallenge(code: string, frozen: unknown): Promise<MintedChallenge>;
  /** Delete challenges that expired unspent a week ago or more; answers how many. */
  sweep(): Promise<number>;
}

export interface EnrollLinkDeps {
  readonly store: EnrollLinkStore;
  readonly unitOfWork: UnitOfWork;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
}

export function createEnrollLinks(deps: EnrollLinkDeps): EnrollLinks {
  const { store, unitOfWork, clock, random, ids } = deps;
  return {
    async create(options, tx) {
      checkOptions(options);
      const now = clock.now();
      const code = newEnrollCode(random);
      const link = {
        id: ids.uuid(),
        codeHash: hashOfEnrollCode(code),
        serialNumber: options.serialNumber,
        teamId: options.teamId,
        usesAllowed: options.uses,
        expiresAt: new Date(now.getTime() + options.ttlSeconds * 1000),
        createdAt: now,
      };
      if (tx === undefined) await unitOfWork.run((own) => store.insertLink(own, link));
      else await store.insertLink(tx, link);
      return { id: link.id, code, expiresAt: link.expiresAt };
    },

    async mintChallenge(code, frozen) {
      const now = clock.now();
      const challenge = newChallenge(random);
      const challengeId = ids.uuid();
      return unitOfWork.run(async (tx) => {
        const link = await store.findLink(tx, hashOfEnrollCode(code));
        if (link === undefined)
          throw new EspalierError('enroll_code_invalid', 'there is no enrolment link with this code');
        if (link.expiresAt <= now) throw exhausted('the enrolment link has expired');
        if (link.uses >= link.usesAllowed) throw exhausted('the enrolment link has been used up');
        if (!(await store.takePlace(tx, link.id, SPARE_CHALLENGES, now))) {
          throw exhausted('the enrolment link has been fetched too often without an enrolment');
        }
        const { serialNumber, teamId } = link;
        await store.insertChallenge(tx, {
          id: challengeId,
          hash: hashOfChallenge(challenge.reveal()),
          linkId: link.id,
          serialNumber,
          teamId,
          frozen,
          expiresAt: new Date(now.getTime() + CHALLENGE_TTL_MS),
          createdAt: now,
        });
        return { challenge, challengeId, serialNumber, teamId };
      });
    },

    sweep() {
      return unitOfWork.run((tx) => store.deleteExpired(tx, new Date(clock.now().getTime() - KEEP_EXPIRED_MS)));
    },
  };
}

/** PostgreSQL's int; and ub-common-name of RFC 5280 for the serial number, which becomes a CN. */
function checkOptions({ serialNumber, uses, ttlSeconds }: EnrollLinkOptions): void {
  const isCount = (value: number): boolean => Number.isInteger(value) && value > 0 && value <= 0x7fffffff;
  if (!isCount(uses)) throw new EspalierError('request_malformed', 'uses is not a whole number above 0');
  if (!isCount(ttlSeconds)) throw new EspalierError('request_malformed', 'ttlSeconds is not a whole number above 0');
  if (serialNumber !== undefined && !/^[\x21-\x7e]{1,64}$/.test(serialNumber)) {
    throw new EspalierError('request_malformed', 'serialNumber is not 1 to 64 printable characters');
  }
}

function exhausted(detail: string): EspalierError {
  return new EspalierError('enroll_code_exhausted', detail, { fix: 'Ask for a new enrolment link.' });
}
