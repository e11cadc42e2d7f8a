import { createHash } from 'node:crypto';
import type { CertificationRequest } from '../cms/pkcs10.ts';
import type { Clock, Random } from '../core/clock.ts';
import { EspalierError } from '../core/errors.ts';
import { type Authorised, authorise, type CertificateRequest, type Evidence } from './authorise.ts';
import { hashOfChallenge } from './challenge.ts';
import type { PkiMessage } from './message.ts';
import type { CertificateStore } from './ports.ts';
import type { CertificateSigner } from './signer.ts';
import { certificateIntent, SERIAL_RANDOM_OCTETS } from './template.ts';
import type { Refusal } from './types.ts';

/** Each turn after the first means that somebody else spent what we had read as unspent; then the answer changes. */
const MAX_TURNS = 3;

export interface IssuerDeps {
  readonly store: CertificateStore;
  readonly signer: CertificateSigner;
  readonly organization: string;
  readonly clock: Clock;
  readonly random: Random;
}

export type IssueOutcome =
  | {
      readonly kind: 'issued' | 'replayed';
      readonly certificate: Buffer;
      readonly serial: Buffer;
      readonly challengeId: string;
    }
  | ({ readonly kind: 'refused'; readonly challengeId: string | undefined } & Refusal);

export interface Issuer {
  issue(message: PkiMessage, csr: CertificationRequest): Promise<IssueOutcome>;
}

/**
 * Boulder's order: decide, write down what will be signed and spend the challenge in one commit, sign, store, answer.
 * A crash in between leaves an intent that the device's own retry completes with the same TBS (S5).
 */
export function createIssuer(deps: IssuerDeps): Issuer {
  const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();

  async function evidenceFor(request: CertificateRequest, message: PkiMessage, challenge: string): Promise<Evidence> {
    const found = challenge === '' ? undefined : await deps.store.findChallenge(hashOfChallenge(challenge));
    const isForeignKey = found !== undefined && !request.signedByRequestKey;
    const signer = isForeignKey ? await deps.store.findIdentity(Buffer.from(message.signer.sha256, 'hex')) : undefined;
    return { challenge: found?.challenge, certificate: found?.certificate, signer };
  }

  async function complete(authorised: Authorised, intent: { serial: Buffer; tbs: Buffer }): Promise<Buffer> {
    const der = await deps.signer.sign(authorised, intent.tbs);
    return deps.store.complete(intent.serial, { der, sha256: sha256(der), issuedAt: deps.clock.now() });
  }

  return {
    async issue(message, csr) {
      const request = requestOf(message, csr, sha256(csr.spkiDer));
      for (let turn = 0; turn < MAX_TURNS; turn++) {
        const evidence = await evidenceFor(request, message, csr.challengePassword ?? '');
        const decision = authorise(request, evidence, deps.clock.now());
        const challengeId = evidence.challenge?.id;
        if (decision.kind === 'refuse') {
          return { kind: 'refused', challengeId, failInfo: decision.failInfo, reason: decision.reason };
        }
        const { authorised } = decision;
        if (decision.kind === 'replay') {
          const certificate = decision.certificate.der ?? (await complete(authorised, decision.certificate));
          const { serial } = decision.certificate;
          return { kind: 'replayed', certificate, serial, challengeId: authorised.challenge.id };
        }
        const intent = certificateIntent(authorised, {
          now: deps.clock.now(),
          serialRandom: deps.random.bytes(SERIAL_RANDOM_OCTETS),
          issuer: deps.signer.certificate,
          signatureAlgorithm: deps.signer.algorithm,
          organization: deps.organization,
        });
        // False: another request was faster, and what was read is no longer so.
        if (await deps.store.intend(intent)) {
          const certificate = await complete(authorised, intent);
          return { kind: 'issued', certificate, serial: intent.serial, challengeId: authorised.challenge.id };
        }
      }
      throw new EspalierError('service_unavailable', 'too many requests for one challenge at once');
    },
  };
}

function requestOf(message: PkiMessage, csr: CertificationRequest, publicKeySha256: Buffer): CertificateRequest {
  const key = csr.publicKey();
  return {
    messageType: message.messageType,
    transactionId: message.transactionId,
    publicKey: { kind: key.asymmetricKeyType, bits: key.asymmetricKeyDetails?.modulusLength ?? 0 },
    spkiDer: csr.spkiDer,
    publicKeySha256,
    // Two encodings of one key are one key.
    signedByRequestKey: message.signer.spkiDer.equals(csr.spkiDer) || message.signer.publicKey().equals(key),
  };
}
