import { setTimeout as delay } from 'node:timers/promises';
import type { FleetMac } from '../../simulator/fleet.ts';
import { installApps, isA, memberOf, PARTS, type Part } from './cast.ts';
import { DEMO_PROFILES, FINDER, SLACK, UPDATES } from './content.ts';
import { pairsOf, uploadProfile, uploadPushCertificate } from './declare.ts';
import type { World } from './world.ts';

/** A scene that is not over by then is told by the closing table. */
const SCENE_MS = 30_000;
const LOOK_EVERY_MS = 200;
/** Certificates count in whole seconds. */
const LAST_SECONDS_MS = 2_000;

/** What happens to a fleet where all is well. Played once in a folder; each scene says what came of it. */
export async function tellStory(world: World, say: Say, signal: AbortSignal): Promise<void> {
  const until = untilSo(signal);
  await Promise.all([someoneInstallsSlack(world, say, until), someoneRemovesByHand(world, say, until)]);
  const shut = member(world, 'lidShut');
  shut.mac.goOffline();
  say(`${nameOf(shut)} shuts its lid.`);
  await pushCertificateExpires(world, say, until);
}

async function someoneInstallsSlack(world: World, say: Say, until: Until): Promise<void> {
  const mac = member(world, 'getsSlack');
  installApps(mac, true);
  const took = await until(() => holds(mac, SLACK));
  say(`${nameOf(mac)}: somebody installs Slack. Its agent says so, the label holds, the settings ${arrived(took)}.`);
}

async function someoneRemovesByHand(world: World, say: Say, until: Until): Promise<void> {
  const mac = member(world, 'losesByHand');
  mac.mac.removeByHand(UPDATES);
  const took = await until(() => holds(mac, UPDATES));
  say(`${nameOf(mac)}: somebody removes ${UPDATES} by hand. Its agent reports without it, and it ${arrived(took)}.`);
}

/** An edit in those days reaches nobody, and the server says why. */
async function pushCertificateExpires({ client, fleet, apns }: World, say: Say, until: Until): Promise<void> {
  const notAfter = new Date(Date.now() + LAST_SECONDS_MS);
  await uploadPushCertificate(client, apns.renewed(notAfter));
  await delay(Math.max(0, notAfter.getTime() - Date.now()));
  const finder = DEMO_PROFILES.find(({ identifier }) => identifier === FINDER);
  if (finder !== undefined) await uploadProfile(client, finder, true);
  const design = fleet.macs.filter((one) => memberOf('Design', one, true) === 'yes');
  let held: Awaited<ReturnType<typeof pairsOf>> = [];
  await until(async () => {
    const pairs = await Promise.all(design.map(({ mac }) => pairsOf(client, mac.identity.udid)));
    held = pairs.flat().filter(({ waiting }) => waiting === 'no_push_certificate');
    return held.some(({ channel, identifier }) => channel === 'user' && identifier === FINDER);
  });
  say(`The push certificate expires, and an edit moves ${FINDER} to the user's channel: ${held.length} pairs wait.`);
  const reason = held[0]?.reason;
  if (reason !== undefined) say(`    “${reason}”`);
  await uploadPushCertificate(client, apns.push);
  say('The push certificate is renewed.');
}

function member({ fleet }: World, part: Part): FleetMac {
  const found = fleet.macs.find(({ number }) => isA(part, number));
  if (found === undefined) throw new RangeError(`the fleet has no Mac ${PARTS[part] + 1}`);
  return found;
}

const holds = ({ mac }: FleetMac, identifier: string): boolean =>
  mac.profiles('device').some((profile) => profile.identifier === identifier);

type Say = (line: string) => void;
/** Milliseconds, or undefined where it did not come about. */
type Until = (isSo: () => boolean | Promise<boolean>) => Promise<number | undefined>;

const untilSo =
  (signal: AbortSignal): Until =>
  async (isSo) => {
    const from = Date.now();
    while (Date.now() - from < SCENE_MS && !signal.aborted) {
      if (await isSo()) return Date.now() - from;
      await delay(LOOK_EVERY_MS);
    }
    return undefined;
  };

const arrived = (took: number | undefined): string =>
  took === undefined ? 'did not arrive' : `arrived after ${(took / 1000).toFixed(1)} s`;

export const nameOf = ({ number }: Pick<FleetMac, 'number'>): string => `mac-${String(number + 1).padStart(3, '0')}`;
