import type { PlistDict } from '../../../plist/types.ts';

/** Apple's device-management data as compact JSON: the shape of the files this folder's validator reads. */

export type OsName = 'iOS' | 'macOS' | 'tvOS' | 'visionOS' | 'watchOS';
export type KeyType = 'string' | 'integer' | 'real' | 'boolean' | 'date' | 'data' | 'array' | 'dictionary' | 'any';

/** Apple's own names, untouched. Absent at key level means inherited, never unsupported. */
export interface OsBlock {
  readonly introduced?: string;
  readonly deprecated?: string;
  readonly removed?: string;
  readonly accessrights?: string;
  readonly multiple?: boolean;
  readonly devicechannel?: boolean;
  readonly userchannel?: boolean;
  readonly supervised?: boolean;
  readonly requiresdep?: boolean;
  readonly userapprovedmdm?: boolean;
  readonly allowmanualinstall?: boolean;
  readonly sharedipad?: { readonly mode?: string; readonly devicechannel?: boolean; readonly userchannel?: boolean };
  readonly userenrollment?: { readonly mode?: string };
}

type OsBlocks = Readonly<Partial<Record<OsName, OsBlock>>>;

export interface SchemaKey {
  readonly key: string;
  readonly type: KeyType;
  readonly presence?: 'required' | 'optional';
  readonly rangelist?: readonly (string | number | boolean)[];
  readonly range?: { readonly min?: number; readonly max?: number };
  readonly format?: string;
  readonly subtype?: string;
  /** On an array's placeholder: how many items the array has. */
  readonly repetition?: { readonly min?: number; readonly max?: number };
  readonly os?: OsBlocks;
  readonly subkeys?: readonly SchemaNode[];
  /** Ours, set by `errata.ts`: what devices and servers really send where the data says less. */
  readonly alternatives?: readonly SchemaKey[];
}

/** A layout that contains itself: go up `depth` levels. */
interface Recursion {
  readonly recursive: true;
  readonly depth: number;
}

export type SchemaNode = SchemaKey | Recursion;

export interface SchemaItem {
  /** Unique; `id` is not (`com.apple.MCX` stands in several files). */
  readonly file: string;
  readonly id?: string;
  readonly os?: OsBlocks | null;
  readonly keys: readonly SchemaNode[];
  readonly response?: readonly SchemaNode[];
}

export interface AppleSchema {
  readonly checkin: ReadonlyMap<string, SchemaItem>;
  readonly commands: ReadonlyMap<string, SchemaItem>;
  /** By PayloadType: every file that describes it. */
  readonly payloads: ReadonlyMap<string, readonly SchemaItem[]>;
  readonly topLevel: SchemaItem;
  readonly commonPayload: SchemaItem;
  /** Bodies of a 403, by `code`. */
  readonly errors: ReadonlyMap<string, SchemaItem>;
}

/** The device a value is for, or from. */
export interface Context {
  readonly os: OsName;
  readonly version: string;
  readonly channel: 'device' | 'user';
  /** How it came under management: `device` by hand, `ade` by serial number, `user` without a UDID. */
  readonly enrollment: 'device' | 'ade' | 'user' | 'shared-ipad';
  /** Default: what such an enrolment means on that system. */
  readonly supervised?: boolean;
  /** Default true. */
  readonly userApproved?: boolean;
  /** How a profile reaches it. Default `mdm`. */
  readonly delivery?: 'mdm' | 'manual';
  /** The enrolment's AccessRights; where given, what they do not cover is a finding. */
  readonly accessRights?: number;
}

export type Rule =
  | 'unreadable'
  | 'encoding'
  | 'envelope'
  | 'identity'
  | 'unknown-type'
  | 'unknown-key'
  | 'missing-key'
  | 'type'
  | 'rangelist'
  | 'range'
  | 'format'
  | 'repetition'
  | 'os'
  | 'deprecated'
  | 'channel'
  | 'enrollment'
  | 'access-rights'
  | 'unexpected-body'
  | 'enrollment-profile'
  | 'duplicate';

export interface Finding {
  /** As in the plist room's errors: `PayloadContent[1].PayloadUUID`; empty for the value itself. */
  readonly path: string;
  readonly rule: Rule;
  readonly message: string;
  /** An error is refused or misread by a device; a warning is ignored by it, or will be one day. */
  readonly severity: 'error' | 'warning';
}

/** One element of a profile's PayloadContent. */
export interface Payload {
  readonly dict: PlistDict;
  readonly path: string;
  /** PayloadType, or empty. */
  readonly type: string;
}
