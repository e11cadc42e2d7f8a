export { type Certificate, parseCertificate } from './certificate.ts';
export {
  assembleCertificate,
  buildTbsCertificate,
  keyIdentifier,
  signCertificate,
  type TbsCertificateInput,
} from './certificate-build.ts';
export { type CertificateCache, createCertificateCache } from './certificate-cache.ts';
export { type ChainOptions, type ChainResult, verifyCertificateSignature, verifyChain } from './certificate-chain.ts';
export {
  type CertificateExtensions,
  type Extension,
  KEY_USAGES,
  type KeyUsage,
  type SubjectAltName,
} from './certificate-extensions.ts';
export type { SignatureAlgorithmName } from './signature-algorithm.ts';
