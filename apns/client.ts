import apn from 'apn';
import { derToPem } from '../cms/pem.ts';
import type { PushCertificate, PushClient } from './ports.ts';
import type { PushAnswer } from './types.ts';

/** Seconds Apple keeps a push for a sleeping Mac; it keeps only the newest per device and topic (apple-protocol §7.1). */
const EXPIRY_SECONDS = 7 * 86_400;
const REQUEST_TIMEOUT_MS = 10_000;
const CLOSE_WITHIN_MS = 1000;

export interface PushEndpoint {
  readonly url: string;
  /** PEM of the roots to trust instead of the system's, for a stand-in of Apple's service. */
  readonly ca: string | undefined;
}

/**
 * APNs through @parse/node-apn, one provider (one HTTP/2 session) per certificate. Its retries are switched off: it
 * never sees Retry-After and repeats a 429 within milliseconds (dependencies.md §2), so classify.ts decides instead.
 */
export function createPushClient(certificate: PushCertificate, endpoint: PushEndpoint): PushClient {
  try {
    return clientOver(providerFor(certificate, endpoint));
  } catch (cause) {
    // An expired certificate, above all: pushes fail until it is renewed, and everything else goes on.
    const message = `the push certificate cannot be used: ${(cause as Error).message}`;
    return { send: async () => ({ kind: 'transport_error', message }), close: async () => undefined };
  }
}

function providerFor(certificate: PushCertificate, endpoint: PushEndpoint): apn.Provider {
  const { hostname, port } = new URL(endpoint.url);
  return new apn.Provider({
    cert: derToPem(certificate.certificate, 'CERTIFICATE'),
    key: certificate.privateKey.reveal(),
    ...(endpoint.ca === undefined ? {} : { ca: [endpoint.ca] }),
    address: hostname,
    port: port === '' ? 443 : Number(port),
    production: true,
    connectionRetryLimit: 0,
    requestTimeout: REQUEST_TIMEOUT_MS,
  });
}

function clientOver(provider: apn.Provider): PushClient {
  return {
    async send(push) {
      const note = new apn.Notification();
      note.topic = push.topic;
      note.pushType = 'mdm';
      note.priority = 10;
      note.expiry = Math.floor(Date.now() / 1000) + EXPIRY_SECONDS;
      // Exactly {"mdm": PushMagic} and no aps key (PSH-02).
      note.rawPayload = { mdm: push.magic };
      try {
        const { failed } = await provider.send(note, push.token.toString('hex'));
        const failure = failed[0];
        return failure === undefined ? { kind: 'answered', status: 200, reason: '' } : answerOf(failure);
      } catch (cause) {
        return { kind: 'transport_error', message: (cause as Error).message };
      }
    },
    // A session that never connected never says that it is closed.
    close: () =>
      new Promise((resolve) => {
        const limit = setTimeout(resolve, CLOSE_WITHIN_MS);
        provider.shutdown(() => {
          clearTimeout(limit);
          resolve();
        });
      }),
  };
}

/** An answer without a body reaches us as text only; the status is what it is judged by (PSH-09). */
const WITHOUT_BODY = /ended unexpectedly with status (\d{3}) and empty body/;

function answerOf(failure: apn.ResponseFailure): PushAnswer {
  const message = failure.error?.message ?? 'no answer';
  const status = Number(failure.status ?? WITHOUT_BODY.exec(message)?.[1]);
  if (!Number.isInteger(status)) return { kind: 'transport_error', message };
  const timestamp = Number(failure.response?.timestamp);
  return {
    kind: 'answered',
    status,
    reason: failure.response?.reason ?? '',
    ...(Number.isFinite(timestamp) ? { timestamp } : {}),
  };
}
