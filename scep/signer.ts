import { type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { assembleCertificate, type Certificate, parseCertificate, type SignatureAlgorithmName } from '../cms/x509.ts';
import { EspalierError } from '../core/errors.ts';
import { type Authorised, isAuthorised } from './authorise.ts';

const signOnThread = promisify(sign);

/** The device-identity CA's key behind one verb. */
export interface CertificateSigner {
  readonly certificate: Certificate;
  readonly algorithm: SignatureAlgorithmName;
  /** The DER of the certificate. The intent must be stored before. With an RSA key the same TBS gives the same octets. */
  sign(authorised: Authorised, tbs: Buffer): Promise<Buffer>;
}

export function createCertificateSigner(ca: { certificate: Buffer; key: KeyObject }): CertificateSigner {
  const algorithm = ca.key.asymmetricKeyType === 'ec' ? 'ecdsaWithSHA256' : 'sha256WithRSA';
  return {
    certificate: parseCertificate(ca.certificate),
    algorithm,
    async sign(authorised, tbs) {
      if (!isAuthorised(authorised)) throw new EspalierError('internal_error', 'asked to sign what nobody authorised');
      return assembleCertificate(tbs, algorithm, await signOnThread('sha256', tbs, ca.key));
    },
  };
}
