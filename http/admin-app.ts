import { randomUUID } from 'node:crypto';
import express, { type ErrorRequestHandler, type Express, type RequestHandler, type Router } from 'express';
import { EspalierError } from '../core/errors.ts';
import { type AnswerDeps, json, send } from './answer.ts';
import { isServerFault, problemOf } from './problems.ts';
import { requireToken } from './token.ts';

export interface AdminAppDeps extends AnswerDeps {
  readonly tokenHash: Buffer;
  readonly version: string;
  /** Resolves when the server can do its work; the thrown error says why not. */
  readonly ready: () => Promise<void>;
  /** Mounted under /api/v1, each behind the token. */
  readonly routers: readonly Router[];
}

/** The admin listener: health and metrics in the open (it listens on loopback), everything else behind the token. */
export function adminApp(deps: AdminAppDeps): Express {
  const app = express();
  app.disable('x-powered-by');
  // No proxy is trusted: addresses come from the socket (I14).
  app.set('trust proxy', false);
  app.set('etag', false);
  app.set('query parser', false);
  app.use(observe(deps), secureHeaders);

  app.get('/livez', (_request, response) => send(response, json(200, { status: 'live' })));
  app.get('/readyz', async (_request, response) => {
    try {
      await deps.ready();
      send(response, json(200, { status: 'ready' }));
    } catch (error) {
      deps.log.warn({ err: error }, 'not ready');
      send(response, json(503, { status: 'not_ready' }, { 'retry-after': '5' }));
    }
  });
  app.get('/version', (_request, response) => send(response, json(200, { version: deps.version })));
  app.get('/metrics', async (_request, response) => {
    const { registry } = deps.metrics;
    const headers = { 'content-type': registry.contentType };
    send(response, { status: 200, headers, body: Buffer.from(await registry.metrics()) });
  });

  const authenticate: RequestHandler = (request, _response, next) => {
    requireToken(request, deps.tokenHash);
    next();
  };
  app.use('/api/v1', authenticate, ...deps.routers);
  app.use((request) => {
    throw new EspalierError('not_found', `there is no ${request.method} ${request.path}`);
  });
  app.use(renderProblem(deps));
  return app;
}

function observe(deps: AnswerDeps): RequestHandler {
  return (request, response, next) => {
    const end = deps.metrics.seconds.startTimer({ route: 'admin' });
    response.on('finish', () => {
      end();
      deps.metrics.requests.inc({ route: 'admin', status: String(response.statusCode) });
      deps.log.debug({ method: request.method, path: request.path, status: response.statusCode }, 'admin request');
    });
    next();
  };
}

const secureHeaders: RequestHandler = (_request, response, next) => {
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('content-security-policy', "default-src 'none'; frame-ancestors 'none'");
  response.setHeader('referrer-policy', 'no-referrer');
  next();
};

/** Express wants four parameters to know an error handler by. */
function renderProblem(deps: AnswerDeps): ErrorRequestHandler {
  return (error, request, response, _next) => {
    const requestId = randomUUID();
    const problem = problemOf(fromExpress(error), requestId);
    const fields = { requestId, method: request.method, path: request.path, status: problem.status, err: error };
    if (isServerFault(problem)) deps.log.error(fields, 'request failed');
    else deps.log.info(fields, 'request refused');
    send(response, problem);
  };
}

/** Express's own refusals (an undecodable %-escape) are the caller's fault. */
function fromExpress(error: unknown): unknown {
  const status = (error as { status?: unknown }).status;
  const isCallers = !(error instanceof EspalierError) && typeof status === 'number' && status >= 400 && status < 500;
  return isCallers ? new EspalierError('request_malformed', (error as Error).message, { cause: error }) : error;
}
