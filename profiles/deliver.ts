import { buildSignedData } from '../cms/signed-data.ts';
import type { MacKey, SigningIdentity } from '../keys/types.ts';
import type { DeliveryKind, Mobileconfig } from './types.ts';
import { rewriteWitness } from './witness.ts';

/** A version ready to be stored: what travels, and what the Mac will say when it holds it. */
export interface Delivery {
  readonly delivery: DeliveryKind;
  readonly witnessUuid: string;
  readonly contentSha256: Buffer;
  /** CMS-signed bytes, the Payload of InstallProfile; signed when first asked for. */
  readonly delivered: () => Buffer;
}

export interface DeliverDeps {
  readonly signer: SigningIdentity;
  readonly witnessKey: MacKey;
  readonly sha256: (bytes: Buffer) => Buffer;
}

/** What an admin may choose for a signed upload. */
export type SignedDelivery = 'verbatim' | 'resign';

/**
 * Unsigned uploads get our witness UUID and our signature. Signed ones travel untouched unless asked otherwise: their
 * signature is the admin's statement, their own PayloadUUID the witness (design §4). Re-signed, what the signature held is
 * treated as if it had come without one. Throws plist_unencodable.
 */
export function deliveryOf(profile: Mobileconfig, deps: DeliverDeps, now: Date, signed: SignedDelivery): Delivery {
  if (profile.signed !== undefined && signed === 'verbatim') {
    const { original, uuid } = profile;
    const contentSha256 = deps.sha256(original);
    return { delivery: 'verbatim', witnessUuid: uuid, contentSha256, delivered: () => original };
  }
  const { plist, witness, contentSha256 } = rewriteWitness(profile.root, deps.witnessKey);
  let bytes: Buffer | undefined;
  return {
    delivery: profile.signed === undefined ? 'rewritten' : 'resigned',
    witnessUuid: witness,
    contentSha256,
    delivered() {
      bytes ??= buildSignedData({
        content: plist,
        signer: { certificateDer: deps.signer.certificate, key: deps.signer.key },
        certificates: deps.signer.chain,
        signingTime: now,
      });
      return bytes;
    },
  };
}
