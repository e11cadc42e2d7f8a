import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { AgentFlags } from '../../../simulator/agent.ts';
import { keyPem, pem } from './pki.ts';
import type { World } from './tiny-server.ts';

export type Json = Record<string, unknown>;

/** A server of osquery's TLS plugins that answers what it is told to. */
export class TinyOsquery {
  readonly received: { readonly path: string; readonly body: Json }[] = [];
  /** By endpoint; the default is right. */
  answers: Record<string, (body: Json) => { readonly status?: number; readonly body: Json }> = {};
  queries: Json = {};
  enrolled = 0;
  readonly #keys = new Set<string>();
  readonly #server: Server;
  readonly #root: string;
  readonly #port: number;

  private constructor(server: Server, root: string, port: number) {
    this.#server = server;
    this.#root = root;
    this.#port = port;
  }

  static async start(world: World): Promise<TinyOsquery> {
    const server = createServer({ key: keyPem(world.leaf.key), cert: pem(world.leaf.certificate) });
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
    const tiny = new TinyOsquery(server, pem(world.root.certificate), (server.address() as AddressInfo).port);
    server.on('request', (request, response) => {
      let text = '';
      request.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      request.on('end', () => {
        const answer = tiny.#answer(request.url ?? '', JSON.parse(text) as Json);
        response.writeHead(answer.status ?? 200, { 'content-type': 'application/json' });
        response.end(JSON.stringify(answer.body));
      });
    });
    return tiny;
  }

  get flags(): AgentFlags {
    return {
      tls_hostname: `localhost:${this.#port}`,
      tls_server_certs: [this.#root],
      enroll_secret: 'secret',
      enroll_tls_endpoint: '/enroll',
      config_tls_endpoint: '/config',
      logger_tls_endpoint: '/log',
      distributed_tls_read_endpoint: '/read',
      distributed_tls_write_endpoint: '/write',
    };
  }

  forgetKeys(): void {
    this.#keys.clear();
  }

  at(path: string): Json[] {
    return this.received.filter((request) => request.path === path).map(({ body }) => body);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #answer(path: string, body: Json): { readonly status?: number; readonly body: Json } {
    this.received.push({ path, body });
    const told = this.answers[path]?.(body);
    if (told !== undefined) return told;
    if (path === '/enroll') {
      if (body['enroll_secret'] !== 'secret') return { status: 401, body: { node_invalid: true } };
      this.enrolled += 1;
      const key = `key ${this.enrolled}`;
      this.#keys.add(key);
      return { body: { node_key: key } };
    }
    if (!this.#keys.has(String(body['node_key']))) return { status: 401, body: { node_invalid: true } };
    if (path === '/read') return { body: this.queries };
    return { body: {} };
  }
}
