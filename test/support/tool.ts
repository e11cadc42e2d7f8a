import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where a program of the system is, or undefined. In CI its absence is a failure: a judge that never sits passes all. */
export function toolPath(name: string): string | undefined {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not in this folder
    }
  }
  if (process.env['CI']) throw new Error(`${name} is not installed, and CI does not skip`);
  console.warn(`skipped: ${name} is not installed`);
  return undefined;
}
