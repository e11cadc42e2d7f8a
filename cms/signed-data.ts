export type { Digest } from './signature-algorithm.ts';
export {
  buildDegenerate,
  buildSignedData,
  type PreparedSignedData,
  prepareSignedData,
  type SignedAttribute,
  type SignedDataInput,
} from './signed-data-build.ts';
export {
  readCertificates,
  type VerifiedSignedData,
  type VerifyOptions,
  verifySignedData,
} from './signed-data-verify.ts';
