import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { EspalierError } from '../core/errors.ts';

const PREFIX = 'ESPALIER_';
const NO_CERTIFICATE = 'ESPALIER_TLS_CERT and ESPALIER_TLS_KEY are not set';

const listen = z
  .string()
  .regex(/^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$/, 'must be host:port, for instance 0.0.0.0:8443')
  .transform((text) => {
    const cut = text.lastIndexOf(':');
    return { host: text.slice(0, cut).replace(/^\[|\]$/g, ''), port: Number(text.slice(cut + 1)) };
  })
  .refine(({ port }) => port <= 65_535, 'the port must be at most 65535');

/** A variable that is set to nothing is a mistake, not a choice: an empty DATA would be the working directory. */
const text = z.string().min(1, 'is empty');

const milliseconds = (least: number) => z.coerce.number().int().min(least);

/** Absence means the safe choice; a name not listed here is refused, so that a typing error cannot pass as a default. */
const Shape = z.strictObject({
  PUBLIC_URL: z
    .url()
    .refine((url) => url.startsWith('https://'), 'must begin with https://: a Mac refuses to enrol over http')
    .refine((url) => /^[^/]*\/\/[^/?#@]+\/?$/.test(url), 'must have no user, path, query or fragment')
    .transform((url) => url.replace(/\/$/, '')),
  LISTEN: listen.default({ host: '0.0.0.0', port: 8443 }),
  ADMIN_LISTEN: listen.default({ host: '127.0.0.1', port: 8480 }),
  TLS_CERT: text.optional(),
  TLS_KEY: text.optional(),
  IDENTITY: z.enum(['signature']).default('signature'),
  DATA: text.default('espalier-data'),
  DATABASE_URL: text.optional(),
  KEK: text.optional(),
  KEK_FILE: text.optional(),
  ORGANIZATION: z.string().min(1).max(64).default('Espalier'),
  APNS_URL: z.url().default('https://api.push.apple.com:443'),
  APNS_CA_FILE: text.optional(),
  RECONCILE_INTERVAL_MS: milliseconds(200).default(30_000),
  VERIFY_GRACE_MS: milliseconds(0).default(120_000),
  PROFILE_LIST_DELAY_MS: milliseconds(0).default(120_000),
  NO_OBSERVER_AFTER_MS: milliseconds(1000).default(86_400_000),
  OSQUERY_INTERVAL_MS: milliseconds(500).default(60_000),
  LABEL_INTERVAL_MS: milliseconds(1000).default(3_600_000),
  LABEL_CONFIRM_NO: z.coerce.number().int().min(1).max(10).default(2),
  LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
});

export type Settings = z.output<typeof Shape> & { readonly demo: boolean };

/**
 * Settings from the environment over those of a file (`ESPALIER_CONFIG`, JSON, the same names without the prefix).
 * Every fault is reported at once, each naming its variable. Errors: settings_invalid.
 */
export function readSettings(environment: NodeJS.ProcessEnv, options: { demo?: boolean } = {}): Settings {
  const values = valuesOf(environment);
  const result = Shape.safeParse(values);
  const faults = [...(result.success ? [] : said(result.error)), ...certificateFaults(values, options.demo === true)];
  if (!result.success || faults.length > 0) throw invalid(faults);
  const settings = { ...result.data, DATA: path.resolve(result.data.DATA), demo: options.demo === true };
  return settings;
}

/** A missing KEK is said later, with a way to make one. */
function certificateFaults({ TLS_CERT, TLS_KEY }: Record<string, unknown>, demo: boolean): string[] {
  if ((TLS_CERT === undefined) !== (TLS_KEY === undefined)) {
    return ['ESPALIER_TLS_CERT and ESPALIER_TLS_KEY go together; one is missing'];
  }
  return TLS_CERT === undefined && !demo ? [NO_CERTIFICATE] : [];
}

/** Which database, and nothing else: `migrate` needs no URL and no certificate. Errors: settings_invalid. */
export function readDatabaseSettings(environment: NodeJS.ProcessEnv): Pick<Settings, 'DATA' | 'DATABASE_URL'> {
  const { DATA, DATABASE_URL } = valuesOf(environment);
  const result = z.object({ DATA: Shape.shape.DATA, DATABASE_URL: text.optional() }).safeParse({ DATA, DATABASE_URL });
  if (!result.success) throw invalid(said(result.error));
  return { ...result.data, DATA: path.resolve(result.data.DATA) };
}

function valuesOf(environment: NodeJS.ProcessEnv): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  const file = environment[`${PREFIX}CONFIG`];
  if (file !== undefined) Object.assign(values, readFile(file));
  for (const [name, value] of Object.entries(environment)) {
    // ESPALIER_TEST_* belongs to the test suite, not to the server.
    if (!name.startsWith(PREFIX) || name === `${PREFIX}CONFIG` || name.startsWith(`${PREFIX}TEST_`)) continue;
    values[name.slice(PREFIX.length)] = value;
  }
  return values;
}

function readFile(file: string): Record<string, unknown> {
  if (!existsSync(file))
    throw new EspalierError('settings_invalid', `ESPALIER_CONFIG names ${file}, which does not exist`);
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (cause) {
    throw new EspalierError('settings_invalid', `${file} is not JSON: ${(cause as Error).message}`, { cause });
  }
  throw new EspalierError('settings_invalid', `${file} must hold one JSON object`);
}

function said(error: z.ZodError): string[] {
  return error.issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => `${PREFIX}${key} is not a setting`);
    const name = `${PREFIX}${issue.path.join('.')}`;
    const missing = issue.code === 'invalid_type' && issue.input === undefined;
    return [missing ? `${name} is not set` : `${name}: ${issue.message}`];
  });
}

function invalid(lines: readonly string[]): EspalierError {
  return new EspalierError('settings_invalid', lines.join('; '), {
    fix: [
      'docs/settings.md lists every setting with its default.',
      ...(lines.includes(NO_CERTIFICATE)
        ? [
            'Name the PEM files of a certificate (leaf first, then intermediates) and its key; `espalier demo` makes its own.',
          ]
        : []),
    ].join('\n'),
  });
}
