import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { EspalierError } from '../../core/errors.ts';
import type { ScepService } from '../../scep/service.ts';

/** The service on a port of its own, for clients that are programs. */
export async function serve(service: ScepService): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer(async (request, response) => {
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const query = new URL(request.url ?? '/', 'http://localhost').searchParams;
      const answer = await service.handle({
        method: request.method ?? '',
        operation: query.get('operation') ?? undefined,
        message: query.get('message') ?? undefined,
        body: Buffer.concat(chunks),
        peer: request.socket.remoteAddress ?? '',
      });
      response.writeHead(answer.status, { 'content-type': answer.contentType }).end(answer.body);
    } catch (error) {
      response.writeHead(error instanceof EspalierError ? 400 : 500).end(String(error));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/scep`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
