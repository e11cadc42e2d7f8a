import { setTimeout as delay } from 'node:timers/promises';
import { ApiError, type Client } from '../client.ts';

const AGAIN_AFTER_MS = 300;
const GIVE_UP_AFTER_MS = 60_000;

/** A client that waits for a server that is being started again; every other failure passes through. */
export function patient(client: Client): Client {
  async function insist<T>(call: () => Promise<T>): Promise<T> {
    const until = Date.now() + GIVE_UP_AFTER_MS;
    for (;;) {
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== 'unreachable' || Date.now() > until) throw error;
        await delay(AGAIN_AFTER_MS);
      }
    }
  }
  return {
    ...client,
    get: (route) => insist(() => client.get(route)),
    post: (route, body) => insist(() => client.post(route, body)),
    put: (route, body) => insist(() => client.put(route, body)),
    delete: (route) => insist(() => client.delete(route)),
    upload: (route, body, contentType) => insist(() => client.upload(route, body, contentType)),
  };
}
