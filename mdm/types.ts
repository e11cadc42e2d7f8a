import type { CommandOutcome, ErrorChainItem, OpRef } from '../core/effects.ts';
import type { Channel, EnrollmentRef, EnrollmentType } from '../core/enrollment.ts';
import type { ErrorCode } from '../core/errors.ts';
import type { PlistDict } from '../plist/types.ts';

/** One request on an MDM URL, as it came: nothing parsed, nothing decompressed (apple-protocol §1.2). */
export interface DeviceRequest {
  readonly method: string;
  readonly contentType: string | undefined;
  readonly mdmSignature: string | undefined;
  /** DER of the TLS client certificate, or of a trusted proxy's header. Never from a header a client could set (H-14). */
  readonly peerCertificate: Buffer | undefined;
  readonly body: Buffer;
}

/** Every status a device can get from here. 401 is not among them: it unenrols a Mac (CHK-06). */
export const DEVICE_STATUSES = [200, 400, 403, 405, 410, 413, 500, 503] as const;
export type DeviceStatus = (typeof DEVICE_STATUSES)[number];

export interface DeviceResponse {
  readonly status: DeviceStatus;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Why, for the log; the device ignores bodies of refusals. */
  readonly code: ErrorCode | undefined;
}

/** Who a message says it is from. A claim until the certificate's standing has been looked up. */
export interface Claimant {
  /** NanoMDM's form: `UDID`, `UDID:UserID`, `UDID:UserShortName` (Shared iPad), `EnrollmentID`, … */
  readonly enrollmentId: string;
  /** UDID, or EnrollmentID in user enrolments (IDN-01). */
  readonly deviceKey: string;
  readonly type: EnrollmentType;
  readonly channel: Channel;
  readonly udid: string | undefined;
  readonly userId: string | undefined;
  readonly userShortName: string | undefined;
  readonly userLongName: string | undefined;
}

/** What Authenticate tells of the machine; every part may be missing (AUT-06, access right 16). */
export interface DeviceFacts {
  readonly serialNumber: string | undefined;
  readonly deviceName: string | undefined;
  readonly model: string | undefined;
  readonly modelName: string | undefined;
  readonly productName: string | undefined;
  readonly osVersion: string | undefined;
  readonly buildVersion: string | undefined;
}

export type CheckinMessage =
  | { readonly type: 'Authenticate'; readonly who: Claimant; readonly topic: string; readonly facts: DeviceFacts }
  | {
      readonly type: 'TokenUpdate';
      readonly who: Claimant;
      readonly topic: string;
      readonly token: Buffer;
      readonly pushMagic: string;
      readonly unlockToken: Buffer | undefined;
      readonly awaitingConfiguration: boolean | undefined;
    }
  | { readonly type: 'CheckOut'; readonly who: Claimant }
  | {
      readonly type: 'SetBootstrapToken';
      readonly who: Claimant;
      /** Undefined deletes the stored one (BST-01). */
      readonly token: Buffer | undefined;
      readonly awaitingConfiguration: boolean | undefined;
    }
  | { readonly type: 'GetBootstrapToken'; readonly who: Claimant; readonly awaitingConfiguration: boolean | undefined }
  | { readonly type: 'UserAuthenticate'; readonly who: Claimant }
  | { readonly type: 'DeclarativeManagement'; readonly who: Claimant; readonly endpoint: string }
  | { readonly type: 'GetToken'; readonly who: Claimant; readonly serviceType: string }
  | { readonly type: 'unknown'; readonly messageType: string };

/** A device's word about a command, or about none (Idle). */
export type Report =
  | { readonly kind: 'idle' }
  | { readonly kind: 'not_now'; readonly commandUuid: string }
  | {
      readonly kind: 'finished';
      readonly commandUuid: string;
      readonly outcome: CommandOutcome;
      /** As sent, '' if unreadable: equals `outcome` unless Apple has a word we do not know (CMD-07). */
      readonly status: string;
      readonly errorChain: readonly ErrorChainItem[];
    };

/** A report from the wire. An authenticated one is never refused for its shape, so unreadable is a kind, not an error. */
export type ReadReport =
  /** `dict` is empty where only the names could be made out; the outcome is Unknown then. */
  | { readonly kind: 'readable'; readonly who: Claimant; readonly report: Report; readonly dict: PlistDict }
  /** Not even the command could be made out. */
  | { readonly kind: 'unreadable'; readonly who: Claimant | undefined };

/** Commands whose result changes more than the queue; theirs take the read–decide–write transaction (design §2). */
export const WEIGHTY_REQUEST_TYPES = ['ProfileList', 'DeviceConfigured', 'UserConfigured'] as const;

/** `enrollment_seen` is written only when it is older than this: an Idle with an empty queue then writes nothing. */
export const SEEN_RESOLUTION_SECONDS = 30;

