/** The SCEP room in this process, its rows in memory: what messages, keys and certificates cost without HTTP and database. */
import { createHash, randomBytes } from 'node:crypto';
import { systemClock, systemRandom } from '../core/system.ts';
import { generatePrivateKey, makeCertificate } from '../keys/certificates.ts';
import { TEMPLATES } from '../keys/purposes.ts';
import type { SigningIdentity } from '../keys/types.ts';
import type { CertificateStore } from '../scep/ports.ts';
import { createScepService } from '../scep/service.ts';
import { createCertificateSigner } from '../scep/signer.ts';
import type { Part } from './support/part.ts';
import { peakMemoryOf } from './support/process.ts';
import { mebibytes, quantile, round } from './support/result.ts';
import { pkcsReqs, requireSuccess } from './support/scep-requests.ts';

const WARM_UP = 100;
const AT_ONCE = 4;
const HOUR_MS = 3_600_000;

export const scepCodec: Part = async ({ label, count }, { tell }) => {
  const ca = await identity('identity_ca', undefined);
  const ra = await identity('scep_ra', ca);
  const challenges = Array.from({ length: count + WARM_UP }, () => randomBytes(32).toString('base64url'));
  const requests = await pkcsReqs(ra.certificate, challenges);
  const nothing = (): void => undefined;
  const service = createScepService({
    store: inMemory(challenges),
    signer: createCertificateSigner(ca),
    ra,
    organization: 'Bench',
    clock: systemClock,
    random: systemRandom,
    log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
  });
  const latencies: number[] = [];
  async function enrol(bodies: readonly Buffer[]): Promise<void> {
    let next = 0;
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (let body = bodies[next++]; body !== undefined; body = bodies[next++]) {
          const from = performance.now();
          const answer = await service.handle({
            method: 'POST',
            operation: 'PKIOperation',
            message: undefined,
            body,
            peer: '',
          });
          latencies.push(performance.now() - from);
          requireSuccess(answer.body);
        }
      }),
    );
  }
  await enrol(requests.slice(0, WARM_UP));
  latencies.length = 0;
  const before = { cpu: process.cpuUsage(), at: performance.now() };
  await enrol(requests.slice(WARM_UP));
  const { user, system } = process.cpuUsage(before.cpu);
  const seconds = (performance.now() - before.at) / 1000;
  latencies.sort((one, other) => one - other);
  const values = {
    requests: count,
    requestsPerSecond: round(count / seconds),
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    serverCpuUs: round((user + system) / count),
    perServerCpuSecond: round((count * 1e6) / (user + system)),
    serverPeakMiB: mebibytes(peakMemoryOf(process.pid)),
  };
  tell({ kind: 'result', result: { scenario: 'scep', name: label, values } });
};

async function identity(
  purpose: 'identity_ca' | 'scep_ra',
  issuer: SigningIdentity | undefined,
): Promise<SigningIdentity> {
  const key = await generatePrivateKey('rsa');
  const certificate = makeCertificate({
    template: TEMPLATES[purpose],
    organization: 'Bench',
    key,
    issuer,
    now: new Date(),
    random: systemRandom,
  });
  return { certificate, chain: issuer === undefined ? [] : [issuer.certificate], key };
}

/** What PostgreSQL does for the room, on maps. */
function inMemory(challenges: readonly string[]): CertificateStore {
  const expiresAt = new Date(Date.now() + HOUR_MS);
  const open = new Map(
    challenges.map((challenge) => {
      const digest = createHash('sha256').update(challenge).digest();
      return [
        digest.toString('hex'),
        { id: digest.toString('hex').slice(0, 36), consumedAt: undefined as Date | undefined },
      ];
    }),
  );
  const byId = new Map([...open.values()].map((row) => [row.id, row]));
  return {
    async findChallenge(hash) {
      const row = open.get(hash.toString('hex'));
      if (row === undefined) return undefined;
      const challenge = { ...row, link: undefined, renews: undefined, serialNumber: undefined, expiresAt };
      return { challenge, certificate: undefined };
    },
    findIdentity: async () => undefined,
    async intend(intent) {
      const row = byId.get(intent.challengeId);
      if (row === undefined || row.consumedAt !== undefined) return false;
      row.consumedAt = intent.intendedAt;
      return true;
    },
    complete: async (_serial, { der }) => der,
  };
}
