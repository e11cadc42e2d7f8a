import { drainer } from './reconcile-drainer.ts';
import { reconcilePart } from './reconcile-part.ts';
import { scepCodec } from './scep-codec.ts';
import { type Part, runPart } from './support/part.ts';

const PARTS: Readonly<Record<string, Part>> = { 'scep-codec': scepCodec, reconcile: reconcilePart, drainer };

/** `--inside <part>`: how the bench starts itself again. */
export async function inside(name: string): Promise<void> {
  const part = PARTS[name];
  if (part === undefined) throw new Error(`no part ${name}`);
  await runPart(part);
}
