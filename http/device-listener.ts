import type { IncomingMessage, ServerResponse } from 'node:http';
import { EspalierError } from '../core/errors.ts';
import type { DeviceRequest, DeviceResponse } from '../mdm/types.ts';
import type { AgentEndpoint, OsqueryService } from '../osquery/service.ts';
import type { ScepService } from '../scep/service.ts';
import { type Answer, type AnswerDeps, json, respond } from './answer.ts';
import { LIMITS, type LimitName } from './limits.ts';
import { readBody } from './read-body.ts';

export interface EnrollPage {
  /** The signed enrolment profile of a link. Errors: enroll_code_invalid, enroll_code_exhausted, push_certificate_missing. */
  profile(code: string): Promise<{ contentType: string; body: Buffer }>;
}

export interface DeviceListenerDeps extends AnswerDeps {
  readonly mdm: { handle(request: DeviceRequest): Promise<DeviceResponse> };
  readonly scep: ScepService;
  readonly osquery: OsqueryService;
  readonly enroll: EnrollPage;
}

interface RouteCall {
  readonly request: IncomingMessage;
  /** Without the question mark; parsed by who needs it. */
  readonly query: string;
  /** What stands for the last segment of a pattern that ends in `*`. */
  readonly rest: string;
  readonly body: Buffer;
}

interface Route {
  readonly name: string;
  readonly limit: LimitName;
  readonly methods: readonly string[];
  readonly run: (call: RouteCall) => Promise<Answer>;
}

/**
 * Everything a Mac or an agent speaks to, without Express in the way: Express costs 130–150 µs a request
 * (dependencies.md §7), a command poll in all about as much. No route here can answer 401.
 */
export function deviceListener(deps: DeviceListenerDeps): (request: IncomingMessage, response: ServerResponse) => void {
  const routes = routeTable(deps);
  return (request, response) => {
    // Not parsed as a URL: that is 2 % of a poll, and no address here has a character to decode.
    const target = request.url ?? '';
    const mark = target.indexOf('?');
    const found = match(routes, mark < 0 ? target : target.slice(0, mark));
    void respond(deps, found?.route.name ?? 'none', request, response, async () => {
      if (found === undefined) throw new EspalierError('not_found', 'no such address');
      const { route, rest } = found;
      // A device's wrong method is mdm's to answer, in the statuses a device may get.
      if (!route.methods.includes(request.method ?? '') && route.limit !== 'checkin' && route.limit !== 'command') {
        throw new EspalierError('method_not_allowed', `${route.methods.join(' or ')} is expected here`);
      }
      const body = await readBody(request, LIMITS[route.limit]);
      return route.run({ request, query: mark < 0 ? '' : target.slice(mark + 1), rest, body });
    });
  };
}

/** The addresses of this listener; `*` stands for one last segment. */
export const DEVICE_PATHS = [
  '/mdm',
  '/checkin',
  '/scep',
  '/enroll/*',
  '/api/osquery/enroll',
  '/api/osquery/config',
  '/api/osquery/log',
  '/api/osquery/distributed/read',
  '/api/osquery/distributed/write',
  '/livez',
] as const;

function routeTable(deps: DeviceListenerDeps): Record<(typeof DEVICE_PATHS)[number], Route> {
  const mdm = (limit: 'checkin' | 'command'): Route => ({
    name: limit,
    limit,
    methods: ['PUT'],
    run: ({ request, body }) => mdmRequest(deps, request, body),
  });
  const agent = (endpoint: AgentEndpoint, limit: LimitName): Route => ({
    name: `osquery ${endpoint}`,
    limit,
    methods: ['POST'],
    run: async ({ body }) => {
      const { status, body: value } = await deps.osquery.handle(endpoint, body);
      return json(status, value);
    },
  });
  return {
    '/mdm': mdm('command'),
    '/checkin': mdm('checkin'),
    '/scep': { name: 'scep', limit: 'scep', methods: ['GET', 'POST'], run: (call) => scepRequest(deps, call) },
    '/enroll/*': {
      name: 'enroll',
      limit: 'enroll',
      methods: ['GET', 'POST'],
      run: (call) => enrollRequest(deps, call),
    },
    '/api/osquery/enroll': agent('enroll', 'osqueryEnroll'),
    '/api/osquery/config': agent('config', 'osqueryConfig'),
    '/api/osquery/log': agent('log', 'osqueryLog'),
    '/api/osquery/distributed/read': agent('distributed/read', 'osqueryRead'),
    '/api/osquery/distributed/write': agent('distributed/write', 'osqueryWrite'),
    '/livez': { name: 'livez', limit: 'apiRead', methods: ['GET'], run: async () => json(200, { status: 'live' }) },
  };
}

function match(routes: Record<string, Route>, pathname: string): { route: Route; rest: string } | undefined {
  const exact = Object.hasOwn(routes, pathname) ? routes[pathname] : undefined;
  if (exact !== undefined) return { route: exact, rest: '' };
  const cut = pathname.lastIndexOf('/') + 1;
  const pattern = `${pathname.slice(0, cut)}*`;
  const wild = Object.hasOwn(routes, pattern) ? routes[pattern] : undefined;
  return wild && { route: wild, rest: pathname.slice(cut) };
}

async function mdmRequest(deps: DeviceListenerDeps, request: IncomingMessage, body: Buffer): Promise<Answer> {
  const signature = request.headers['mdm-signature'];
  const answer = await deps.mdm.handle({
    method: request.method ?? '',
    contentType: request.headers['content-type'],
    mdmSignature: typeof signature === 'string' ? signature : undefined,
    peerCertificate: undefined,
    body,
  });
  if (answer.code !== undefined) deps.log.info({ code: answer.code, status: answer.status }, 'device refused');
  return answer;
}

async function scepRequest(deps: DeviceListenerDeps, { request, query, body }: RouteCall): Promise<Answer> {
  const parameters = new URLSearchParams(query);
  const {
    status,
    contentType,
    body: reply,
  } = await deps.scep.handle({
    method: request.method ?? '',
    operation: parameters.get('operation') ?? undefined,
    message: parameters.get('message') ?? undefined,
    body,
    peer: request.socket.remoteAddress ?? '',
  });
  return { status, headers: { 'content-type': contentType }, body: reply };
}

async function enrollRequest(deps: DeviceListenerDeps, { rest }: RouteCall): Promise<Answer> {
  const { contentType, body } = await deps.enroll.profile(rest);
  const headers = {
    'content-type': contentType,
    'content-disposition': 'attachment; filename="enroll.mobileconfig"',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  };
  return { status: 200, headers, body };
}
