/** Gives every test process one run folder, and takes away what they left in it. */
import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { removeCluster } from './postgres-cluster.ts';

export const RUN_FOLDER = 'ESPALIER_TEST_RUN_FOLDER';

export default function setup(): () => void {
  const folder = mkdtempSync(path.join(tmpdir(), 'espalier-run-'));
  // The cluster's own user must be able to pass through.
  chmodSync(folder, 0o711);
  process.env[RUN_FOLDER] = folder;
  return () => removeCluster(folder);
}
