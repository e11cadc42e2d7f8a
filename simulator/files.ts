import { renameSync, writeFileSync } from 'node:fs';

/** Either the old content or the new one, whenever the process is killed. Not a promise about power. */
export function writeAtomically(path: string, content: string, mode = 0o644): void {
  const temporary = `${path}.${process.pid}.new`;
  writeFileSync(temporary, content, { mode });
  renameSync(temporary, path);
}
