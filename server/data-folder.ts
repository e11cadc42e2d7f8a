import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Random } from '../core/clock.ts';
import { EspalierError } from '../core/errors.ts';
import { TOKEN_PREFIX, tokenHash } from '../http/token.ts';

/** Written in one step: a reader sees the old file or the new one, never half of it. */
export function writeAtomically(file: string, text: string, mode: number): void {
  const aside = `${file}.new`;
  writeFileSync(aside, text, { mode });
  renameSync(aside, file);
}

export interface TokenStore {
  setOnce(name: string, value: unknown): Promise<unknown>;
}

const FACT = 'admin_token_sha256';

/**
 * The admin token: made at the very first start, kept in `admin.token` (mode 0600), known to the database by its hash.
 * A replica that finds the hash taken needs the file copied to it. Errors: settings_invalid.
 */
export async function ensureAdminToken(dataFolder: string, store: TokenStore, random: Random): Promise<Buffer> {
  mkdirSync(dataFolder, { recursive: true, mode: 0o700 });
  const file = path.join(dataFolder, 'admin.token');
  const present = existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
  const token = present ?? TOKEN_PREFIX + random.bytes(32).toString('base64url');
  const hash = tokenHash(token).toString('hex');
  // The file first: a crash in between leaves a token that the next start makes good, not a hash nobody can meet.
  if (present === undefined) writeAtomically(file, `${token}\n`, 0o600);
  const held = await store.setOnce(FACT, hash);
  if (held !== hash) {
    throw new EspalierError('settings_invalid', `${file} is not the admin token of this database`, {
      fix: 'Copy admin.token from the data folder of the first replica.',
    });
  }
  return Buffer.from(hash, 'hex');
}

export interface Endpoint {
  readonly adminUrl: string;
  readonly publicUrl: string;
  /** PEM roots that the public listener's certificate needs, where they are not public ones. */
  readonly tlsRoots: readonly string[];
}

/** Where the CLI finds a running server. */
export function writeEndpoint(dataFolder: string, endpoint: Endpoint): void {
  writeAtomically(path.join(dataFolder, 'endpoint.json'), `${JSON.stringify(endpoint, null, 2)}\n`, 0o600);
}
