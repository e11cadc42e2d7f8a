import { writePlist } from '../../plist/write.ts';

/** Labels of each kind: a list, a query that agents answer, and what the server itself knows of a host. */
export const DEMO_LABELS = [
  { name: 'Laptops', kind: 'manual' },
  { name: 'Design', kind: 'manual' },
  {
    name: 'Slack',
    kind: 'dynamic',
    query: "SELECT 1 FROM apps WHERE bundle_identifier = 'com.tinyspeck.slackmacgap'",
  },
  // The table comes with an osquery extension; a Mac without it cannot answer, which is not a no.
  { name: 'Munki', kind: 'dynamic', query: "SELECT 1 FROM munki_info WHERE success = 'true'" },
  {
    name: 'Sequoia',
    kind: 'host_vitals',
    criteria: {
      match: 'all',
      rules: [
        { field: 'os_version', op: 'at_least', value: '15' },
        { field: 'product_name', op: 'starts_with', value: 'Mac' },
      ],
    },
  },
] as const;
export type DemoLabel = (typeof DEMO_LABELS)[number]['name'];

/** What the demo declares: small real payloads, one profile per way of aiming. */
export interface DemoProfile {
  readonly identifier: string;
  readonly name: string;
  readonly scope: 'System' | 'User';
  /** Its scope once the story is told: an edit moves it from the device's channel to the user's. */
  readonly movesTo?: 'User';
  /** Undefined: everyone in the team. */
  readonly label: DemoLabel | undefined;
  readonly minOs?: string;
  /** No payload type of iOS. */
  readonly macOnly?: true;
  readonly payload: Readonly<Record<string, string | number | boolean>> & { readonly PayloadType: string };
}

export const SLACK_APP = { name: 'Slack', bundleIdentifier: 'com.tinyspeck.slackmacgap', shortVersion: '4.41.98' };

export const PASSWORD = 'com.example.password';
export const UPDATES = 'com.example.updates';
export const SLACK = 'com.example.slack';
export const MUNKI = 'com.example.munki';
export const FINDER = 'com.example.finder';

export const DEMO_PROFILES: readonly DemoProfile[] = [
  {
    identifier: PASSWORD,
    name: 'Password policy',
    scope: 'System',
    label: undefined,
    payload: { PayloadType: 'com.apple.mobiledevice.passwordpolicy', forcePIN: true, minLength: 12, maxInactivity: 10 },
  },
  {
    identifier: UPDATES,
    name: 'Software updates',
    scope: 'System',
    label: undefined,
    macOnly: true,
    payload: { PayloadType: 'com.apple.SoftwareUpdate', AutomaticCheckEnabled: true, CriticalUpdateInstall: true },
  },
  {
    identifier: 'com.example.screensaver',
    name: 'Screen saver of newer systems',
    scope: 'System',
    label: undefined,
    minOs: '15.1',
    macOnly: true,
    payload: { PayloadType: 'com.apple.screensaver', moduleName: 'Flurry', idleTime: 600, askForPassword: true },
  },
  {
    identifier: 'com.example.firewall',
    name: 'Firewall',
    scope: 'System',
    label: 'Laptops',
    macOnly: true,
    payload: { PayloadType: 'com.apple.security.firewall', EnableFirewall: true, EnableStealthMode: true },
  },
  {
    identifier: 'com.example.dock',
    name: 'Dock of the design team',
    scope: 'User',
    label: 'Design',
    macOnly: true,
    payload: { PayloadType: 'com.apple.dock', autohide: true, tilesize: 48 },
  },
  {
    identifier: FINDER,
    name: 'Finder of the design team',
    scope: 'System',
    movesTo: 'User',
    label: 'Design',
    macOnly: true,
    payload: { PayloadType: 'com.apple.finder', ShowExternalHardDrivesOnDesktop: true },
  },
  {
    identifier: SLACK,
    name: 'Slack settings',
    scope: 'System',
    label: 'Slack',
    payload: { PayloadType: SLACK_APP.bundleIdentifier, AutoUpdate: true },
  },
  {
    identifier: MUNKI,
    name: 'Munki settings',
    scope: 'System',
    label: 'Munki',
    payload: { PayloadType: 'ManagedInstalls', SoftwareRepoURL: 'https://munki.example.com/repo' },
  },
  {
    identifier: 'com.example.siri',
    name: 'No Siri on Sequoia',
    scope: 'System',
    label: 'Sequoia',
    payload: { PayloadType: 'com.apple.applicationaccess', allowAssistant: false },
  },
];

/** On one Mac before it enrols: what a person installed, and what another MDM server left. */
export const FOREIGN = 'org.example.guest-wifi';
export const LEFT_OVER = 'com.fleetdm.fleetd.config';

export const scopeOf = ({ scope, movesTo }: DemoProfile, told: boolean): 'System' | 'User' =>
  told ? (movesTo ?? scope) : scope;

/** A mobileconfig as an admin would upload it. */
export function mobileconfig(profile: Omit<DemoProfile, 'label'>): Buffer {
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

/** Profiles nobody manages here. */
export function strangers(): readonly Buffer[] {
  const payload = { PayloadType: 'org.example.stranger', Value: 1 };
  const names = { [FOREIGN]: 'Guest Wi-Fi', [LEFT_OVER]: 'Agent settings of another server' };
  return Object.entries(names).map(([identifier, name]) =>
    mobileconfig({ identifier, name, scope: 'System', payload }),
  );
}