export type CommandOrigin = 'api' | 'reconciler' | 'lifecycle';
export type CommandState = 'queued' | 'sent' | 'not_now';

/** A command that has not been finished yet. */
export interface LiveCommand {
  readonly commandUuid: string;
  /** Order of the queue. */
  readonly seq: number;
  readonly requestType: string;
  readonly state: CommandState;
  /** NotNow in the exchange that is going on (apple-protocol §2.2). */
  readonly deferred: boolean;
  readonly enrollmentGeneration: number;
  readonly op: OpRef | undefined;
  readonly deliveries: number;
  readonly notNowCount: number;
}

export interface NewCommand {
  readonly enrollment: EnrollmentRef;
  readonly commandUuid: string;
  readonly requestType: string;
  /** From `commandBody`: the Command dictionary as an XML fragment. */
  readonly body: Buffer;
  readonly origin: CommandOrigin;
  readonly op: OpRef | undefined;
}

/** What a device may not change while enrolled, as it installed it (ENR-05): a renewal is built from this. */
export interface FrozenKeys {
  readonly ServerURL: string;
  readonly CheckInURL: string;
  readonly Topic: string;
  readonly AccessRights: number;
  readonly ServerCapabilities: readonly string[];
  readonly PayloadIdentifier: string;
}

export type EnrollmentState = 'authenticated' | 'enrolled' | 'waiting_for_device' | 'ended';
export type Binding = 'attested' | 'apple_signed' | 'intent' | 'link_only';

/** What the `certificate` table and its challenge say of a verified identity. */
interface CertificateRecord {
  readonly standing: 'unbound' | 'current' | 'superseded' | 'quarantined';
  readonly revoked: boolean;
  /** Set by Authenticate. With `unbound`: a renewal whose first request has not come yet (ENR-06). */
  readonly pinnedTo: EnrollmentRef | undefined;
  /** The challenge's record, not the message, decides which device the certificate is for (AUT-03). */
  readonly challenge: { readonly serialNumber: string | undefined; readonly renews: EnrollmentRef | undefined };
}

export interface EnrollmentRecord {
  readonly ref: EnrollmentRef;
  readonly state: EnrollmentState;
  readonly generation: number;
  readonly topic: string;
  readonly binding: Binding;
  readonly hostId: string;
  /** Of the host's record, not of the message. */
  readonly serialNumber: string | undefined;
  /** TokenUpdates of this generation: 0 tells the first from later ones (TOK-05). */
  readonly tokenUpdateCount: number;
}

/** Everything a decision about one message reads. */
export interface Known {
  readonly certificate: CertificateRecord | undefined;
  readonly validity: 'valid' | 'expired' | 'not_yet_valid';
  /** The device channel the message names. */
  readonly device: EnrollmentRecord | undefined;
  /** The user channel it names; undefined on the device channel. */
  readonly user: EnrollmentRecord | undefined;
  /** A device enrolment that is not ended, under another device key, whose host has the message's serial number. */
  readonly rival: EnrollmentRecord | undefined;
}

/** One enrolment for the API. No token, no secret. */
export interface EnrollmentView {
  readonly ref: EnrollmentRef;
  readonly enrollmentId: string;
  readonly type: EnrollmentType;
  readonly channel: Channel;
  readonly hostId: string;
  readonly deviceEnrollmentId: string | undefined;
  readonly userShortName: string | undefined;
  readonly userLongName: string | undefined;
  readonly state: EnrollmentState;
  readonly generation: number;
  readonly topic: string;
  readonly binding: Binding;
  readonly awaitingConfiguration: boolean;
  readonly hasBootstrapToken: boolean;
  readonly certificateSha256: string | undefined;
  /** Certificates that claim this enrolment and wait for proof. */
  readonly quarantinedCertificates: number;
  readonly enrolledAt: Date | undefined;
  readonly tokenUpdatedAt: Date | undefined;
  /** To within `SEEN_RESOLUTION_SECONDS`. */
  readonly seenAt: Date | undefined;
  readonly endedAt: Date | undefined;
}

/** One command for the API, live or finished. */
export interface CommandView {
  readonly enrollmentId: string;
  readonly commandUuid: string;
  readonly requestType: string;
  readonly origin: CommandOrigin;
  readonly state: CommandState | CommandOutcome | 'cancelled';
  /** A result for a command this server does not know (CMD-03). */
  readonly orphan: boolean;
  readonly enrollmentGeneration: number;
  readonly deliveries: number;
  readonly notNowCount: number;
  readonly duplicateReports: number;
  readonly errorChain: readonly ErrorChainItem[];
  readonly queuedAt: Date | undefined;
  readonly sentAt: Date | undefined;
  readonly finishedAt: Date | undefined;
}

export interface CommandDetail extends CommandView {
  /** The Command dictionary as sent. */
  readonly command: Buffer | undefined;
  /** The device's bytes as they came. */
  readonly result: Buffer | undefined;
  readonly truncated: boolean;
}
