import type { IncomingMessage } from 'node:http';
import { EspalierError } from '../core/errors.ts';
import { fits, hold, release } from './body-budget.ts';
import type { RouteLimit } from './limits.ts';

const EMPTY = Buffer.alloc(0);

/**
 * The raw body, byte for byte as it came (Mdm-Signature covers exactly these bytes, apple-protocol §1.2).
 * Content-Length, when given, is checked before a byte is read; chunked bodies are counted as they arrive.
 * Errors: request_unsupported_encoding, request_too_large, request_timeout, request_malformed, service_unavailable.
 */
export function readBody(request: IncomingMessage, limit: RouteLimit): Promise<Buffer> {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    return Promise.reject(
      new EspalierError(
        'request_unsupported_encoding',
        `Content-Encoding ${JSON.stringify(encoding)} is not accepted`,
        {
          fix: 'Send the body uncompressed.',
        },
      ),
    );
  }
  const declared = request.headers['content-length'];
  const length = declared === undefined ? undefined : Number(declared);
  if (length !== undefined && length > limit.maxBytes) return Promise.reject(tooLarge(limit, length));
  if (length === 0) return Promise.resolve(EMPTY);
  const peer = request.socket.remoteAddress ?? '';
  if (!fits(peer, length ?? 0)) return Promise.reject(tooMany());

  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const timer = setTimeout(onIdle, limit.idleMs);

    function finish(error: EspalierError | undefined): void {
      clearTimeout(timer);
      release(peer, size);
      request.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone);
      if (error) {
        // Nothing more is kept; the rest of the body is thrown away as it arrives so that the answer can be read.
        request.resume();
        reject(error);
      } else {
        resolve(chunks.length === 1 ? (chunks[0] ?? EMPTY) : Buffer.concat(chunks, size));
      }
    }
    function onData(chunk: Buffer): void {
      size += chunk.length;
      const isWithin = hold(peer, chunk.length);
      timer.refresh();
      if (size > limit.maxBytes) {
        finish(tooLarge(limit, size));
        return;
      }
      if (!isWithin) {
        finish(tooMany());
        return;
      }
      chunks.push(chunk);
    }
    function onEnd(): void {
      finish(undefined);
    }
    function onGone(): void {
      finish(new EspalierError('request_malformed', 'the connection closed before the body was complete'));
    }
    function onIdle(): void {
      finish(new EspalierError('request_timeout', `no body byte arrived for ${limit.idleMs} ms`));
    }
    request.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone);
  });
}

function tooMany(): EspalierError {
  return new EspalierError('service_unavailable', 'too many request bodies are being read at once');
}

function tooLarge(limit: RouteLimit, size: number): EspalierError {
  return new EspalierError(
    'request_too_large',
    `the body has ${size} bytes or more; this route takes ${limit.maxBytes}`,
  );
}
