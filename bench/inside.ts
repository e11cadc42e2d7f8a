import { drainer } from './reconcile-drainer.ts';
import { million } from './reconcile-million.ts';
import { reconcilePart } from './reconcile-part.ts';
import { sizes } from './reconcile-sizes.ts';
import { scepCodec } from './scep-codec.ts';
import { type Part, runPart } from './support/part.ts';

const PARTS: Readonly<Record<string, Part>> = {
  'scep-codec': scepCodec,
  reconcile: reconcilePart,
  million,
  sizes,
  drainer,
};

/** `--inside <part>`: how the bench starts itself again. */
export async function inside(name: string): Promise<void> {
  const part = PARTS[name];
  if (part === undefined) throw new Error(`no part ${name}`);
  await runPart(part);
}
