import { isEncryptedContent } from '../cms/content-info.ts';
import { nameToString } from '../cms/names.ts';
import { verifySignedData } from '../cms/signed-data.ts';
import { EspalierError } from '../core/errors.ts';
import { isBinaryPlist, PROFILE_LIMITS, readPlist } from '../plist/read.ts';
import { isDict, type PlistDict, type PlistValue } from '../plist/types.ts';
import { error } from './finding.ts';
import {
  type Finding,
  type Mobileconfig,
  type Payload,
  type PayloadScope,
  ProfileInvalidError,
  type Signature,
} from './types.ts';

/** First octet of a DER or BER SEQUENCE: what a CMS-signed profile begins with, and no property list. */
const SEQUENCE = 0x30;
/** A 32 MiB profile in 1 KiB segments, as streaming signers write it, has this many nodes and some to spare. */
const MAX_SIGNED_NODES = 100_000;
const MAX_SHOWN_NAME = 255;

/**
 * An upload as it came: XML or binary property list, plain or CMS-signed. Read leniently; `validate` judges.
 * Errors: profile_malformed with the place of the fault, profile_invalid where the whole file is encrypted.
 */
export function parseMobileconfig(original: Buffer): Mobileconfig {
  const { plist, signed } = original[0] === SEQUENCE ? openSigned(original) : { plist: original, signed: undefined };
  const root = readRoot(plist);
  const identifier = textOf(root, 'PayloadIdentifier');
  return {
    format: isBinaryPlist(plist) ? 'binary' : 'xml',
    original,
    plist,
    root,
    identifier,
    uuid: textOf(root, 'PayloadUUID'),
    displayName: shownName(textOf(root, 'PayloadDisplayName')) || identifier,
    scope: scopeOf(root),
    payloads: payloadsOf(root),
    signed,
  };
}

function openSigned(original: Buffer): { plist: Buffer; signed: Signature } {
  if (isEncryptedContent(original, MAX_SIGNED_NODES)) throw new ProfileInvalidError([encrypted()], 'nothing');
  try {
    const { content, signer } = verifySignedData(original, { maxNodes: MAX_SIGNED_NODES });
    const summary = { subject: nameToString(signer.subject), sha256: signer.sha256, notAfter: signer.notAfter };
    return { plist: Buffer.from(content), signed: { verified: true, signer: summary } };
  } catch (cause) {
    if (!(cause instanceof EspalierError)) throw cause;
    throw new EspalierError(
      'profile_malformed',
      `the signed profile cannot be verified: ${cause.message} (${cause.code})`,
      {
        cause,
        fix: 'Sign it again, or upload it unsigned: Espalier signs what it delivers.',
      },
    );
  }
}

function encrypted(): Finding {
  const message =
    'the whole file is encrypted (CMS), so nobody but the holder of a key can read what it sets; upload it as it was before';
  return error('encrypted_content', [], message);
}

function readRoot(plist: Buffer): PlistDict {
  let value: PlistValue;
  try {
    value = readPlist(plist, PROFILE_LIMITS);
  } catch (cause) {
    if (!(cause instanceof EspalierError)) throw cause;
    throw new EspalierError('profile_malformed', cause.message, {
      cause,
      ...(cause.place === undefined ? {} : { place: cause.place }),
      fix: 'Check the file with plutil -lint.',
    });
  }
  if (!isDict(value)) throw new EspalierError('profile_malformed', 'the top of a configuration profile is a dict');
  return value;
}

function payloadsOf(root: PlistDict): readonly Payload[] {
  const content = root.get('PayloadContent');
  if (!Array.isArray(content)) return [];
  return content.flatMap((item, index) =>
    isDict(item)
      ? [
          {
            index,
            type: textOf(item, 'PayloadType'),
            identifier: textOf(item, 'PayloadIdentifier'),
            uuid: textOf(item, 'PayloadUUID'),
            content: item,
          },
        ]
      : [],
  );
}

function scopeOf(root: PlistDict): PayloadScope {
  return root.get('PayloadScope') === 'User' ? 'User' : 'System';
}

/** One line for lists and tables; what is delivered keeps the name as it was written. */
function shownName(name: string): string {
  return name
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, MAX_SHOWN_NAME)
    .toWellFormed();
}

function textOf(dict: PlistDict, key: string): string {
  const value = dict.get(key);
  return typeof value === 'string' ? value : '';
}
