import { RESULT_LIMITS, readPlist } from '../../../plist/read.ts';
import { isDict, type PlistDict } from '../../../plist/types.ts';
import { checkEmitted, type EmittedKind } from './assert.ts';
import { contextOf } from './identity.ts';
import { loadSchema } from './load.ts';
import type { Context, Finding } from './types.ts';

/** One request of a device on an MDM URL, and its answer. */
export interface Exchange {
  /** Of the request. */
  readonly contentType: string;
  readonly requestBody: Uint8Array;
  readonly status: number;
  readonly responseBody: Uint8Array;
}

export interface TapOptions extends Partial<Context> {
  readonly allow?: readonly string[];
}

export interface WireTap {
  /** Checks both directions; returns what is new. */
  exchange(exchange: Exchange): readonly Finding[];
  readonly findings: readonly Finding[];
  /** How many bodies of each kind were looked at. */
  readonly counts: ReadonlyMap<EmittedKind, number>;
  /** Throws where there was an error, or where nothing was seen: a judge that never sits passes all. */
  assertClean(): void;
}

/** Listens to a whole conversation, of one device or of many, and remembers which command a result answers. */
export function createWireTap(known: TapOptions = {}): WireTap {
  const findings: Finding[] = [];
  const counts = new Map<EmittedKind, number>();
  const requestTypes = new Map<string, string>();

  const check = (bytes: Uint8Array, kind: EmittedKind, more: Parameters<typeof checkEmitted>[2]): void => {
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    const found = checkEmitted(bytes, kind, { ...known, ...more });
    findings.push(...found.map((finding) => ({ ...finding, message: `${kind}: ${finding.message}` })));
  };
  const problem = (message: string): void => {
    findings.push({ path: '', rule: 'envelope', message, severity: 'error' });
  };

  const answer = (exchange: Exchange, kind: EmittedKind, request: PlistDict): void => {
    const { status, responseBody } = exchange;
    const { os, version, channel, enrollment } = contextOf(request, known);
    const context = { os, version, channel, enrollment, messageType: textAt(request, 'MessageType') };
    if (status === 401) problem('401 unenrols the device (CHK-06)');
    if (status === 403 && responseBody.length > 0) check(responseBody, 'refusal', context);
    if (status !== 200 && status >= 200 && status < 300) problem(`${status} where 200 belongs (CMD-06)`);
    if (status !== 200) return;
    check(responseBody, kind, context);
    const command = kind === 'command' && responseBody.length > 0 ? dictOf(responseBody) : undefined;
    if (command !== undefined) remember(command, request);
  };
  const remember = (command: PlistDict, request: PlistDict): void => {
    const inner = command.get('Command');
    const type = isDict(inner) ? textAt(inner, 'RequestType') : undefined;
    const key = commandKey(request, textAt(command, 'CommandUUID'));
    const before = requestTypes.get(key);
    if (before !== undefined && before !== type) problem('one CommandUUID for two commands (CMD-09)');
    if (type !== undefined) requestTypes.set(key, type);
  };

  return {
    findings,
    counts,
    exchange(exchange) {
      if (loadSchema() === undefined) return [];
      const before = findings.length;
      const request = dictOf(exchange.requestBody);
      if (request === undefined) {
        problem('a request is no property list with a dictionary');
      } else if (mediaType(exchange.contentType) === 'application/x-apple-aspen-mdm-checkin') {
        check(exchange.requestBody, 'checkin-request', {});
        answer(exchange, 'checkin-response', request);
      } else if (mediaType(exchange.contentType) === 'application/x-apple-aspen-mdm') {
        const requestType = requestTypes.get(commandKey(request, textAt(request, 'CommandUUID')));
        if (requestType === undefined && request.get('Status') !== 'Idle') problem('a result of no command seen here');
        else check(exchange.requestBody, 'command-result', { requestType });
        answer(exchange, 'command', request);
      } else {
        problem(`${exchange.contentType} is neither of the MDM media types (§1.1)`);
      }
      return findings.slice(before);
    },
    assertClean() {
      if (loadSchema() === undefined) return;
      const errors = findings.filter((finding) => finding.severity === 'error');
      if (errors.length > 0) {
        throw new Error(errors.map(({ path, rule, message }) => `${path || '(top)'}: ${message} [${rule}]`).join('\n'));
      }
      if (counts.size === 0) throw new Error('the wire tap saw nothing');
    },
  };
}

/** A CommandUUID is unique for one channel of one device (CMD-09). */
function commandKey(request: PlistDict, uuid: string | undefined): string {
  const device = textAt(request, 'UDID') ?? textAt(request, 'EnrollmentID') ?? '';
  const user = textAt(request, 'UserID') ?? textAt(request, 'EnrollmentUserID') ?? '';
  return [device, user, textAt(request, 'UserShortName') ?? '', uuid ?? ''].join('\n');
}

function mediaType(contentType: string): string {
  return (contentType.split(';')[0] ?? '').trim().toLowerCase();
}

function textAt(dict: PlistDict, key: string): string | undefined {
  const value = dict.get(key);
  return typeof value === 'string' ? value : undefined;
}

function dictOf(bytes: Uint8Array): PlistDict | undefined {
  try {
    const value = readPlist(bytes, RESULT_LIMITS);
    return isDict(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
