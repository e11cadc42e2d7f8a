import type { PlistPath } from '../plist/locate.ts';
import { isDict, kindOf, type PlistDict, type PlistValue } from '../plist/types.ts';
import { error, errorsFirst, pathOf, warning } from './finding.ts';
import { payloadKeyFindings, type SpellingBudget, spellingBudget, topLevelKeyFindings } from './payload-keys.ts';
import {
  DEVICE_CHANNEL_ONLY,
  ESCROW_PAYLOAD_TYPES,
  FORBIDDEN_PAYLOAD_TYPES,
  isReservedIdentifier,
  USER_CHANNEL_ONLY,
  VARIABLE,
} from './payload-rules.ts';
import type { Finding, FindingCode, Mobileconfig, Payload } from './types.ts';

/** PostgreSQL's btree refuses keys beyond about 2700 bytes; no real identifier comes near this. */
const MAX_IDENTIFIER = 512;
/** Of each severity: a list that is longer helps nobody, and an upload may have a million faults. */
const MAX_FINDINGS = 100;
const UUID = /^[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}$/;
/** Mac is TargetDeviceType 5, any is 0 (apple-protocol §3.1). */
const TARGETS_WITH_MAC = new Set([0, 5]);

/** What is wrong with a profile, all of it up to a bound: errors refuse the upload, warnings are shown. Pure. */
export function validate(profile: Mobileconfig): readonly Finding[] {
  const errors: Finding[] = [];
  const warnings: Finding[] = [];
  for (const finding of everyFinding(profile)) {
    const list = finding.severity === 'error' ? errors : warnings;
    if (list.length < MAX_FINDINGS) list.push(finding);
    if (errors.length === MAX_FINDINGS) break;
  }
  return errorsFirst([...errors, ...warnings]).slice(0, MAX_FINDINGS);
}

function* everyFinding(profile: Mobileconfig): Generator<Finding> {
  const spelling = spellingBudget();
  yield* topLevel(profile, spelling);
  for (const payload of profile.payloads) yield* onePayload(payload, profile, spelling);
  yield* duplicates(profile.payloads, 'identifier', 'duplicate_identifier', 'PayloadIdentifier');
  yield* duplicates(profile.payloads, 'uuid', 'duplicate_uuid', 'PayloadUUID');
  yield* variables(profile.root);
}

function* topLevel(profile: Mobileconfig, spelling: SpellingBudget): Generator<Finding> {
  const { root, identifier, uuid, format } = profile;
  yield* requiredText(root, ['PayloadIdentifier']);
  yield* requiredText(root, ['PayloadUUID']);
  yield* version(root, []);
  const type = root.get('PayloadType');
  if (type !== 'Configuration')
    yield error('not_a_configuration', ['PayloadType'], `PayloadType must be Configuration, found ${shown(type)}`);
  for (const [key, value] of [
    ['PayloadIdentifier', identifier],
    ['PayloadUUID', uuid],
  ] as const) {
    if (value === '' || isIdentifier(value)) continue;
    const message = `${key} has at most ${MAX_IDENTIFIER} characters, none of them space or control characters`;
    yield error('identifier_malformed', [key], message);
  }
  if (isReservedIdentifier(identifier))
    yield error('identifier_reserved', ['PayloadIdentifier'], `${identifier} belongs to Espalier's own profiles`);
  const declared = root.get('PayloadScope');
  if (declared !== undefined && declared !== 'System' && declared !== 'User')
    yield error('scope_invalid', ['PayloadScope'], `PayloadScope is System or User, found ${shown(declared)}`);
  yield* contentFindings(profile);
  if (format === 'binary')
    yield warning('binary_plist', [], 'the upload is a binary property list; it is delivered as XML');
  if (uuid !== '' && !UUID.test(uuid)) yield warning('uuid_malformed', ['PayloadUUID'], `${shown(uuid)} is not a UUID`);
  const removes = ['RemovalDate', 'DurationUntilRemoval'].find((key) => root.has(key));
  if (removes !== undefined)
    yield warning('removes_itself', [removes], 'the profile removes itself, and Espalier installs it again');
  const target = root.get('TargetDeviceType');
  if (typeof target === 'number' && !TARGETS_WITH_MAC.has(target))
    yield warning('not_for_mac', ['TargetDeviceType'], `TargetDeviceType ${target} is not the Mac`);
  yield* topLevelKeyFindings(root, spelling);
}

function* contentFindings({ root, payloads }: Mobileconfig): Generator<Finding> {
  const content = root.get('PayloadContent');
  if (root.has('EncryptedPayloadContent') || root.get('IsEncrypted') === true) {
    const message = 'an encrypted profile fits one Mac only and cannot be checked';
    yield error('encrypted_content', ['EncryptedPayloadContent'], message);
  } else if (!Array.isArray(content) || content.length === 0) {
    yield error('empty_content', ['PayloadContent'], 'PayloadContent is an array of at least one payload');
  } else if (payloads.length < content.length) {
    const at = content.findIndex((item) => !isDict(item));
    yield error('wrong_type', ['PayloadContent', at], `a payload is a dict, found ${shown(content[at])}`);
  }
}

