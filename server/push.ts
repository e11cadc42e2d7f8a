import { readFileSync } from 'node:fs';
import { createPushClient, type PushEndpoint } from '../apns/client.ts';
import type { PushCertificate, PushCertificateStore, PushClient } from '../apns/ports.ts';
import { readPushCertificate } from '../apns/push-certificate.ts';
import type { Clock } from '../core/clock.ts';
import { EspalierError } from '../core/errors.ts';
import { Secret } from '../core/secret.ts';
import type { Tx, UnitOfWork } from '../core/tx.ts';
import type { AssociatedData, Opener, Sealer } from '../keys/types.ts';
import type { Settings } from './settings.ts';

export interface PushCertificatesDeps {
  readonly store: PushCertificateStore;
  readonly unitOfWork: UnitOfWork;
  readonly vault: Sealer & Opener;
  readonly clock: Clock;
  readonly endpoint: PushEndpoint;
  /** Enrolments that live on another topic than the given one; they would be orphaned by it. */
  readonly liveOnOtherTopic: (topic: string) => Promise<number>;
  /** What waited for a valid certificate is planned again, all of the fleet. */
  readonly queueFleet: (tx: Tx) => Promise<void>;
}

export interface PushCertificates {
  /** Reads what is stored; another replica may have changed it. */
  reload(): Promise<void>;
  /** Check, seal, store, use. Errors: push_certificate_invalid, conflict. */
  upload(certificatePem: string, keyPem: string): Promise<{ topic: string; notAfter: Date }>;
  /** The topic new Macs enrol with: the newest certificate's that has not expired. */
  currentTopic(): string | undefined;
  list(): readonly { topic: string; notAfter: Date }[];
  clientFor(topic: string): PushClient | undefined;
  close(): Promise<void>;
}

export function pushEndpoint(settings: Settings): PushEndpoint {
  const ca = settings.APNS_CA_FILE === undefined ? undefined : readFileSync(settings.APNS_CA_FILE, 'utf8');
  return { url: settings.APNS_URL, ca };
}

/** Push certificates in use, one HTTP/2 session each, replaced without a restart. */
export function createPushCertificates(deps: PushCertificatesDeps): PushCertificates {
  let inUse = new Map<string, { certificate: PushCertificate; client: PushClient }>();

  async function reload(): Promise<void> {
    const next = new Map<string, { certificate: PushCertificate; client: PushClient }>();
    const replaced = new Set(inUse.values());
    for (const row of await deps.store.list()) {
      const kept = inUse.get(row.topic);
      if (kept?.certificate.certificate.equals(row.certificate)) {
        next.set(row.topic, kept);
        replaced.delete(kept);
        continue;
      }
      const privateKey = new Secret(deps.vault.open(row.sealedKey, associated(row.topic)).reveal().toString('utf8'));
      const certificate = { topic: row.topic, certificate: row.certificate, privateKey, notAfter: row.notAfter };
      next.set(row.topic, { certificate, client: createPushClient(certificate, deps.endpoint) });
    }
    inUse = next;
    await Promise.all([...replaced].map(({ client }) => client.close()));
  }

  return {
    reload,
    async upload(certificatePem, keyPem) {
      const certificate = readPushCertificate(certificatePem, keyPem, deps.clock.now());
      const orphans = await deps.liveOnOtherTopic(certificate.topic);
      if (orphans > 0) {
        throw new EspalierError(
          'conflict',
          `${orphans} enrolled Macs have another topic than ${certificate.topic} and could no longer be woken`,
          {
            fix: 'Renew the present certificate with the Apple Account that made it; "create" in place of "renew" gives a new topic.',
          },
        );
      }
      const sealed = deps.vault.seal(Buffer.from(certificate.privateKey.reveal()), associated(certificate.topic));
      await deps.unitOfWork.run(async (tx) => {
        await deps.store.save(tx, certificate, sealed, deps.clock.now());
        await deps.queueFleet(tx);
      });
      await reload();
      return { topic: certificate.topic, notAfter: certificate.notAfter };
    },
    currentTopic() {
      const now = deps.clock.now();
      const usable = [...inUse.values()].filter(({ certificate }) => certificate.notAfter > now);
      return usable.at(-1)?.certificate.topic;
    },
    list: () => [...inUse.values()].map(({ certificate: { topic, notAfter } }) => ({ topic, notAfter })),
    clientFor: (topic) => inUse.get(topic)?.client,
    async close() {
      await Promise.all([...inUse.values()].map(({ client }) => client.close()));
    },
  };
}

function associated(topic: string): AssociatedData {
  return { table: 'push_certificate', row: topic, kind: 'sealed_key', version: 1 };
}
