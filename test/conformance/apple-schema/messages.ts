import { isDict, kindOf, type PlistDict, type PlistKind, type PlistValue } from '../../../plist/types.ts';
import { blockFindings } from './applicability.ts';
import { contextOf, IDENTITY_KEYS, identityFindings } from './identity.ts';
import { schema } from './load.ts';
import type { Context, Finding, Rule, SchemaItem } from './types.ts';
import { walkKeys } from './walk.ts';

/** Check-in and command messages: their envelope (apple-protocol §§1-2), and what Apple's data says of the rest. */

const STATUSES = ['Idle', 'Acknowledged', 'Error', 'CommandFormatError', 'NotNow'];

/** In any request of a macOS user channel (§1.4). */
const USER_CHANNEL_KEYS: readonly (readonly [string, PlistKind])[] = [
  ['NeedSyncResponse', 'boolean'],
  ['UserConfiguration', 'boolean'],
  ['AuthToken', 'string'],
];

function error(path: string, rule: Rule, message: string): Finding {
  return { path, rule, message, severity: 'error' };
}

function available(item: SchemaItem, context: Context): readonly Finding[] {
  return blockFindings(item.os?.[context.os], context, '', item.id ?? item.file);
}

function declares(item: SchemaItem, name: string): boolean {
  return item.keys.some((node) => 'key' in node && node.key === name);
}

/** A check-in message as a device sends it. What the message does not say of its sender is `known`, else a Mac's. */
export function validateCheckinRequest(dict: PlistDict, known: Partial<Context> = {}): readonly Finding[] {
  const type = dict.get('MessageType');
  if (typeof type !== 'string') return [error('MessageType', 'envelope', 'a check-in has a MessageType')];
  const item = schema().checkin.get(type);
  if (item === undefined) return [error('MessageType', 'unknown-type', `no check-in message is called ${type}`)];
  const context = contextOf(dict, known);
  return [
    ...available(item, context),
    ...identityFindings(dict, context, declares(item, 'UserLongName')),
    ...userChannelFindings(dict, context),
    ...walkKeys(dict, item.keys, context, '', envelope(context, [])),
  ];
}

/** The body of a 200 to a check-in message; undefined where there is none (CHK-04: zero bytes, not an empty list). */
export function validateCheckinResponse(
  messageType: string,
  dict: PlistDict | undefined,
  known: Partial<Context> = {},
): readonly Finding[] {
  const item = schema().checkin.get(messageType);
  if (item === undefined) return [error('', 'unknown-type', `no check-in message is called ${messageType}`)];
  if (item.response === undefined) {
    return dict === undefined
      ? []
      : [error('', 'unexpected-body', `the answer to ${messageType} has no body (CHK-04)`)];
  }
  if (dict !== undefined) return walkKeys(dict, item.response, contextOf(new Map(), known));
  const needed = item.response.some((node) => 'key' in node && node.presence === 'required');
  return needed ? [error('', 'missing-key', `the answer to ${messageType} has a body`)] : [];
}

/** A command as a server hands it out. */
export function validateCommand(dict: PlistDict, context: Context): readonly Finding[] {
  const findings: Finding[] = [];
  const uuid = dict.get('CommandUUID');
  if (typeof uuid !== 'string' || uuid === '') {
    findings.push(error('CommandUUID', 'envelope', 'a command has a CommandUUID that is a string and not empty'));
  }
  for (const key of dict.keys()) {
    if (key === 'CommandUUID' || key === 'Command') continue;
    findings.push({ path: key, rule: 'unknown-key', message: `${key} beside Command`, severity: 'warning' });
  }
  const command = dict.get('Command');
  if (!isDict(command)) return [...findings, error('Command', 'envelope', 'a command has a Command dictionary')];
  const type = command.get('RequestType');
  if (typeof type !== 'string') {
    return [...findings, error('Command.RequestType', 'envelope', 'a command has a RequestType')];
  }
  const item = schema().commands.get(type);
  if (item === undefined) {
    return [...findings, error('Command.RequestType', 'unknown-type', `no command is called ${type}`)];
  }
  const tether = command.get('RequestRequiresNetworkTether');
  if (tether !== undefined && typeof tether !== 'boolean') {
    findings.push(error('Command.RequestRequiresNetworkTether', 'type', 'must be boolean'));
  }
  const elsewhere = new Set(['RequestType', 'RequestRequiresNetworkTether']);
  return [...findings, ...available(item, context), ...walkKeys(command, item.keys, context, 'Command', elsewhere)];
}

