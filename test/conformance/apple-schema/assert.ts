import { verifySignedData } from '../../../cms/signed-data.ts';
import { EspalierError } from '../../../core/errors.ts';
import { isBinaryPlist, PROFILE_LIMITS, RESULT_LIMITS, readPlist } from '../../../plist/read.ts';
import { isDict, type PlistDict } from '../../../plist/types.ts';
import { MAC } from './identity.ts';
import { loadSchema } from './load.ts';
import {
  validateCheckinRequest,
  validateCheckinResponse,
  validateCommand,
  validateCommandResponse,
  validateRefusal,
} from './messages.ts';
import { validateProfile } from './profile.ts';
import type { Context, Finding, Rule } from './types.ts';

export type EmittedKind =
  | 'command'
  | 'command-result'
  | 'checkin-request'
  | 'checkin-response'
  | 'profile'
  | 'enrollment-profile'
  | 'refusal';

export interface EmittedContext extends Partial<Context> {
  /** Of the command a `command-result` answers; absent for Idle. */
  readonly requestType?: string | undefined;
  /** Of the message a `checkin-response` answers. */
  readonly messageType?: string | undefined;
  /** Paths whose findings are known and accepted, such as macOS's `Challenge` in Authenticate. */
  readonly allow?: readonly string[];
}

/**
 * Throws where bytes that went over the wire, either way, are not what Apple's data describes; returns the warnings.
 * Where the data is not beside the repository it does nothing.
 */
export function assertEmitted(bytes: Uint8Array, kind: EmittedKind, context: EmittedContext = {}): readonly Finding[] {
  const findings = checkEmitted(bytes, kind, context);
  const errors = findings.filter((finding) => finding.severity === 'error');
  if (errors.length > 0) {
    const lines = errors.map(({ path, rule, message }) => `  ${path || '(top)'}: ${message} [${rule}]`);
    throw new Error(`${kind} is not what Apple describes:\n${lines.join('\n')}\n${excerpt(bytes)}`);
  }
  return findings;
}

/** The same, as a list. */
export function checkEmitted(bytes: Uint8Array, kind: EmittedKind, context: EmittedContext = {}): readonly Finding[] {
  if (loadSchema() === undefined) return [];
  return findingsOf(bytes, kind, context)
    .map((finding) => (isOurs(finding, kind) ? { ...finding, severity: 'error' as const } : finding))
    .filter((finding) => !(context.allow ?? []).includes(finding.path));
}

/** An unknown key is a mistake where the software under test wrote it; in an uploaded profile it is its author's. */
function isOurs(finding: Finding, kind: EmittedKind): boolean {
  return finding.rule === 'unknown-key' && kind !== 'profile' && !finding.path.startsWith('Command.Payload.');
}

function findingsOf(bytes: Uint8Array, kind: EmittedKind, known: EmittedContext): readonly Finding[] {
  const context: Context = { ...MAC, ...known };
  switch (kind) {
    case 'command':
      // No command left: zero bytes (CMD-06).
      return bytes.length === 0
        ? []
        : [...encodingFindings(bytes), ...inDict(bytes, (dict) => commandFindings(dict, context))];
    case 'command-result':
      return inDict(bytes, (dict) => validateCommandResponse(known.requestType, dict, known));
    case 'checkin-request':
      return inDict(bytes, (dict) => validateCheckinRequest(dict, known));
    case 'checkin-response':
      return checkinResponseFindings(bytes, known);
    case 'profile':
      return profileFindings(bytes, context);
    case 'enrollment-profile':
      return enrollmentProfileFindings(bytes, { ...context, delivery: known.delivery ?? 'manual' });
    case 'refusal':
      return refusalFindings(bytes, context);
  }
}

