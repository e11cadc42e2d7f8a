/** TLS certificates as files, issued with cms/: a good one, and what makes it a bad one. */
import { derToPem } from '../../cms/pem.ts';
import { type Identity, type IssueOptions, issue, type KeyPair, rsa } from '../cms/fixtures.ts';

export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const DAY_MS = 86_400_000;

export const ca = issue(rsa('tls ca'), {
  subject: [{ type: 'CN', value: 'Example TLS CA' }],
  extensions: { isCa: true, keyUsage: ['keyCertSign'] },
  notBefore: new Date(Date.now() - DAY_MS),
  notAfter: new Date(Date.now() + 3650 * DAY_MS),
});

/** A leaf a Mac accepts for mdm.example.com and 127.0.0.1, with `more` over it. */
export function leaf(more: IssueOptions = {}, keys: KeyPair = rsa('tls leaf')): Identity {
  return issue(keys, {
    subject: [{ type: 'CN', value: 'mdm.example.com' }],
    issuer: ca,
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + 800 * DAY_MS),
    ...more,
    extensions: {
      extendedKeyUsage: [SERVER_AUTH],
      subjectAltName: { dns: ['mdm.example.com'], ip: ['127.0.0.1'] },
      ...more.extensions,
    },
  });
}

export const pem = (...chain: readonly Identity[]): string =>
  chain.map(({ der }) => derToPem(der, 'CERTIFICATE')).join('');
