import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { inOptions } from './words.ts';

/** Where a running server's admin API is; the server writes this into its data folder at start. */
const Endpoint = z.object({ adminUrl: z.string(), publicUrl: z.string(), tlsRoots: z.array(z.string()) });

export interface Client {
  readonly publicUrl: string;
  readonly adminUrl: string;
  /** PEM. */
  readonly tlsRoots: readonly string[];
  get(route: string): Promise<unknown>;
  post(route: string, body: unknown): Promise<unknown>;
  put(route: string, body: unknown): Promise<unknown>;
  patch(route: string, body: unknown): Promise<unknown>;
  delete(route: string, body?: unknown): Promise<unknown>;
  upload(route: string, body: Uint8Array, contentType: string): Promise<unknown>;
  /** A body that is no JSON. */
  download(route: string): Promise<Buffer>;
}

/** What the server answered where it was not a success; `text` is fit to print. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  /** The answer's body: a refused profile has its findings there. */
  readonly body: unknown;
  constructor(status: number, code: string, text: string, body?: unknown) {
    super(text);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
    this.body = body;
  }
}

/** A client for the server that runs on this data folder, with the token the server left there. */
export function clientFor(dataFolder: string): Client {
  const endpointFile = path.join(dataFolder, 'endpoint.json');
  const tokenFile = path.join(dataFolder, 'admin.token');
  if (!existsSync(endpointFile) || !existsSync(tokenFile)) {
    throw new ApiError(
      0,
      'not_running',
      `No Espalier has been started on ${dataFolder}. Start it, or name its folder with --data.`,
    );
  }
  const { adminUrl, publicUrl, tlsRoots } = Endpoint.parse(JSON.parse(readFileSync(endpointFile, 'utf8')));
  const token = readFileSync(tokenFile, 'utf8').trim();

  async function exchange(
    method: string,
    route: string,
    body?: Uint8Array | string,
    contentType?: string,
  ): Promise<Response> {
    const headers: Record<string, string> = { authorization: `Bearer ${token}` };
    if (contentType !== undefined) headers['content-type'] = contentType;
    try {
      return await fetch(`${adminUrl}/api/v1${route}`, {
        method,
        headers,
        ...(body === undefined ? {} : { body: Buffer.from(body) }),
      });
    } catch (cause) {
      throw new ApiError(
        0,
        'unreachable',
        isRefused(cause)
          ? `the server of ${dataFolder} does not answer at ${adminUrl}; start it with \`espalier up\``
          : `${adminUrl} does not answer: ${reasonOf(cause)}`,
      );
    }
  }

  async function call(...request: Parameters<typeof exchange>): Promise<unknown> {
    const response = await exchange(...request);
    const text = await response.text();
    const value: unknown = text === '' ? undefined : JSON.parse(text);
    if (!response.ok) throw problem(response.status, value);
    return value;
  }

  return {
    publicUrl,
    adminUrl,
    tlsRoots,
    get: (route) => call('GET', route),
    post: (route, body) => call('POST', route, JSON.stringify(body), 'application/json'),
    put: (route, body) => call('PUT', route, JSON.stringify(body), 'application/json'),
    patch: (route, body) => call('PATCH', route, JSON.stringify(body), 'application/json'),
    delete: (route, body) =>
      body === undefined ? call('DELETE', route) : call('DELETE', route, JSON.stringify(body), 'application/json'),
    upload: (route, body, contentType) => call('POST', route, body, contentType),
    async download(route) {
      const response = await exchange('GET', route);
      const body = Buffer.from(await response.arrayBuffer());
      if (!response.ok) throw problem(response.status, JSON.parse(body.toString('utf8')));
      return body;
    },
  };
}

const Problem = z.object({ code: z.string(), title: z.string(), detail: z.string(), fix: z.string().optional() });

function problem(status: number, value: unknown): ApiError {
  const read = Problem.safeParse(value);
  if (!read.success) return new ApiError(status, 'unknown', `the server answered ${status}`);
  const { code, title, detail, fix } = read.data;
  const text = inOptions([`${title}: ${detail} (${code})`, ...(fix === undefined ? [] : [fix])].join('\n'));
  return new ApiError(status, code, text, value);
}

/** Nobody listens there. */
function isRefused(cause: unknown): boolean {
  const inner = cause instanceof Error ? cause.cause : undefined;
  return inner instanceof Error && (inner as NodeJS.ErrnoException).code === 'ECONNREFUSED';
}

function reasonOf(cause: unknown): string {
  const inner = cause instanceof Error ? (cause.cause ?? cause) : cause;
  return inner instanceof Error ? inner.message : String(inner);
}
