import { isDict, type PlistDict, type Writable } from '../../../plist/types.ts';
import { writePlistBytes } from '../../../plist/write.ts';
import { makeIdentity } from '../../../simulator/identity.ts';
import { KeyPool } from '../../../simulator/key-pool.ts';
import { type MacOptions, SimulatedMac } from '../../../simulator/mac.ts';
import { SeededRandom } from '../../../simulator/random.ts';
import { MacRefusal } from '../../../simulator/refusal.ts';
import { type Dict, ENROLLMENT_IDENTIFIER, type TinyServer } from './tiny-server.ts';

const pool = new KeyPool({ size: 1 });

/** A Mac that waits for nothing: back-off and RetryDelay pass at once, in order. */
export function aMac(server: TinyServer, options: Partial<MacOptions> & { readonly seed?: string } = {}): SimulatedMac {
  const random = new SeededRandom(options.seed ?? 'a mac');
  const mac = new SimulatedMac({
    identity: makeIdentity(random.fork('identity'), 0),
    keyPair: () => pool.get(0),
    enrollmentRoots: [server.root],
    random: random.fork('behaviour'),
    sleep: () => new Promise((resolve) => setImmediate(resolve)),
    ...options,
  });
  servers.set(mac, server);
  return mac;
}

const servers = new WeakMap<SimulatedMac, TinyServer>();

/** Queue one command, wake the Mac, read its result. */
export async function run(mac: SimulatedMac, command: Dict, channel: 'device' | 'user' = 'device'): Promise<Outcome> {
  const server = servers.get(mac);
  if (server === undefined) throw new Error('the Mac was not made here');
  server.add(command);
  await wake(mac, server, channel);
  const result = server.results.at(-1) ?? new Map();
  const chain = result.get('ErrorChain');
  const errors = (Array.isArray(chain) ? chain : []).map((link) => {
    const dict = isDict(link) ? link : new Map();
    return [String(dict.get('ErrorDomain')), Number(dict.get('ErrorCode'))] as const;
  });
  return { status: String(result.get('Status')), errors, result };
}

export interface Outcome {
  readonly status: string;
  readonly errors: readonly (readonly [string, number])[];
  readonly result: PlistDict;
}

export const install = (mac: SimulatedMac, value: Writable, channel: 'device' | 'user' = 'device'): Promise<Outcome> =>
  run(mac, { RequestType: 'InstallProfile', Payload: writePlistBytes(value) }, channel);

/** What is installed beside the enrolment profile. */
export const held = (mac: SimulatedMac, channel: 'device' | 'user' = 'device'): string[] =>
  mac
    .profiles(channel)
    .map((stored) => stored.identifier)
    .filter((identifier) => identifier !== ENROLLMENT_IDENTIFIER);

/** Push over an APNs that never fails, with the magic the Mac gave in its TokenUpdate. */
export async function wake(
  mac: SimulatedMac,
  server: TinyServer,
  channel: 'device' | 'user' = 'device',
): Promise<void> {
  const update = server.messages('TokenUpdate').findLast((message) => message.has('UserID') === (channel === 'user'));
  const magic = update?.get('PushMagic');
  mac.push(mac.token(channel) ?? '', typeof magic === 'string' ? magic : '');
  await settled(mac);
}

/** Until the Mac has nothing more to say by itself. */
export async function settled(mac: SimulatedMac): Promise<void> {
  while (!(await mac.quiet())) await new Promise((resolve) => setImmediate(resolve));
}

/** The rule a Mac refused by. Fails when it refused nothing. */
export async function ruleOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
  } catch (error) {
    if (error instanceof MacRefusal) return error.rule;
    throw error;
  }
  throw new Error('the Mac refused nothing');
}

export const rules = (mac: SimulatedMac): string[] => mac.violations.map((violation) => violation.rule);
