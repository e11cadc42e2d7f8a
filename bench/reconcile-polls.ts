/** Device polls on PGlite while an edit for all of the 1,000 Macs is reconciled (design §5, §7). */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { clientFor } from '../cli/client.ts';
import { pushCertificateStore } from '../db/push-store.ts';
import { writePlistBytes } from '../plist/write.ts';
import { createPushCertificates, pushEndpoint } from '../server/push.ts';
import { pushCertificates } from '../simulator/push-certificate.ts';
import type { Bench } from './scenario.ts';
import { enrolDevices, makeDevices, makeKeys, pooled, signedPut } from './support/devices.ts';
import { each, endless, run } from './support/load.ts';
import { round } from './support/result.ts';
import { prepare, startServer } from './support/server.ts';
import type { WireAnswer } from './support/wire.ts';

const CONNECTIONS = 16;
const TEAM = 1;
const WARM_UP_MS = 2000;
/** The edit comes so long after the polls began that are measured. */
const EDIT_AFTER_MS = 500;
const POLLS_MS = 6000;

export async function pollsDuringAnEdit({ folder, quick, report, say }: Bench): Promise<void> {
  const count = quick ? 200 : 1000;
  const data = path.join(folder, 'reconcile-polls');
  say(`reconcile: preparing ${count} Macs on PGlite`);
  const { prepared, made } = await prepare(data, undefined, async ({ db, keys, clock, settings }) => {
    const devices = await makeDevices(count, await makeKeys(2), keys.identity('identity_ca'));
    await enrolDevices(db, devices, () => TEAM);
    const { push } = pushCertificates(undefined);
    await sql`update enrollment set topic = ${push.topic}`.execute(db.read);
    const certificates = createPushCertificates({
      store: pushCertificateStore(db),
      unitOfWork: db,
      vault: keys.vault('push'),
      clock,
      endpoint: pushEndpoint(settings),
      liveOnOtherTopic: async () => 0,
      queueFleet: async () => undefined,
    });
    await certificates.upload(push.certificate, push.key);
    await certificates.close();
    return pooled(count, (index) => {
      const device = devices[index];
      if (device === undefined) throw new Error('no device');
      return signedPut(device, { Status: 'Idle', UDID: device.udid });
    });
  });
  const server = await startServer(prepared);
  const client = clientFor(data);
  /** Macs that were handed something, and when the last of them was. */
  const served = new Set<number>();
  let allServedAt = 0;
  const hear = (index: number) => (answer: WireAnswer) => {
    if (answer.status !== 200) throw new Error(`a poll was answered ${answer.status}`);
    if (answer.body.length === 0 || served.size === count) return;
    served.add(index);
    if (served.size === count) allServedAt = performance.now();
  };
  const turns = made.map((request, index) => [{ request, check: hear(index) }]);
  const polls = (limitMs: number) =>
    run(
      { target: server.target, connections: CONNECTIONS, limitMs, next: each(endless(turns), (steps) => steps) },
      { serverPid: server.pid, databasePid: undefined },
    );
  try {
    await polls(WARM_UP_MS);
    report({ scenario: 'reconcile', name: 'PGlite: polls, nothing else going on', values: await polls(POLLS_MS) });
    const edit = sleep(EDIT_AFTER_MS).then(async () => {
      await client.upload('/profiles?team=Default', profile(), 'application/x-apple-aspen-config');
      return performance.now();
    });
    const values = await polls(POLLS_MS);
    const uploadedAt = await edit;
    if (served.size < count) throw new Error(`${served.size} of ${count} Macs were handed the edit`);
    report({
      scenario: 'reconcile',
      name: `PGlite: polls, an edit for all ${count} Macs meanwhile`,
      values: { ...values, handedToAllAfterMs: round(allServedAt - uploadedAt), goal: 'p99 ≤ 100 ms' },
    });
  } finally {
    await server.stop();
  }
}

function profile(): Buffer {
  const payload = {
    PayloadType: 'com.apple.dock',
    PayloadIdentifier: 'com.example.bench.dock',
    PayloadUUID: '6c8f1c2e-4f0e-4f2b-9d3e-0a3b6d1f7a10',
    PayloadVersion: 1,
    tilesize: 36,
  };
  return writePlistBytes({
    PayloadType: 'Configuration',
    PayloadIdentifier: 'com.example.bench',
    PayloadUUID: '0f9f3c1d-7a4c-4a53-8a50-5a1f0e6f4b21',
    PayloadVersion: 1,
    PayloadDisplayName: 'Bench',
    PayloadContent: [payload],
  });
}
