import { isDict } from '../../../plist/types.ts';
import type { Finding, Payload } from './types.ts';

/** What Apple's data does not say of a profile that enrols (apple-protocol §§3.1-3.3: ENR-01, ENR-02, SCP-01). */

const IDENTITY_TYPES = new Set(['com.apple.security.scep', 'com.apple.security.acme', 'com.apple.security.pkcs12']);
const CERTIFICATE_TYPES = new Set(['com.apple.security.root', 'com.apple.security.pkcs1', 'com.apple.security.pem']);

export function enrollmentProfileFindings(payloads: readonly Payload[]): readonly Finding[] {
  const mdm = payloads.find((payload) => payload.type === 'com.apple.mdm');
  if (mdm === undefined) return [];
  return [
    ...contentFindings(payloads),
    ...rightsFindings(mdm),
    ...referenceFindings(mdm, payloads),
    ...scepFindings(payloads),
  ];
}

function finding(path: string, message: string): Finding {
  return { path, rule: 'enrollment-profile', message, severity: 'error' };
}

function contentFindings(payloads: readonly Payload[]): readonly Finding[] {
  return payloads
    .filter(({ type }) => type !== 'com.apple.mdm' && !IDENTITY_TYPES.has(type) && !CERTIFICATE_TYPES.has(type))
    .map(({ path, type }) => finding(path, `${type} has no place in an enrolment profile`));
}

function rightsFindings({ dict, path }: Payload): readonly Finding[] {
  const findings: Finding[] = [];
  const topic = dict.get('Topic');
  if (typeof topic === 'string' && !topic.startsWith('com.apple.mgmt.')) {
    findings.push(finding(`${path}.Topic`, 'a topic begins with com.apple.mgmt.'));
  }
  const rights = dict.get('AccessRights');
  if (typeof rights !== 'number') return findings;
  const at = `${path}.AccessRights`;
  if (rights < 1 || rights > 8191) findings.push(finding(at, 'rights are 1 to 8191'));
  if ((rights & 2) !== 0 && (rights & 1) === 0) findings.push(finding(at, 'right 2 needs right 1'));
  if ((rights & 128) !== 0 && (rights & 64) === 0) findings.push(finding(at, 'right 128 needs right 64'));
  return findings;
}

function referenceFindings({ dict, path }: Payload, payloads: readonly Payload[]): readonly Finding[] {
  const uuids = (types: ReadonlySet<string>): ReadonlySet<unknown> =>
    new Set(payloads.filter(({ type }) => types.has(type)).map((payload) => payload.dict.get('PayloadUUID')));
  const findings: Finding[] = [];
  if (!uuids(IDENTITY_TYPES).has(dict.get('IdentityCertificateUUID'))) {
    findings.push(finding(`${path}.IdentityCertificateUUID`, 'names no identity in this profile'));
  }
  const certificates = uuids(CERTIFICATE_TYPES);
  for (const key of ['ServerURLPinningCertificateUUIDs', 'CheckInURLPinningCertificateUUIDs']) {
    const pins = dict.get(key);
    if (!Array.isArray(pins)) continue;
    pins.forEach((pin, index) => {
      if (!certificates.has(pin))
        findings.push(finding(`${path}.${key}[${index}]`, 'names no certificate in this profile'));
    });
  }
  const capabilities = dict.get('ServerCapabilities');
  if (Array.isArray(capabilities) && new Set(capabilities).size !== capabilities.length) {
    findings.push(finding(`${path}.ServerCapabilities`, 'a capability stands twice'));
  }
  return findings;
}

function scepFindings(payloads: readonly Payload[]): readonly Finding[] {
  return payloads.flatMap(({ dict, path, type }) => {
    const content = dict.get('PayloadContent');
    if (type !== 'com.apple.security.scep' || !isDict(content)) return [];
    const size = content.get('Keysize');
    // The default is 1024.
    return typeof size === 'number' && size >= 2048
      ? []
      : [finding(`${path}.PayloadContent.Keysize`, 'Keysize is written, and 2048 or more (SCP-01)')];
  });
}
