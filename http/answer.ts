import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Log } from '../core/log.ts';
import type { Metrics } from './metrics.ts';
import { isServerFault, problemOf } from './problems.ts';

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

export interface AnswerDeps {
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Runs one raw handler and writes its answer, or the problem it threw. Counts and times the route. */
export async function respond(
  deps: AnswerDeps,
  route: string,
  request: IncomingMessage,
  response: ServerResponse,
  work: () => Promise<Answer>,
): Promise<void> {
  const end = deps.metrics.seconds.startTimer({ route });
  let answer: Answer;
  try {
    answer = await work();
  } catch (error) {
    const requestId = randomUUID();
    const problem = problemOf(error, requestId);
    const fields = { route, requestId, method: request.method, status: problem.status, err: error };
    if (isServerFault(problem)) deps.log.error(fields, 'request failed');
    else deps.log.info(fields, 'request refused');
    answer = problem;
  }
  send(response, answer);
  end();
  deps.metrics.requests.inc({ route, status: String(answer.status) });
}

export function send(response: ServerResponse, answer: Answer): void {
  const body = answer.body ?? new Uint8Array(0);
  if (response.headersSent || response.destroyed) return;
  response.writeHead(answer.status, { 'content-length': body.length, ...answer.headers });
  response.end(body);
  if (!response.req.complete) discardRest(response.req);
}

/** Milliseconds for the rest of a refused body to arrive. */
const LINGER_MS = 10_000;

/**
 * Throws away what still arrives of a body that was refused half-way, so that the client reads the answer and not a
 * reset (RFC 9112 §9.6), and ends the connection of one that never finishes (I5).
 */
function discardRest(request: IncomingMessage): void {
  const timer = setTimeout(() => request.socket.destroy(), LINGER_MS).unref();
  const settled = () => clearTimeout(timer);
  request.once('end', settled).once('close', settled).resume();
}

export function json(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  return {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers },
    body: Buffer.from(JSON.stringify(value)),
  };
}
