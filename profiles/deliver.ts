import { buildSignedData } from '../cms/signed-data.ts';
import type { MacKey, SigningIdentity } from '../keys/types.ts';
import type { Mobileconfig } from './types.ts';
import { rewriteWitness } from './witness.ts';

/** A version ready to be stored: what travels, and what the Mac will say when it holds it. */
export interface Delivery {
  readonly delivery: 'rewritten' | 'verbatim';
  readonly witnessUuid: string;
  readonly contentSha256: Buffer;
  /** CMS-signed bytes, the Payload of InstallProfile. */
  readonly delivered: Buffer;
}

export interface DeliverDeps {
  readonly signer: SigningIdentity;
  readonly witnessKey: MacKey;
  readonly sha256: (bytes: Buffer) => Buffer;
}

/**
 * Unsigned uploads get our witness UUID and our signature. Signed ones travel untouched: their signature is the admin's
 * statement, their own PayloadUUID the witness (design §4). Throws plist_unencodable.
 */
export function deliveryOf(profile: Mobileconfig, deps: DeliverDeps, now: Date): Delivery {
  if (profile.signed !== undefined) {
    const { original, uuid } = profile;
    return { delivery: 'verbatim', witnessUuid: uuid, contentSha256: deps.sha256(original), delivered: original };
  }
  const { plist, witness, contentSha256 } = rewriteWitness(profile.root, deps.witnessKey);
  const delivered = buildSignedData({
    content: plist,
    signer: { certificateDer: deps.signer.certificate, key: deps.signer.key },
    certificates: deps.signer.chain,
    signingTime: now,
  });
  return { delivery: 'rewritten', witnessUuid: witness, contentSha256, delivered };
}
