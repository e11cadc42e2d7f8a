import { createHash } from 'node:crypto';
import type { Tx } from '../core/tx.ts';
import type { Body, BodyRequest, CommandBody } from './ports.ts';

/** Bytes kept of bodies already made. A batch that needs more than this still gets them all. */
const KEPT_BYTES = 64 * 1024 * 1024;

export interface Bodies {
  /** Throws what the port throws. */
  get(tx: Tx, request: BodyRequest): Promise<Body>;
}

/** Command bodies by request. A version is immutable and an identifier means itself, so nothing here goes stale. */
export function createBodies(commandBody: CommandBody): Bodies {
  const kept = new Map<string, Body>();
  let size = 0;

  return {
    async get(tx, request) {
      const key = keyOf(request);
      const known = kept.get(key);
      if (known !== undefined) return known;
      const bytes = await commandBody(tx, request);
      const body = { bytes, sha256: createHash('sha256').update(bytes).digest() };
      kept.set(key, body);
      size += bytes.length;
      for (const [oldest, { bytes: old }] of kept) {
        if (size <= KEPT_BYTES || oldest === key) break;
        kept.delete(oldest);
        size -= old.length;
      }
      return body;
    },
  };
}

function keyOf(request: BodyRequest): string {
  switch (request.kind) {
    case 'install':
      return `install ${request.versionId}`;
    case 'remove':
      return `remove ${request.identifier}`;
    case 'profile_list':
      return 'profile_list';
  }
}
