/**
 * A client that costs little: requests are bytes made beforehand, answers are read no further than their end.
 * The load generator shares the machine with what it measures.
 */
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface Target {
  readonly port: number;
  /** PEM of the root that signed the server's certificate; undefined: plain HTTP. */
  readonly root?: string;
}

export interface WireAnswer {
  readonly status: number;
  readonly body: Buffer;
}

const TIMEOUT_MS = 30_000;
const HEAD_END = Buffer.from('\r\n\r\n');

export function requestBytes(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): Buffer {
  const all = { host: 'localhost', 'content-length': String(body.length), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'), body]);
}

/** One keep-alive connection with one request at a time on it, as a Mac has it. */
export class Connection {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #waiting: { resolve(answer: WireAnswer): void; reject(error: Error): void } | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes) => this.#take(bytes));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the server closed the connection')));
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error('no answer within 30 s')));
  }

  static open({ port, root }: Target): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const ready = (): void => {
        socket.off('error', reject);
        resolve(new Connection(socket));
      };
      const where = { host: '127.0.0.1', port };
      const socket: Socket =
        root === undefined
          ? connectPlain(where, ready)
          : connectTls({ ...where, ca: root, servername: 'localhost' }, ready);
      socket.setNoDelay(true);
      socket.once('error', reject);
    });
  }

  send(request: Buffer): Promise<WireAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) return reject(new Error('the connection is closed'));
      this.#waiting = { resolve, reject };
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
    const answer = readAnswer(this.#received);
    if (answer === undefined) return;
    this.#received = Buffer.alloc(0);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(answer);
  }

  #fail(error: Error): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(error);
  }
}

/** Undefined while it is not complete. */
function readAnswer(bytes: Buffer): WireAnswer | undefined {
  const end = bytes.indexOf(HEAD_END);
  if (end < 0) return undefined;
  const head = bytes.toString('latin1', 0, end).toLowerCase();
  const rest = bytes.subarray(end + HEAD_END.length);
  const body = head.includes('\r\ntransfer-encoding: chunked') ? unchunked(rest) : counted(head, rest);
  return body && { status: Number(head.slice(9, 12)), body };
}

function counted(head: string, rest: Buffer): Buffer | undefined {
  const length = Number(/\r\ncontent-length: (\d+)/.exec(head)?.[1] ?? 0);
  return rest.length < length ? undefined : rest.subarray(0, length);
}

function unchunked(rest: Buffer): Buffer | undefined {
  const pieces: Buffer[] = [];
  for (let at = 0; ; ) {
    const line = rest.indexOf('\r\n', at);
    if (line < 0) return undefined;
    const length = Number.parseInt(rest.toString('latin1', at, line), 16);
    const from = line + 2;
    if (rest.length < from + length + 2) return undefined;
    if (length === 0) return Buffer.concat(pieces);
    pieces.push(rest.subarray(from, from + length));
    at = from + length + 2;
  }
}
