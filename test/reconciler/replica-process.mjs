// A server process without listeners, to be stopped and killed: it ticks when it is told to, at the time it is told.
// Compiled rooms, as they ship.
import { monotonicIds } from '../../dist/core/ids.js';
import { systemRandom } from '../../dist/core/system.js';
import { openDatabase } from '../../dist/db/database.js';
import { keyStore } from '../../dist/db/key-store.js';
import { createMetrics } from '../../dist/http/metrics.js';
import { parseKek } from '../../dist/keys/kek.js';
import { openKeyRing } from '../../dist/keys/key-ring.js';
import { withCommitHooks } from '../../dist/server/after-commit.js';
import { createLog } from '../../dist/server/log.js';
import { createRooms } from '../../dist/server/rooms.js';
import { readSettings } from '../../dist/server/settings.js';

const settings = readSettings(process.env, { demo: true });
let now = new Date();
const clock = { now: () => now };
const db = await openDatabase({
  databaseUrl: `${process.env.REPLICA_DATABASE_URL}&application_name=replica`,
  poolSize: 4,
});
const keys = await openKeyRing({
  store: keyStore(db),
  kek: parseKek(settings.KEK, 'ESPALIER_KEK'),
  clock,
  random: systemRandom,
  organization: 'Test',
});
const rooms = createRooms(
  {
    settings,
    clock,
    random: systemRandom,
    ids: monotonicIds(clock, systemRandom),
    log: createLog('silent'),
    db,
    unitOfWork: withCommitHooks(db),
    keys,
    tls: { cert: '', key: '' },
    adminTokenHash: Buffer.alloc(32),
  },
  createMetrics(),
);
await rooms.pusher.stop();

process.on('message', async ({ at }) => {
  now = new Date(at);
  try {
    process.send({ ticked: await rooms.reconciler.tick() });
  } catch (error) {
    process.send({ failed: error.message });
  }
});
process.on('disconnect', () => process.exit());
process.send({ ready: true });
