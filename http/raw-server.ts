import { createServer as createHttp, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttps, type Server as TlsServer } from 'node:https';
import type { SecureContextOptions } from 'node:tls';
import { HEADERS_TIMEOUT_MS, KEEP_ALIVE_MS, MAX_HEADER_BYTES } from './limits.ts';

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const COMMON = {
  maxHeaderSize: MAX_HEADER_BYTES,
  headersTimeout: HEADERS_TIMEOUT_MS,
  // Off: a body that makes progress may take its time; read-body.ts ends one that does not.
  requestTimeout: 0,
  keepAliveTimeout: KEEP_ALIVE_MS,
  keepAliveTimeoutBuffer: 1000,
  noDelay: true,
} as const;

/** TLS 1.2 and 1.3: osquery's own client documents 1.2 only (style-and-reliability, secure defaults). */
export function tlsServer(handler: Handler, tls: SecureContextOptions): TlsServer {
  return createHttps({ ...COMMON, minVersion: 'TLSv1.2', ...tls }, guarded(handler));
}

/** Plain HTTP, for the admin listener on loopback only. */
export function plainServer(handler: Handler): Server {
  return createHttp(COMMON, guarded(handler));
}

/** The last resort: whatever a handler throws ends one request, never the process (I19). */
function guarded(handler: Handler): Handler {
  return (request, response) => {
    response.on('error', () => response.destroy());
    try {
      handler(request, response);
    } catch {
      if (!response.headersSent) response.writeHead(500);
      response.end();
    }
  };
}

export function listen(server: Server | TlsServer, address: { host: string; port: number }): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(address.port, address.host, () => {
      server.off('error', reject);
      const bound = server.address();
      resolve(typeof bound === 'object' && bound !== null ? bound.port : address.port);
    });
  });
}

/** Milliseconds a busy connection may take to end by itself when the server stops. */
const CLOSE_GRACE_MS = 5000;

/** Stops accepting, ends idle connections at once and busy ones after their answer. */
export function close(server: Server | TlsServer): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
    setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS).unref();
  });
}
