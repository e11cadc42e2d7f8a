import { writePlist } from '../../plist/write.ts';

/** What the demo declares: small real payloads, one profile per way of aiming. */
export interface DemoProfile {
  readonly identifier: string;
  readonly name: string;
  readonly scope: 'System' | 'User';
  /** Undefined: everyone in the team. */
  readonly label: DemoLabel | undefined;
  readonly payload: Readonly<Record<string, string | number | boolean>> & { readonly PayloadType: string };
}

export const DEMO_LABELS = ['Laptops', 'Design'] as const;
export type DemoLabel = (typeof DEMO_LABELS)[number];

export const DEMO_PROFILES: readonly DemoProfile[] = [
  {
    identifier: 'com.example.password',
    name: 'Password policy',
    scope: 'System',
    label: undefined,
    payload: { PayloadType: 'com.apple.mobiledevice.passwordpolicy', forcePIN: true, minLength: 12, maxInactivity: 10 },
  },
  {
    identifier: 'com.example.updates',
    name: 'Software updates',
    scope: 'System',
    label: undefined,
    payload: { PayloadType: 'com.apple.SoftwareUpdate', AutomaticCheckEnabled: true, CriticalUpdateInstall: true },
  },
  {
    identifier: 'com.example.firewall',
    name: 'Firewall',
    scope: 'System',
    label: 'Laptops',
    payload: { PayloadType: 'com.apple.security.firewall', EnableFirewall: true, EnableStealthMode: true },
  },
  {
    identifier: 'com.example.dock',
    name: 'Dock of the design team',
    scope: 'User',
    label: 'Design',
    payload: { PayloadType: 'com.apple.dock', autohide: true, tilesize: 48 },
  },
];

/** A mobileconfig as an admin would upload it. */
export function mobileconfig(profile: DemoProfile): Buffer {
  const { PayloadType, ...keys } = profile.payload;
  const payload = {
    PayloadType,
    PayloadVersion: 1,
    PayloadIdentifier: `${profile.identifier}.payload`,
    PayloadUUID: uuidOf(`${profile.identifier} payload`),
    ...keys,
  };
  return Buffer.from(
    writePlist({
      PayloadType: 'Configuration',
      PayloadVersion: 1,
      PayloadIdentifier: profile.identifier,
      PayloadUUID: uuidOf(profile.identifier),
      PayloadDisplayName: profile.name,
      PayloadScope: profile.scope,
      PayloadContent: [payload],
    }),
  );
}

/** A fixed UUID for a name: the demo's uploads are the same bytes every time, so a second start changes nothing. */
function uuidOf(name: string): string {
  const hex = Buffer.from(name.padEnd(16, '.')).toString('hex').slice(-32).toUpperCase();
  const [a, b, c, d, e] = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(13, 16), hex.slice(17, 20), hex.slice(20)];
  return `${a}-${b}-4${c}-8${d}-${e}`;
}
