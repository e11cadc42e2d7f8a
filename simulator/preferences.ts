import { isDict, type PlistValue, Real } from '../plist/types.ts';
import type { Payload } from './profile.ts';

/** What becomes of a preference payload: one file of /Library/Managed Preferences, key by key. */
type Settings = Readonly<Record<string, string>>;

/** Payloads of Apple's that macOS hands to a plug-in of their own kind; they leave no managed preference. */
const NO_PREFERENCES: ReadonlySet<string> = new Set([
  'com.apple.mdm',
  'com.apple.mobiledevice.passwordpolicy',
  'com.apple.security.FDERecoveryKeyEscrow',
  'com.apple.security.pem',
  'com.apple.security.pkcs1',
  'com.apple.security.pkcs12',
  'com.apple.security.root',
  'com.apple.security.scep',
  'com.apple.system-extension-policy',
  'com.apple.TCC.configuration-profile-policy',
  'com.apple.vpn.managed',
  'com.apple.wifi.managed',
]);

/** Undefined for a payload that manages no preference. */
export function settingsOf({ type, keys }: Payload): Settings | undefined {
  if (NO_PREFERENCES.has(type)) return undefined;
  const own = [...keys.dict].filter(([key]) => !key.startsWith('Payload'));
  return Object.fromEntries(own.map(([key, value]) => [key, textOf(value)]));
}

/** osquery reads the file as a property tree: booleans are 1 and 0, what has parts has no text. */
function textOf(value: PlistValue): string {
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (value instanceof Real) return String(value.value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value) || isDict(value) || value instanceof Uint8Array) return '';
  return String(value);
}
