import { buildDegenerate } from '../cms/signed-data.ts';
import { parseCertificate } from '../cms/x509.ts';
import { EspalierError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { SigningIdentity } from '../keys/types.ts';
import { CA_CAPS } from './ca-caps.ts';
import { buildCertRep, type CertRepResult } from './cert-rep.ts';
import { createFailureLimit } from './failure-limit.ts';
import { createIssuer, type IssuerDeps } from './issue.ts';
import { openRequest, type PkiMessage, readPkiMessage } from './message.ts';
import type { Refusal } from './types.ts';

export interface ScepServiceDeps extends IssuerDeps {
  /** Opens requests and signs answers; RSA, and not the CA's key (SCE-04, design §6). */
  readonly ra: SigningIdentity;
  readonly log: Log;
}

export interface ScepRequest {
  readonly method: string;
  /** Query parameters, percent-decoded once; undefined when absent. */
  readonly operation: string | undefined;
  readonly message: string | undefined;
  readonly body: Buffer;
  /** The address failures are counted under. */
  readonly peer: string;
}

export interface ScepResponse {
  readonly status: 200;
  readonly contentType: string;
  readonly body: Buffer;
}

export interface ScepService {
  /** @throws EspalierError where no CertRep can be made: unknown operation, unreadable message. */
  handle(request: ScepRequest): Promise<ScepResponse>;
}

export function createScepService(deps: ScepServiceDeps): ScepService {
  const issuer = createIssuer(deps);
  const failures = createFailureLimit(deps.clock);
  const ra = { certificate: parseCertificate(deps.ra.certificate), key: deps.ra.key };
  const responder = { certificateDer: deps.ra.certificate, key: deps.ra.key, random: deps.random };
  // SCE-16: some clients encrypt to the first certificate, whatever it is for.
  const caCertificates = buildDegenerate([deps.ra.certificate, deps.signer.certificate.der]);

  async function resultOf(message: PkiMessage, peer: string): Promise<CertRepResult> {
    const refused = (refusal: Refusal & { readonly challengeId?: string | undefined }): CertRepResult => {
      failures.failed(peer);
      deps.log.warn({ transactionId: message.transactionId, peer, ...refusal }, 'SCEP request refused');
      return { status: 'failure', failInfo: refusal.failInfo };
    };
    const opened = openRequest(message, ra);
    if ('reason' in opened) return refused(opened);
    const outcome = await issuer.issue(message, opened.csr);
    if (outcome.kind === 'refused') {
      const { challengeId, failInfo, reason } = outcome;
      return refused({ challengeId, failInfo, reason });
    }
    const { challengeId, serial } = outcome;
    deps.log.info({ challengeId, serial: serial.toString('hex') }, `device certificate ${outcome.kind}`);
    return { status: 'success', certificate: outcome.certificate, cipher: opened.cipher };
  }

  async function pkiOperation(request: ScepRequest): Promise<ScepResponse> {
    const message = readPkiMessage(request.method === 'GET' ? messageOfQuery(request.message ?? '') : request.body);
    // Before the expensive part. Not a CertRep: a failure would end an innocent neighbour's enrolment, 503 delays it.
    if (failures.isExhausted(request.peer)) {
      throw new EspalierError(
        'service_unavailable',
        'too many SCEP requests from this address have failed; try again later',
      );
    }
    const result = await resultOf(message, request.peer);
    return ok('application/x-pki-message', await buildCertRep(message, result, responder));
  }

  return {
    async handle(request) {
      if (request.method !== 'GET' && request.method !== 'POST') {
        throw new EspalierError('method_not_allowed', 'SCEP uses GET and POST');
      }
      switch (request.operation) {
        case 'GetCACaps':
          return ok('text/plain', CA_CAPS);
        case 'GetCACert':
          return ok('application/x-x509-ca-ra-cert', caCertificates);
        case 'PKIOperation':
          return pkiOperation(request);
        default:
          throw new EspalierError('scep_operation_unknown', 'operation is not GetCACaps, GetCACert or PKIOperation');
      }
    },
  };
}

function ok(contentType: string, body: Buffer): ScepResponse {
  return { status: 200, contentType, body };
}

/** SCE-02: `+` arrives raw (read as a space by query parsers), encoded once or twice; the URL-safe alphabet is met too. */
function messageOfQuery(message: string): Buffer {
  const base64 = message
    .replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replace(/ /g, '+')
    .replace(/-/g, '+')
    .replace(/_/g, '/');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64))
    throw new EspalierError('scep_message_malformed', 'message is not base64');
  return Buffer.from(base64, 'base64');
}
