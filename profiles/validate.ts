import { isDict, kindOf, type PlistDict, type PlistValue } from '../plist/types.ts';
import {
  DEVICE_CHANNEL_ONLY,
  FORBIDDEN_PAYLOAD_TYPES,
  isReservedIdentifier,
  USER_CHANNEL_ONLY,
  VARIABLE,
} from './payload-rules.ts';
import type { Finding, FindingCode, Mobileconfig, Payload } from './types.ts';

/** PostgreSQL's btree refuses keys beyond about 2700 bytes; no real identifier comes near this. */
const MAX_IDENTIFIER = 512;
const MAX_FINDINGS = 100;
const UUID = /^[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}$/;
/** Mac is TargetDeviceType 5, any is 0 (apple-protocol §3.1). */
const TARGETS_WITH_MAC = new Set([0, 5]);

/** What is wrong with a profile, all of it: errors refuse the upload, warnings are shown. Pure. */
export function validate(profile: Mobileconfig): readonly Finding[] {
  const findings = [
    ...topLevel(profile),
    ...profile.payloads.flatMap((payload) => onePayload(payload, profile)),
    ...betweenPayloads(profile.payloads),
    ...variables(profile.root, ''),
  ];
  // Errors first: no number of warnings may push one out.
  const rank = (finding: Finding) => (finding.severity === 'error' ? 0 : 1);
  return findings.sort((a, b) => rank(a) - rank(b)).slice(0, MAX_FINDINGS);
}

function topLevel({ root, identifier, uuid, format, payloads }: Mobileconfig): Finding[] {
  const findings: Finding[] = [
    ...requiredText(root, 'PayloadIdentifier', ''),
    ...requiredText(root, 'PayloadUUID', ''),
    ...version(root, ''),
  ];
  const type = root.get('PayloadType');
  if (type !== 'Configuration')
    findings.push(
      error('not_a_configuration', 'PayloadType', `PayloadType must be Configuration, found ${shown(type)}`),
    );
  for (const [key, value] of [
    ['PayloadIdentifier', identifier],
    ['PayloadUUID', uuid],
  ] as const) {
    if (value === '' || isIdentifier(value)) continue;
    const message = `${key} has at most ${MAX_IDENTIFIER} characters, none of them space or control characters`;
    findings.push(error('identifier_malformed', key, message));
  }
  if (isReservedIdentifier(identifier)) {
    findings.push(
      error('identifier_reserved', 'PayloadIdentifier', `${identifier} belongs to Espalier's own profiles`),
    );
  }
  const declared = root.get('PayloadScope');
  if (declared !== undefined && declared !== 'System' && declared !== 'User') {
    findings.push(error('scope_invalid', 'PayloadScope', `PayloadScope is System or User, found ${shown(declared)}`));
  }
  const content = root.get('PayloadContent');
  if (root.has('EncryptedPayloadContent') || root.get('IsEncrypted') === true) {
    findings.push(
      error(
        'encrypted_content',
        'EncryptedPayloadContent',
        'an encrypted profile fits one Mac only and cannot be checked',
      ),
    );
  } else if (!Array.isArray(content) || content.length === 0) {
    findings.push(error('empty_content', 'PayloadContent', 'PayloadContent is an array of at least one payload'));
  } else if (payloads.length < content.length) {
    const at = content.findIndex((item) => !isDict(item));
    findings.push(error('wrong_type', `PayloadContent[${at}]`, `a payload is a dict, found ${shown(content[at])}`));
  }
  if (format === 'binary')
    findings.push(warning('binary_plist', '', 'the upload is a binary property list; it is delivered as XML'));
  if (uuid !== '' && !UUID.test(uuid))
    findings.push(warning('uuid_malformed', 'PayloadUUID', `${shown(uuid)} is not a UUID`));
  if (root.has('RemovalDate') || root.has('DurationUntilRemoval')) {
    findings.push(
      warning('removes_itself', 'RemovalDate', 'the profile removes itself, and Espalier installs it again'),
    );
  }
  const target = root.get('TargetDeviceType');
  if (typeof target === 'number' && !TARGETS_WITH_MAC.has(target)) {
    findings.push(warning('not_for_mac', 'TargetDeviceType', `TargetDeviceType ${target} is not the Mac`));
  }
  return findings;
}

