/** The numbered SQL files, and one hash over them. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
  readonly sha256: string;
}

const FILE = /^(\d{3})_([a-z0-9_]+)\.sql$/;
const FOLDER = new URL('./migrations/', import.meta.url);

/** The migrations this version knows, in order. */
export function knownMigrations(folder: URL = FOLDER): Migration[] {
  return readdirSync(folder)
    .sort()
    .flatMap((file) => {
      const match = FILE.exec(file);
      if (match === null) return [];
      const text = readFileSync(new URL(file, folder), 'utf8');
      const sha256 = createHash('sha256').update(text).digest('hex');
      return [{ number: Number(match[1]), name: match[2] as string, sql: text, sha256 }];
    });
}

/** Two stores with the same value have the same tables. */
export function schemaHash(migrations: readonly Migration[] = knownMigrations()): string {
  const hash = createHash('sha256');
  for (const { number, name, sha256 } of migrations) hash.update(`${number} ${name} ${sha256}\n`);
  return hash.digest('hex');
}

/** The folder name of the template of this schema. */
export function templateName(): string {
  return `template-${schemaHash().slice(0, 16)}`;
}