function commandFindings(dict: PlistDict, context: Context): readonly Finding[] {
  const command = dict.get('Command');
  const payload =
    isDict(command) && command.get('RequestType') === 'InstallProfile' ? command.get('Payload') : undefined;
  const inside = payload instanceof Uint8Array ? profileFindings(payload, context) : [];
  return [
    ...validateCommand(dict, context),
    ...inside.map((finding) => ({ ...finding, path: `Command.Payload.${finding.path}` })),
  ];
}

function enrollmentProfileFindings(bytes: Uint8Array, context: Context): readonly Finding[] {
  const findings = profileFindings(bytes, context);
  const content = contentOf(bytes);
  return [...findings, ...(content === undefined ? [] : encodingFindings(content))];
}

function profileFindings(bytes: Uint8Array, context: Context): readonly Finding[] {
  const content = contentOf(bytes);
  if (content === undefined) return [finding('unreadable', 'the signature of the profile does not verify')];
  return inDict(content, (dict) => validateProfile(dict, context));
}

/** A signed profile is CMS with the profile inside; its first byte is that of a SEQUENCE. */
function contentOf(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes[0] !== 0x30) return bytes;
  try {
    return verifySignedData(bytes, { maxNodes: 1_000_000 }).content;
  } catch (problem) {
    if (problem instanceof EspalierError) return undefined;
    throw problem;
  }
}

function checkinResponseFindings(bytes: Uint8Array, known: EmittedContext): readonly Finding[] {
  const { messageType } = known;
  if (messageType === undefined) throw new Error('a checkin-response needs the messageType it answers');
  if (messageType === 'DeclarativeManagement') return bytes.length === 0 || isJson(bytes) ? [] : [notJson()];
  if (bytes.length === 0) return validateCheckinResponse(messageType, undefined, known);
  return [...encodingFindings(bytes), ...inDict(bytes, (dict) => validateCheckinResponse(messageType, dict, known))];
}

function refusalFindings(bytes: Uint8Array, context: Context): readonly Finding[] {
  if (bytes.length === 0) return [];
  if (!isJson(bytes)) return inDict(bytes, (dict) => validateRefusal(dict, context));
  const body: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
  if (typeof body !== 'object' || body === null) return [finding('unreadable', 'a refusal is a dictionary')];
  return validateRefusal(fromJson(body), context);
}

/** Refusals hold strings and dictionaries and nothing else. */
function fromJson(body: object): PlistDict {
  return new Map(
    Object.entries(body).map(([key, value]) => [
      key,
      typeof value === 'object' && value !== null ? fromJson(value) : String(value),
    ]),
  );
}

/** CMD-11: what some parsers on devices stumble over is not sent. */
function encodingFindings(bytes: Uint8Array): readonly Finding[] {
  if (isBinaryPlist(bytes)) return [finding('encoding', 'a server sends XML')];
  const text = Buffer.from(bytes).toString('latin1');
  return ['<!--', '<![CDATA[', '<!ENTITY'].flatMap((mark) =>
    text.includes(mark) ? [finding('encoding', `${mark} is not sent to devices (CMD-11)`)] : [],
  );
}

function inDict(bytes: Uint8Array, look: (dict: PlistDict) => readonly Finding[]): readonly Finding[] {
  try {
    const value = readPlist(bytes, {
      ...RESULT_LIMITS,
      maxBytes: PROFILE_LIMITS.maxBytes,
      maxDepth: PROFILE_LIMITS.maxDepth,
    });
    return isDict(value) ? look(value) : [finding('unreadable', 'the property list is no dictionary')];
  } catch (problem) {
    if (!(problem instanceof EspalierError)) throw problem;
    return [finding('unreadable', problem.message)];
  }
}

function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(Buffer.from(bytes).toString('utf8'));
    return true;
  } catch {
    return false;
  }
}

const notJson = (): Finding => finding('unreadable', 'an answer to DeclarativeManagement is JSON');

function finding(rule: Rule, message: string): Finding {
  return { path: '', rule, message, severity: 'error' };
}

function excerpt(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString('utf8');
  return text.length > 2000 ? `${text.slice(0, 2000)}… (${bytes.length} bytes)` : text;
}