function onePayload(payload: Payload, profile: Mobileconfig): Finding[] {
  const path = `PayloadContent[${payload.index}]`;
  const at = (finding: Finding): Finding => ({ ...finding, payloadIndex: payload.index });
  const findings = [
    ...requiredText(payload.content, 'PayloadType', path),
    ...requiredText(payload.content, 'PayloadIdentifier', path),
    ...requiredText(payload.content, 'PayloadUUID', path),
    ...version(payload.content, path),
  ];
  const why = FORBIDDEN_PAYLOAD_TYPES.get(payload.type);
  if (why !== undefined)
    findings.push(error('payload_type_forbidden', `${path}.PayloadType`, `${payload.type}: ${why}`));
  const wrongChannel = profile.scope === 'User' ? DEVICE_CHANNEL_ONLY : USER_CHANNEL_ONLY;
  if (wrongChannel.has(payload.type)) {
    const other = profile.scope === 'User' ? 'System' : 'User';
    findings.push(
      error(
        'payload_channel_forbidden',
        `${path}.PayloadType`,
        `a Mac takes ${payload.type} only with PayloadScope ${other}; this profile has ${profile.scope}`,
      ),
    );
  }
  if (isReservedIdentifier(payload.identifier)) {
    const code = payload.type === 'com.apple.security.scep' ? 'enrollment_scep' : 'identifier_reserved';
    findings.push(error(code, `${path}.PayloadIdentifier`, `${payload.identifier} belongs to Espalier's own profiles`));
  }
  if (payload.uuid !== '' && !UUID.test(payload.uuid)) {
    findings.push(warning('uuid_malformed', `${path}.PayloadUUID`, `${shown(payload.uuid)} is not a UUID`));
  }
  return findings.map(at);
}

function betweenPayloads(payloads: readonly Payload[]): Finding[] {
  const duplicates = (key: 'identifier' | 'uuid', code: FindingCode, name: string): Finding[] => {
    const first = new Map<string, number>();
    return payloads.flatMap((payload) => {
      const value = key === 'uuid' ? payload.uuid.toUpperCase() : payload.identifier;
      const earlier = first.get(value);
      if (value === '' || earlier === undefined) {
        first.set(value, payload.index);
        return [];
      }
      const path = `PayloadContent[${payload.index}].${name}`;
      return [
        {
          ...error(code, path, `${payload[key]} is also the ${name} of PayloadContent[${earlier}]`),
          payloadIndex: payload.index,
        },
      ];
    });
  };
  return [
    ...duplicates('identifier', 'duplicate_identifier', 'PayloadIdentifier'),
    ...duplicates('uuid', 'duplicate_uuid', 'PayloadUUID'),
  ];
}

/** Other servers' variables would travel as literal text and look like a setting. Iterative: depth is bounded by the reader. */
function variables(root: PlistDict, top: string): Finding[] {
  const open: [PlistValue, string][] = [[root, top]];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [value, path] = next;
    if (typeof value === 'string') {
      const found = VARIABLE.exec(value)?.[0];
      if (found !== undefined) return [error('variable_unsupported', path, `${found} is not replaced by this server`)];
    } else if (Array.isArray(value)) {
      for (const [index, item] of value.entries()) open.push([item, `${path}[${index}]`]);
    } else if (isDict(value)) {
      for (const [key, item] of value) open.push([item, path === '' ? key : `${path}.${key}`]);
    }
  }
  return [];
}

function requiredText(dict: PlistDict, key: string, path: string): Finding[] {
  const value = dict.get(key);
  const where = path === '' ? key : `${path}.${key}`;
  if (value === undefined || value === '') return [error('missing_key', where, `${where} is missing`)];
  return typeof value === 'string'
    ? []
    : [error('wrong_type', where, `${where} must be a string, found ${shown(value)}`)];
}

function version(dict: PlistDict, path: string): Finding[] {
  const where = path === '' ? 'PayloadVersion' : `${path}.PayloadVersion`;
  const value = dict.get('PayloadVersion');
  if (value === undefined) return [error('missing_key', where, `${where} is missing; it is 1`)];
  if (typeof value !== 'number')
    return [error('wrong_type', where, `${where} must be an integer, found ${shown(value)}`)];
  return value === 1 ? [] : [error('payload_version_unsupported', where, `${where} must be 1, found ${value}`)];
}

function isIdentifier(text: string): boolean {
  return text.length <= MAX_IDENTIFIER && !/[\s\p{Cc}]/u.test(text);
}

function shown(value: PlistValue | undefined): string {
  if (value === undefined) return 'nothing';
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : kindOf(value);
}

function keyOf(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1);
}

function error(code: FindingCode, path: string, message: string): Finding {
  return { code, severity: 'error', message, path, key: keyOf(path) };
}

function warning(code: FindingCode, path: string, message: string): Finding {
  return { code, severity: 'warning', message, path, key: keyOf(path) };
}
