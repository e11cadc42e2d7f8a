import type { IncomingMessage } from 'node:http';
import { Agent, type RequestOptions, request } from 'node:https';
import type { PeerCertificate } from 'node:tls';
import { type MacRefusal, refusal } from './refusal.ts';
import { LEAF_REFUSED, leafFault } from './trust.ts';

export interface MacRequest {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Send the body in pieces without announcing its length. */
  readonly chunked?: boolean;
}

export interface MacResponse {
  readonly status: number;
  /** The media type in lower case, parameters cut off; '' when the server gave none. */
  readonly mediaType: string;
  readonly body: Buffer;
}

/** No answer: refused, reset, timed out. The Mac keeps what it wanted to say. */
export class Unreachable extends Error {
  constructor(url: string, cause: unknown) {
    super(`no answer from ${url}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = 'Unreachable';
  }
}

export interface TransportOptions {
  /** PEM. The only roots that count: a Mac of the simulation has no public ones. */
  readonly roots: readonly string[];
  /** Pinned certificates are anchors whether or not they are roots. */
  readonly pinned?: boolean;
  /** PEM. Offered to a server that asks for a client certificate, as a Mac does (apple-protocol 1.1). */
  readonly identity?: { readonly privateKey: string; readonly certificate: string };
  /** Milliseconds without a sign from the server. */
  readonly timeoutMs?: number;
}

const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;
const MAX_REDIRECTS = 5;
const DEFAULT_TIMEOUT_MS = 30_000;

/** One client's connections: TLS verified, kept alive, redirects followed to https only. */
export class Transport {
  readonly #options: TransportOptions;
  #agent: Agent;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#agent = this.#newAgent();
  }

  async send(message: MacRequest, redirects = 0): Promise<MacResponse> {
    const url = requireHttps(message.url);
    const response = await this.#exchange(message, url);
    const location = response.headers.location;
    const status = response.statusCode ?? 0;
    const body = await readBody(response, message.url);
    if (status >= 300 && status < 400 && location !== undefined && redirects < MAX_REDIRECTS) {
      // Never remembered: the next message starts at the URL of the profile again (apple-protocol 1.1).
      return this.send({ ...message, url: new URL(location, url).href }, redirects + 1);
    }
    const mediaType = (response.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
    return { status, mediaType, body };
  }

  /** A fault: the head and half of the body, then the connection is gone. */
  async tear(message: MacRequest): Promise<void> {
    const body = message.body ?? Buffer.alloc(0);
    await new Promise<void>((resolve) => {
      const outgoing = request(requireHttps(message.url), this.#requestOptions(message));
      outgoing.on('error', () => resolve());
      outgoing.on('close', () => resolve());
      outgoing.write(body.subarray(0, body.length >> 1), () => outgoing.destroy());
    });
  }

  /** Close every connection, as a lid that is shut does. */
  drop(): void {
    this.#agent.destroy();
    this.#agent = this.#newAgent();
  }

  close(): void {
    this.#agent.destroy();
  }

  #newAgent(): Agent {
    return new Agent({
      keepAlive: true,
      maxSockets: 4,
      maxCachedSessions: 0,
      timeout: this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      ca: [...this.#options.roots],
      key: this.#options.identity?.privateKey,
      cert: this.#options.identity?.certificate,
      allowPartialTrustChain: this.#options.pinned === true,
      checkServerIdentity: (host: string, peer: PeerCertificate) => leafFault(host, peer),
    });
  }

  #requestOptions(message: MacRequest): RequestOptions {
    const length =
      message.body === undefined || message.chunked === true ? {} : { 'content-length': message.body.length };
    return {
      method: message.method,
      agent: this.#agent,
      headers: { 'user-agent': 'MDM-OSX/1.0 mdmclient/1803', ...message.headers, ...length },
    };
  }

  async #exchange(message: MacRequest, url: URL): Promise<IncomingMessage> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#once(message, url);
      } catch (error) {
        if (error instanceof StaleConnection && attempt === 0) continue;
        throw tlsRefusal(error, message.url) ?? new Unreachable(message.url, error);
      }
    }
  }

  #once(message: MacRequest, url: URL): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const outgoing = request(url, this.#requestOptions(message), resolve);
      outgoing.on('timeout', () => outgoing.destroy(new Error('timed out')));
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        // The server closed an idle connection while we wrote: nothing was received, so it is safe to ask again.
        const stale = outgoing.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
        reject(stale ? new StaleConnection(error.message) : error);
      });
      const body = message.body;
      if (body === undefined) outgoing.end();
      else if (message.chunked !== true) outgoing.end(body);
      else {
        const middle = body.length >> 1;
        outgoing.write(body.subarray(0, middle));
        outgoing.end(body.subarray(middle));
      }
    });
  }
}

class StaleConnection extends Error {}

function requireHttps(url: string): URL {
  if (!URL.canParse(url) || new URL(url).protocol !== 'https:') {
    throw refusal('MAC-01', 'MCMDM', 12034, `${url} is not an https URL`);
  }
  return new URL(url);
}

/** OpenSSL's verification results, as Node names them, and Node's own for the host name. */
const TLS_FAULT =
  /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|HOSTNAME_MISMATCH|ERR_TLS_CERT)/;

function tlsRefusal(error: unknown, url: string): MacRefusal | undefined {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  const rule = code === LEAF_REFUSED ? 'MAC-03' : 'MAC-02';
  if (code !== LEAF_REFUSED && !TLS_FAULT.test(code)) return undefined;
  const why = error instanceof Error ? error.message : code;
  return refusal(rule, 'MCHTTPTransaction', 23002, `The certificate of ${url} is not trusted: ${why}`, error);
}

async function readBody(response: IncomingMessage, url: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > MAX_RESPONSE_BYTES) throw new Error('the answer is too large');
      chunks.push(chunk);
    }
  } catch (error) {
    response.destroy();
    throw new Unreachable(url, error);
  }
  return Buffer.concat(chunks, length);
}
