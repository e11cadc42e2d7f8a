import type { CommandOutcome, ErrorChainItem } from '../core/effects.ts';
import { EspalierError } from '../core/errors.ts';
import { asDict, dataAt, optionalBoolean, optionalData, optionalString, stringAt } from '../plist/fields.ts';
import { CHECKIN_LIMITS, RESULT_LIMITS, readPlist } from '../plist/read.ts';
import { skimStrings } from '../plist/skim.ts';
import { isDict, type PlistDict, type PlistValue } from '../plist/types.ts';
import { claimantOf, storable } from './enrollment-id.ts';
import type { CheckinMessage, Claimant, DeviceFacts, ReadReport, Report } from './types.ts';

export type Kind = 'checkin' | 'report';

const KINDS: ReadonlyMap<string, Kind> = new Map([
  ['application/x-apple-aspen-mdm-checkin', 'checkin'],
  ['application/x-apple-aspen-mdm', 'report'],
]);

/** By the media type alone, compared whole: the command type is a prefix of the check-in type (CHK-01). */
export function kindOfMediaType(contentType: string | undefined): Kind | undefined {
  if (contentType === undefined) return undefined;
  const end = contentType.indexOf(';');
  return KINDS.get((end === -1 ? contentType : contentType.slice(0, end)).trim().toLowerCase());
}

/** By content, where the media type is missing or odd (CHK-02). Errors: plist_*, mdm_message_malformed. */
export function kindOfBody(body: Buffer): Kind {
  const message = asDict(readPlist(body, CHECKIN_LIMITS), '', 'mdm_message_malformed');
  const checkin = message.has('MessageType');
  if (checkin === message.has('Status')) {
    throw malformed('neither the Content-Type nor the body says whether this is a check-in or a result');
  }
  return checkin ? 'checkin' : 'report';
}

const WHERE = { code: 'mdm_message_malformed' } as const;

/** Errors: plist_*, mdm_message_malformed. Unknown keys are ignored (CHK-03). */
export function readCheckin(body: Buffer): CheckinMessage {
  const message = asDict(readPlist(body, CHECKIN_LIMITS), '', 'mdm_message_malformed');
  const type = stringAt(message, 'MessageType', WHERE);
  switch (type) {
    case 'Authenticate':
      return { type, who: claimantOf(message), topic: topicOf(message), facts: factsOf(message) };
    case 'TokenUpdate':
      return {
        type,
        who: claimantOf(message),
        topic: topicOf(message),
        token: copy(dataAt(message, 'Token', WHERE)),
        pushMagic: storable(stringAt(message, 'PushMagic', WHERE)),
        unlockToken: nonEmpty(optionalData(message, 'UnlockToken', WHERE)),
        awaitingConfiguration: optionalBoolean(message, 'AwaitingConfiguration', WHERE),
      };
    case 'CheckOut':
    case 'UserAuthenticate':
      return { type, who: claimantOf(message) };
    case 'SetBootstrapToken':
      return {
        type,
        who: claimantOf(message),
        token: nonEmpty(optionalData(message, 'BootstrapToken', WHERE)),
        awaitingConfiguration: optionalBoolean(message, 'AwaitingConfiguration', WHERE),
      };
    case 'GetBootstrapToken':
      return {
        type,
        who: claimantOf(message),
        awaitingConfiguration: optionalBoolean(message, 'AwaitingConfiguration', WHERE),
      };
    case 'DeclarativeManagement':
      return { type, who: claimantOf(message), endpoint: stringAt(message, 'Endpoint', WHERE) };
    case 'GetToken':
      return { type, who: claimantOf(message), serviceType: stringAt(message, 'TokenServiceType', WHERE) };
    default:
      return { type: 'unknown', messageType: storable(type).slice(0, 100) };
  }
}

function topicOf(message: PlistDict): string {
  return storable(stringAt(message, 'Topic', WHERE));
}

