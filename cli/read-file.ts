import { readFileSync } from 'node:fs';
import { Failure } from './failure.ts';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'a part of the path is not a folder',
  EISDIR: 'it is a folder',
  EACCES: 'it may not be read',
  EPERM: 'it may not be read',
};

/** The bytes of a file that somebody named. Errors: Failure, saying which file and why not. */
export function readNamedFile(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    const { code = '', message } = cause as NodeJS.ErrnoException;
    throw new Failure(`cannot read ${file}: ${REASONS[code] ?? message}`);
  }
}
