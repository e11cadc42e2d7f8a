import type { IncomingMessage } from 'node:http';
import type { RequestHandler } from 'express';
import type { z } from 'zod';
import { EspalierError } from '../core/errors.ts';
import { type Answer, send } from './answer.ts';
import { LIMITS, type LimitName } from './limits.ts';
import { readBody } from './read-body.ts';

/** What a route of the admin API is given; express's own request stays behind this. */
export interface ApiCall {
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly contentType: string;
  readonly body: Buffer;
}

/**
 * An express handler that reads the body within its limit, runs the route and writes its answer. Throws reach problems.ts.
 * `takes` are the query parameters of the route and there are no others: whoever asks for a dry run of what has none must
 * not get the change. Errors: request_malformed.
 */
export function api(
  limit: LimitName,
  takes: readonly string[],
  run: (call: ApiCall) => Promise<Answer>,
): RequestHandler {
  return async (request, response) => {
    const body = LIMITS[limit].maxBytes === 0 ? NO_BODY : await readBody(request, LIMITS[limit]);
    const params = Object.fromEntries(Object.entries(request.params).map(([name, value]) => [name, String(value)]));
    const query = queryOf(request);
    for (const text of [...Object.values(params), ...query.keys(), ...query.values()]) refuseNul(text);
    refuseUnknown(query, takes);
    const answer = await run({
      params,
      query,
      contentType: request.headers['content-type'] ?? '',
      body,
    });
    send(response, answer);
  };
}

/** The query parameters of a shape. */
export function namesOf(shape: z.ZodObject): readonly string[] {
  return Object.keys(shape.shape);
}

const MAX_SHOWN_NAME = 100;

function refuseUnknown(query: URLSearchParams, takes: readonly string[]): void {
  const unknown = [...query.keys()].find((name) => !takes.includes(name));
  if (unknown === undefined) return;
  const shown = unknown.slice(0, MAX_SHOWN_NAME).toWellFormed();
  throw new EspalierError('request_malformed', `there is no query parameter ${JSON.stringify(shown)} here`, {
    place: { path: shown },
    fix:
      takes.length === 0
        ? 'This request takes none. Nothing was changed.'
        : `This request takes ${takes.join(', ')}. Nothing was changed.`,
  });
}

const NO_BODY = Buffer.alloc(0);

function queryOf(request: IncomingMessage): URLSearchParams {
  const url = request.url ?? '';
  const cut = url.indexOf('?');
  return new URLSearchParams(cut < 0 ? '' : url.slice(cut + 1));
}

/** No text column can hold it, so no name has it. Errors: request_malformed. */
function refuseNul(text: string): void {
  if (text.includes('\0')) throw new EspalierError('request_malformed', 'a NUL character is in the request');
}

/** The body as JSON of this shape. Errors: request_malformed, naming the field. */
export function jsonBody<Shape extends z.ZodType>(call: ApiCall, shape: Shape): z.output<Shape> {
  let value: unknown;
  try {
    value = JSON.parse(call.body.toString('utf8'), (_key, part: unknown) => {
      if (typeof part === 'string') refuseNul(part);
      return part;
    });
  } catch (cause) {
    if (cause instanceof EspalierError) throw cause;
    // The parser's own message quotes the text around the fault, and that may be a key.
    throw new EspalierError('request_malformed', 'the body is not JSON');
  }
  return checked(value, shape, 'the body');
}

/** Query parameters of this shape. `lists` are those that may be given several times, read elsewhere. */
export function queryOfShape<Shape extends z.ZodType>(
  call: ApiCall,
  shape: Shape,
  lists: readonly string[] = [],
): z.output<Shape> {
  return checked(Object.fromEntries([...call.query].filter(([name]) => !lists.includes(name))), shape, 'the query');
}

function checked<Shape extends z.ZodType>(value: unknown, shape: Shape, what: string): z.output<Shape> {
  const result = shape.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = issue?.path.join('.') ?? '';
  const said = issue === undefined ? 'not valid' : plainly(issue);
  throw new EspalierError('request_malformed', `${path === '' ? what : path}: ${said}`, {
    ...(path === '' ? {} : { place: { path } }),
  });
}

/** The checker's own words for what people get wrong most are not for people. */
function plainly(issue: z.core.$ZodIssue): string {
  if (issue.code === 'too_small' && issue.origin === 'string')
    return issue.minimum === 1 ? 'is empty' : `has fewer than ${issue.minimum} characters`;
  if (issue.code === 'too_big' && issue.origin === 'string') return `has more than ${issue.maximum} characters`;
  if (issue.code === 'too_big' && issue.origin === 'array') return `has more than ${issue.maximum} entries`;
  if (issue.code === 'unrecognized_keys')
    return `there is no ${issue.keys.map((key) => JSON.stringify(key)).join(', ')} here`;
  return issue.message;
}

/** A whole number in a path. Errors: the given not-found code, because no such thing can exist. */
export function idOf(call: ApiCall, name: string): number {
  const text = call.params[name] ?? '';
  const id = Number(text);
  if (!/^\d{1,10}$/.test(text) || id > 2_147_483_647)
    throw new EspalierError('not_found', `${JSON.stringify(text)} is not an id`);
  return id;
}

/** Text of a path segment; express has decoded it. */
export function segment(call: ApiCall, name: string): string {
  return call.params[name] ?? '';
}