function factsOf(message: PlistDict): DeviceFacts {
  const text = (key: string): string | undefined => {
    const value = optionalString(message, key, WHERE);
    return value === undefined || value === '' ? undefined : storable(value);
  };
  return {
    serialNumber: text('SerialNumber'),
    deviceName: text('DeviceName'),
    model: text('Model'),
    modelName: text('ModelName'),
    productName: text('ProductName'),
    osVersion: text('OSVersion'),
    buildVersion: text('BuildVersion'),
  };
}

/** Own bytes: what the reader returns may be a view of the whole message. */
function copy(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes);
}

function nonEmpty(bytes: Uint8Array | undefined): Buffer | undefined {
  return bytes === undefined || bytes.length === 0 ? undefined : copy(bytes);
}

const SKIMMED = new Set([
  'UDID',
  'EnrollmentID',
  'UserID',
  'UserShortName',
  'EnrollmentUserID',
  'Status',
  'CommandUUID',
]);

/** CommandUUIDs are ours and short; a longer one names no command of this server. */
const MAX_COMMAND_UUID = 512;

/** Never throws: an authenticated result is never answered 4xx for size, encoding or shape (CHK-08, design §6). */
export function readReport(body: Buffer): ReadReport {
  let dict: PlistDict | undefined;
  try {
    dict = asDict(readPlist(body, RESULT_LIMITS), '', 'mdm_message_malformed');
    const report = reportOf(dict);
    if (report !== undefined) return { kind: 'readable', who: claimantOf(dict), report, dict };
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
  }
  return namesOf(dict ?? skimStrings(body, SKIMMED));
}

/** Whose it is and about which command: enough to keep it in the right place. */
function namesOf(found: PlistDict): ReadReport {
  let who: Claimant;
  try {
    who = claimantOf(found);
  } catch {
    return { kind: 'unreadable', who: undefined };
  }
  const commandUuid = commandUuidOf(found);
  if (commandUuid === undefined) return { kind: 'unreadable', who };
  const report: Report = { kind: 'finished', commandUuid, outcome: 'Unknown', status: '', errorChain: [] };
  return { kind: 'readable', who, report, dict: new Map() };
}

function reportOf(dict: PlistDict): Report | undefined {
  const status = dict.get('Status');
  if (typeof status !== 'string') return undefined;
  if (status === 'Idle') return { kind: 'idle' };
  const commandUuid = commandUuidOf(dict);
  if (commandUuid === undefined) return undefined;
  if (status === 'NotNow') return { kind: 'not_now', commandUuid };
  return {
    kind: 'finished',
    commandUuid,
    outcome: outcomeOf(status),
    status: storable(status),
    errorChain: errorChainOf(dict.get('ErrorChain')),
  };
}

function commandUuidOf(dict: PlistDict): string | undefined {
  const value = dict.get('CommandUUID');
  if (typeof value !== 'string' || value === '' || value.length > MAX_COMMAND_UUID || value.includes('\0')) {
    return undefined;
  }
  return value;
}

function outcomeOf(status: string): CommandOutcome {
  return status === 'Acknowledged' || status === 'Error' || status === 'CommandFormatError' ? status : 'Unknown';
}

/** Links kept of one chain; Apple's own have two or three. */
const MAX_CHAIN = 16;

/** As much of the chain as can be read: it is shown, never decided on (apple-protocol §2.1). */
function errorChainOf(value: PlistValue | undefined): readonly ErrorChainItem[] {
  if (!Array.isArray(value)) return [];
  return value
    .filter((item) => isDict(item))
    .slice(0, MAX_CHAIN)
    .map((item) => ({
      code: numberOf(item.get('ErrorCode')),
      domain: textOf(item.get('ErrorDomain')),
      description: textOf(item.get('USEnglishDescription')) || textOf(item.get('LocalizedDescription')),
    }));
}

const numberOf = (value: PlistValue | undefined): number => (typeof value === 'number' ? value : 0);
const textOf = (value: PlistValue | undefined): string => (typeof value === 'string' ? storable(value) : '');

function malformed(detail: string): EspalierError {
  return new EspalierError('mdm_message_malformed', detail);
}
