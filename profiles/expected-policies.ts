import { isDict, type PlistDict, type PlistValue } from '../plist/types.ts';
import type { ExpectedPolicy } from '../reconciler/types.ts';
import type { Mobileconfig } from './types.ts';

const MANAGED_PREFERENCES = 'com.apple.ManagedClient.preferences';

const APPLE: ReadonlySet<string> = new Set(['configuration', 'loginwindow', 'profile service']);

/** Of one profile. More is not believed to be preferences. */
const MAX_KEYS = 5000;

/**
 * The preference keys that a profile forces, as `managed_policies` lists them where it is in force: of payloads whose
 * type is a third party's preference domain, and of the Forced part of `com.apple.ManagedClient.preferences`. Apple's own
 * domains are left out, because the system acts on many of them without writing a preference. Set-Once and Often are
 * left out too: the user may have changed them since. Domains ascending, each once.
 */
export function expectedPolicies({ payloads }: Pick<Mobileconfig, 'payloads'>): readonly ExpectedPolicy[] {
  const domains = new Map<string, Set<string>>();
  for (const { type, content } of payloads) {
    if (content.get('PayloadEnabled') === false) continue;
    if (type === MANAGED_PREFERENCES) addForced(domains, content.get('PayloadContent'));
    else if (isThirdParty(type)) add(domains, type, payloadKeys(content));
  }
  const count = [...domains.values()].reduce((sum, keys) => sum + keys.size, 0);
  if (count > MAX_KEYS) return [];
  return [...domains]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([domain, keys]) => ({ domain, keys: [...keys] }));
}

/** `{domain: {Forced: [{mcx_preference_settings: {key: value}}]}}`. */
function addForced(domains: Map<string, Set<string>>, content: PlistValue | undefined): void {
  if (!isDict(content)) return;
  for (const [domain, parts] of content) {
    const forced = isDict(parts) ? parts.get('Forced') : undefined;
    if (!isThirdParty(domain) || !Array.isArray(forced)) continue;
    for (const part of forced) {
      const settings = isDict(part) ? part.get('mcx_preference_settings') : undefined;
      if (isDict(settings)) add(domains, domain, [...settings.keys()]);
    }
  }
}

/** Not every domain of a third party has a dot (Munki's is ManagedInstalls), and not every one without is. */
function isThirdParty(domain: string): boolean {
  const name = domain.toLowerCase();
  return name !== '' && !name.startsWith('com.apple.') && !name.startsWith('.') && !APPLE.has(name);
}

/** What describes the payload is not a setting of the application. */
function payloadKeys(content: PlistDict): string[] {
  return [...content.keys()].filter((key) => !key.startsWith('Payload'));
}

function add(domains: Map<string, Set<string>>, domain: string, keys: readonly string[]): void {
  if (keys.length === 0) return;
  const known = domains.get(domain);
  if (known === undefined) domains.set(domain, new Set(keys));
  else for (const key of keys) known.add(key);
}