function* onePayload(payload: Payload, profile: Mobileconfig, spelling: SpellingBudget): Generator<Finding> {
  const { type, identifier, uuid, content } = payload;
  const at: PlistPath = ['PayloadContent', payload.index];
  for (const key of ['PayloadType', 'PayloadIdentifier', 'PayloadUUID']) yield* requiredText(content, [...at, key]);
  yield* version(content, at);
  const refused = refusedType(type, profile);
  if (refused !== undefined) yield error(refused.code, [...at, 'PayloadType'], refused.message);
  else yield* payloadKeyFindings(type, content, at, spelling);
  if (isReservedIdentifier(identifier)) {
    const code = type === 'com.apple.security.scep' ? 'enrollment_scep' : 'identifier_reserved';
    yield error(code, [...at, 'PayloadIdentifier'], `${identifier} belongs to Espalier's own profiles`);
  }
  if (uuid !== '' && !UUID.test(uuid))
    yield warning('uuid_malformed', [...at, 'PayloadUUID'], `${shown(uuid)} is not a UUID`);
  const escrow = ESCROW_PAYLOAD_TYPES.get(type);
  if (escrow !== undefined) yield warning('escrow_elsewhere', [...at, 'PayloadType'], `${type}: ${escrow}`);
}

function refusedType(type: string, { scope }: Mobileconfig): { code: FindingCode; message: string } | undefined {
  const why = FORBIDDEN_PAYLOAD_TYPES.get(type);
  if (why !== undefined) return { code: 'payload_type_forbidden', message: `${type}: ${why}` };
  const wrongChannel = scope === 'User' ? DEVICE_CHANNEL_ONLY : USER_CHANNEL_ONLY;
  if (!wrongChannel.has(type)) return undefined;
  const other = scope === 'User' ? 'System' : 'User';
  const message = `a Mac takes ${type} only with PayloadScope ${other}; this profile has ${scope}`;
  return { code: 'payload_channel_forbidden', message };
}

function* duplicates(
  payloads: readonly Payload[],
  field: 'identifier' | 'uuid',
  code: FindingCode,
  key: string,
): Generator<Finding> {
  const first = new Map<string, number>();
  for (const payload of payloads) {
    const value = field === 'uuid' ? payload.uuid.toUpperCase() : payload.identifier;
    const earlier = first.get(value);
    if (value === '') continue;
    if (earlier === undefined) first.set(value, payload.index);
    else {
      const message = `${payload[field]} is also the ${key} of PayloadContent[${earlier}]`;
      yield error(code, ['PayloadContent', payload.index, key], message);
    }
  }
}

/** Other servers' variables would travel as literal text and look like a setting. Iterative: depth is bounded by the reader. */
function* variables(root: PlistDict): Generator<Finding> {
  const open: [PlistValue, PlistPath][] = [[root, []]];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [value, at] = next;
    if (typeof value === 'string') {
      const found = VARIABLE.exec(value)?.[0];
      if (found === undefined) continue;
      yield error('variable_unsupported', at, `${found} is not replaced by this server`);
      return;
    }
    if (Array.isArray(value)) for (const [index, item] of value.entries()) open.push([item, [...at, index]]);
    else if (isDict(value)) for (const [key, item] of value) open.push([item, [...at, key]]);
  }
}

function* requiredText(dict: PlistDict, at: PlistPath): Generator<Finding> {
  const value = dict.get(String(at.at(-1)));
  if (value === undefined || value === '') yield error('missing_key', at, `${pathOf(at)} is missing`);
  else if (typeof value !== 'string')
    yield error('wrong_type', at, `${pathOf(at)} must be a string, found ${shown(value)}`);
}

function* version(dict: PlistDict, parent: PlistPath): Generator<Finding> {
  const at = [...parent, 'PayloadVersion'];
  const value = dict.get('PayloadVersion');
  if (value === undefined) yield error('missing_key', at, `${pathOf(at)} is missing; it is 1`);
  else if (typeof value !== 'number')
    yield error('wrong_type', at, `${pathOf(at)} must be an integer, found ${shown(value)}`);
  else if (value !== 1) yield error('payload_version_unsupported', at, `${pathOf(at)} must be 1, found ${value}`);
}

function isIdentifier(text: string): boolean {
  return text.length <= MAX_IDENTIFIER && !/[\s\p{Cc}]/u.test(text);
}

function shown(value: PlistValue | undefined): string {
  if (value === undefined) return 'nothing';
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : kindOf(value);
}
