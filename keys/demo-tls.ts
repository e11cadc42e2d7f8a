/** TLS for the demo: a CA of its own, and a leaf that is renewed when the names change or it nears its end. */
import { parseCertificate, type SubjectAltName } from '../cms/x509.ts';
import { generatePrivateKey } from './certificates.ts';
import type { KeyChest } from './key-chest.ts';
import { type KeyRingDeps, withChest } from './key-ring.ts';
import { TEMPLATES } from './purposes.ts';
import type { SigningIdentity } from './types.ts';

const RENEW_BEFORE_MS = 30 * 86_400_000;

export interface ServerNames {
  readonly dns: readonly string[];
  readonly ip: readonly string[];
}

const listed = (names: Pick<SubjectAltName, 'dns' | 'ip'>): string => JSON.stringify([names.dns, names.ip]);

function usable(chest: KeyChest, names: ServerNames, now: Date): boolean {
  const der = chest.newest('tls')?.certificate;
  if (der === undefined || der === null) return false;
  const { subjectAltName, notAfter } = parseCertificate(der);
  return listed(subjectAltName) === listed(names) && notAfter.getTime() - now.getTime() > RENEW_BEFORE_MS;
}

/** The identity of the demo's TLS listener; `chain` ends with the CA that simulated Macs are given as root. */
export async function ensureDemoTls(deps: KeyRingDeps, names: ServerNames): Promise<SigningIdentity> {
  const chest = await withChest(deps, async (keys) => {
    await keys.ensureIdentities(['tls_ca']);
    if (usable(keys, names, deps.clock.now())) return;
    keys.certify('tls', await generatePrivateKey(TEMPLATES.tls.key), names);
  });
  return chest.identity('tls');
}
