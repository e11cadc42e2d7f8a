import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { freePort } from './child.ts';

/** What a second start must find again: the ports stand in every Mac's enrolment profile. */
const State = z.object({
  ports: z.object({ devices: z.number(), admin: z.number(), apns: z.number() }),
  macs: z.number(),
  fleetSeed: z.string(),
  enrollSecret: z.string().optional(),
  /** The story has been told: what it changed is how things are. */
  told: z.boolean().default(false),
});
export type DemoState = z.output<typeof State>;

/** The folder's state, made at its first start. A folder keeps the number of Macs it was made with. */
export async function openDemoFolder(folder: string, macs: number): Promise<{ state: DemoState; isNew: boolean }> {
  const file = path.join(folder, 'demo.json');
  if (existsSync(file)) return { state: State.parse(JSON.parse(readFileSync(file, 'utf8'))), isNew: false };
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const ports = { devices: await freePort(), admin: await freePort(), apns: await freePort() };
  const state = { ports, macs, fleetSeed: 'espalier', told: false };
  saveDemoState(folder, state);
  return { state, isNew: true };
}

export function saveDemoState(folder: string, state: DemoState): void {
  const file = path.join(folder, 'demo.json');
  writeFileSync(`${file}.new`, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