/** A result as a device sends it; `requestType` of the command it answers, undefined for Idle. */
export function validateCommandResponse(
  requestType: string | undefined,
  dict: PlistDict,
  known: Partial<Context> = {},
): readonly Finding[] {
  const context = contextOf(dict, known);
  const status = dict.get('Status');
  const findings = [
    ...identityFindings(dict, context, false),
    ...userChannelFindings(dict, context),
    ...statusFindings(dict, status),
    ...errorChainFindings(dict.get('ErrorChain'), status),
  ];
  const item = requestType === undefined ? undefined : schema().commands.get(requestType);
  if (requestType !== undefined && item === undefined) {
    return [...findings, error('', 'unknown-type', `no command is called ${requestType}`)];
  }
  const answer = status === 'Idle' ? [] : (item?.response ?? []);
  const elsewhere = envelope(context, ['CommandUUID', 'Status', 'ErrorChain', 'NotOnConsole']);
  const content = walkKeys(dict, answer, context, '', elsewhere);
  // Only an Acknowledged answers in full.
  const whole = status === 'Acknowledged' ? content : content.filter((finding) => !isMissingAtTop(finding));
  return [...findings, ...whole];
}

function isMissingAtTop(finding: Finding): boolean {
  return finding.rule === 'missing-key' && !/[.[]/.test(finding.path);
}

function envelope(context: Context, further: readonly string[]): ReadonlySet<string> {
  const user = context.channel === 'user' ? USER_CHANNEL_KEYS.map(([key]) => key) : [];
  return new Set([...IDENTITY_KEYS, ...user, ...further.filter((key) => key !== 'NotOnConsole' || user.length > 0)]);
}

function userChannelFindings(dict: PlistDict, context: Context): readonly Finding[] {
  if (context.channel !== 'user') return [];
  return [...USER_CHANNEL_KEYS, ['NotOnConsole', 'boolean'] as const].flatMap(([key, kind]) => {
    const value = dict.get(key);
    return value === undefined || kindOf(value) === kind ? [] : [error(key, 'type', `${key} must be ${kind}`)];
  });
}

function statusFindings(dict: PlistDict, status: PlistValue | undefined): readonly Finding[] {
  if (typeof status !== 'string' || !STATUSES.includes(status)) {
    return [error('Status', 'envelope', `Status is one of ${STATUSES.join(', ')}`)];
  }
  const uuid = dict.get('CommandUUID');
  if (status === 'Idle') {
    return uuid === undefined ? [] : [error('CommandUUID', 'envelope', 'Idle answers no command')];
  }
  return typeof uuid === 'string' && uuid !== ''
    ? []
    : [error('CommandUUID', 'envelope', `${status} names the command it answers`)];
}

const LINK: readonly (readonly [string, PlistKind, boolean])[] = [
  ['ErrorCode', 'integer', true],
  ['ErrorDomain', 'string', true],
  ['LocalizedDescription', 'string', true],
  ['USEnglishDescription', 'string', false],
];

function errorChainFindings(chain: PlistValue | undefined, status: PlistValue | undefined): readonly Finding[] {
  if (chain === undefined) {
    const message = 'an Error says what failed';
    return status === 'Error' ? [{ path: 'ErrorChain', rule: 'missing-key', message, severity: 'warning' }] : [];
  }
  if (!Array.isArray(chain)) return [error('ErrorChain', 'type', 'ErrorChain must be array')];
  return chain.flatMap((link, index) => {
    const path = `ErrorChain[${index}]`;
    if (!isDict(link)) return [error(path, 'type', 'a link must be dictionary')];
    return LINK.flatMap(([key, kind, required]) => {
      const value = link.get(key);
      if (value === undefined) return required ? [error(`${path}.${key}`, 'missing-key', `${key} is required`)] : [];
      return kindOf(value) === kind ? [] : [error(`${path}.${key}`, 'type', `${key} must be ${kind}`)];
    });
  });
}

/** The body of a 403 that tells the device why (CHK-07, §3.6). */
export function validateRefusal(dict: PlistDict, context: Context): readonly Finding[] {
  const code = dict.get('code');
  const item = typeof code === 'string' ? schema().errors.get(code) : undefined;
  if (item === undefined) return [error('code', 'unknown-type', 'a refusal has one of Apple’s codes')];
  return [...available(item, context), ...walkKeys(dict, item.keys, context)];
}
