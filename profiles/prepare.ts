import { createHash } from 'node:crypto';
import { EspalierError, hasCode } from '../core/errors.ts';
import type { MacKey, SigningIdentity } from '../keys/types.ts';
import type { Neighbour } from './clashes.ts';
import { type Delivery, deliveryOf, type SignedDelivery } from './deliver.ts';
import { errorsFirst, hasErrors, linesOf, located, warning } from './finding.ts';
import { parseMobileconfig } from './parse.ts';
import type { SlotKey } from './ports.ts';
import { summaryOf } from './summary.ts';
import {
  type DeliveryKind,
  type Finding,
  type LinesOf,
  type Mobileconfig,
  type PayloadSummary,
  ProfileInvalidError,
} from './types.ts';
import { validate } from './validate.ts';

export interface PrepareDeps {
  readonly signer: SigningIdentity;
  readonly witnessKey: MacKey;
}

/** An upload that has nothing against it, before anybody looks at the database. */
export interface Prepared extends SlotKey {
  readonly profile: Mobileconfig;
  readonly linesOf: LinesOf;
  /** Warnings only. */
  readonly findings: readonly Finding[];
  readonly payloads: readonly PayloadSummary[];
  /** As asked for, else as the profile has been delivered so far. */
  delivery(current: DeliveryKind | undefined): Delivery;
}

export interface Read {
  readonly profile: Mobileconfig;
  readonly findings: readonly Finding[];
}

/** Parsed and judged, findings located. Errors: profile_malformed, request_malformed. */
export function readUpload(bytes: Buffer, delivery: SignedDelivery | undefined, now: Date): Read {
  const profile = parseMobileconfig(bytes);
  if (delivery === 'verbatim' && profile.signed === undefined) {
    throw new EspalierError(
      'request_malformed',
      'delivery verbatim is for signed profiles, and this one is not signed',
      {
        fix: 'Leave delivery out: what is not signed is delivered under this server’s signature.',
      },
    );
  }
  const findings = [...validate(profile), ...signatureFindings(profile, now)];
  return { profile, findings: errorsFirst(located(profile, findings)) };
}

/** Errors: those of readUpload, and profile_invalid with every finding. */
export function prepare(bytes: Buffer, delivery: SignedDelivery | undefined, deps: PrepareDeps, now: Date): Prepared {
  const { profile, findings } = readUpload(bytes, delivery, now);
  if (hasErrors(findings)) throw new ProfileInvalidError(findings, linesOf(profile));
  return prepared({ profile, findings }, delivery, deps, now);
}

/** What `readUpload` found no error in. Errors: profile_malformed. */
export function prepared(
  { profile, findings }: Read,
  delivery: SignedDelivery | undefined,
  deps: PrepareDeps,
  now: Date,
): Prepared {
  const made = new Map<SignedDelivery, Delivery>();
  const make = (kind: SignedDelivery): Delivery => {
    const known = made.get(kind) ?? deliver(profile, deps, now, kind);
    made.set(kind, known);
    return known;
  };
  // What cannot be written as XML is refused here and not in the middle of a transaction.
  make(delivery ?? 'verbatim');
  return {
    channel: profile.scope === 'User' ? 'user' : 'device',
    identifier: profile.identifier,
    profile,
    linesOf: linesOf(profile),
    findings,
    payloads: summaryOf(profile),
    delivery: (current) => make(delivery ?? (current === 'resigned' ? 'resign' : 'verbatim')),
  };
}

export function neighbourOf({ channel, identifier, profile, payloads }: Prepared): Neighbour {
  return { channel, identifier, displayName: profile.displayName, payloads };
}

function deliver(profile: Mobileconfig, deps: PrepareDeps, now: Date, kind: SignedDelivery): Delivery {
  try {
    return deliveryOf(profile, { ...deps, sha256 }, now, kind);
  } catch (cause) {
    if (!hasCode(cause, 'plist_unencodable')) throw cause;
    throw new EspalierError('profile_malformed', cause.message, {
      cause,
      ...(cause.place === undefined ? {} : { place: cause.place }),
      fix: 'A binary property list may hold text that XML cannot carry, and profiles are delivered as XML.',
    });
  }
}

/** An expired signature still proves who signed; a Mac shows the profile as unverified. */
function signatureFindings({ signed }: Mobileconfig, now: Date): Finding[] {
  const signer = signed?.signer;
  if (signer === undefined || signer.notAfter > now) return [];
  const message = `the certificate of the signer (${signer.subject}) expired on ${signer.notAfter.toISOString().slice(0, 10)}`;
  return [warning('signer_expired', [], message)];
}

function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}
