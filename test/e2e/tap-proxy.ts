/** A TLS proxy between Macs and the server that looks at every MDM exchange and changes nothing. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { Agent, createServer, request as httpsRequest, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort } from '../../cli/demo/child.ts';
import { ca, leaf, pem } from '../server/tls-files.ts';

export interface TapProxy {
  /** Settings that put the server behind the proxy with the same certificate. */
  readonly settings: (publicPort: number) => Promise<Record<string, string>>;
  close(): Promise<void>;
}

export interface Tapped {
  readonly path: string;
  readonly contentType: string;
  readonly requestBody: Buffer;
  readonly status: number;
  readonly responseBody: Buffer;
}

export function openTapProxy(onExchange: (exchange: Tapped) => void): TapProxy {
  const identity = leaf({ extensions: { subjectAltName: { dns: ['localhost'], ip: ['127.0.0.1'] } } });
  const cert = pem(identity, ca);
  const key = identity.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const folder = mkdtempSync(path.join(tmpdir(), 'espalier-tap-'));
  writeFileSync(path.join(folder, 'tls.pem'), cert);
  writeFileSync(path.join(folder, 'tls.key'), key, { mode: 0o600 });
  const agent = new Agent({ keepAlive: true, ca: cert });
  let proxy: Server | undefined;

  return {
    async settings(publicPort) {
      const inner = await freePort();
      proxy = createServer({ cert, key, maxHeaderSize: 64 * 1024 }, (request, response) => {
        const parts: Buffer[] = [];
        request
          .on('data', (part) => parts.push(part))
          .on('end', () => {
            const requestBody = Buffer.concat(parts);
            const { host: _host, connection: _connection, 'transfer-encoding': _chunked, ...headers } = request.headers;
            const onward = httpsRequest(
              {
                host: 'localhost',
                port: inner,
                path: request.url,
                method: request.method,
                agent,
                headers: { ...headers, 'content-length': requestBody.length },
              },
              (answer) => {
                const answered: Buffer[] = [];
                answer
                  .on('data', (part) => answered.push(part))
                  .on('end', () => {
                    const responseBody = Buffer.concat(answered);
                    const status = answer.statusCode ?? 0;
                    onExchange({
                      path: request.url ?? '',
                      contentType: request.headers['content-type'] ?? '',
                      requestBody,
                      status,
                      responseBody,
                    });
                    response.writeHead(status, answer.headers);
                    response.end(responseBody);
                  });
              },
            );
            onward.on('error', () => response.destroy());
            onward.end(requestBody);
          });
      });
      const listening = proxy;
      await new Promise<void>((resolve) => listening.listen(publicPort, '127.0.0.1', resolve));
      return {
        ESPALIER_LISTEN: `127.0.0.1:${inner}`,
        ESPALIER_TLS_CERT: path.join(folder, 'tls.pem'),
        ESPALIER_TLS_KEY: path.join(folder, 'tls.key'),
      };
    },
    close: () =>
      new Promise((resolve) => {
        agent.destroy();
        proxy?.closeAllConnections();
        if (proxy === undefined) resolve();
        else proxy.close(() => resolve());
      }),
  };
}
