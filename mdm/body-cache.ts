import { EspalierError } from '../core/errors.ts';

/** Bytes of Command dictionaries kept in memory: one profile of 1 MB goes to 10,000 Macs and should be read once. */
const MAX_BYTES = 64 * 1024 * 1024;

export interface BodyCache {
  /** Errors: store_unavailable where the row is gone. */
  get(bodyId: number): Promise<Buffer>;
}

/** `command_body` rows by id. They are content-addressed and never change, so nothing has to be invalidated. */
export function createBodyCache(read: (ids: readonly number[]) => Promise<ReadonlyMap<number, Buffer>>): BodyCache {
  const kept = new Map<number, Buffer>();
  const reading = new Map<number, Promise<Buffer>>();
  let bytes = 0;

  function keep(bodyId: number, body: Buffer): void {
    kept.set(bodyId, body);
    bytes += body.length;
    for (const [oldest, dropped] of kept) {
      if (bytes <= MAX_BYTES) break;
      kept.delete(oldest);
      bytes -= dropped.length;
    }
  }

  async function load(bodyId: number): Promise<Buffer> {
    const body = (await read([bodyId])).get(bodyId);
    if (body === undefined) throw new EspalierError('store_unavailable', `command body ${bodyId} is not there`);
    keep(bodyId, body);
    return body;
  }

  return {
    async get(bodyId) {
      const body = kept.get(bodyId);
      if (body !== undefined) {
        kept.delete(bodyId);
        kept.set(bodyId, body);
        return body;
      }
      const pending = reading.get(bodyId) ?? load(bodyId).finally(() => reading.delete(bodyId));
      reading.set(bodyId, pending);
      return pending;
    },
  };
}
