import { z } from 'zod';
import type { Client } from '../client.ts';
import { DEMO_LABELS, DEMO_PROFILES, type DemoLabel, mobileconfig } from './content.ts';
import type { ServerPair, Wanted } from './judge.ts';

const Certificates = z.object({ push_certificates: z.array(z.object({ topic: z.string() })) });
const Labels = z.object({ labels: z.array(z.object({ name: z.string() })) });
const Profiles = z.object({
  profiles: z.array(
    z.object({
      identifier: z.string(),
      channel: z.enum(['device', 'user']),
      version: z.object({ payload_uuid: z.string() }),
    }),
  ),
});
const Pairs = z.object({
  profiles: z.array(
    z.object({ identifier: z.string(), channel: z.enum(['device', 'user']), state: z.string(), reason: z.string() }),
  ),
});

/** The team every server begins with. */
const TEAM = 'Default';

/** Everything the demo asks of the server, over the API an admin has. Saying it twice changes nothing. */
export async function declare(
  client: Client,
  push: { certificate: string; key: string; topic: string },
): Promise<void> {
  const { push_certificates } = Certificates.parse(await client.get('/push-certificates'));
  if (!push_certificates.some(({ topic }) => topic === push.topic)) {
    await client.put('/push-certificates', { certificate: push.certificate, private_key: push.key });
  }
  const { labels } = Labels.parse(await client.get('/labels'));
  for (const name of DEMO_LABELS) {
    if (!labels.some((label) => label.name === name)) await client.post('/labels', { name });
  }
  for (const profile of DEMO_PROFILES) {
    const query = profile.label === undefined ? '' : `?label=${encodeURIComponent(profile.label)}`;
    await client.upload(`/profiles${query}`, mobileconfig(profile), 'application/x-apple-aspen-config');
  }
}

export async function setLabel(client: Client, label: DemoLabel, udids: readonly string[]): Promise<void> {
  await client.put(`/labels/${encodeURIComponent(label)}/hosts`, { hosts: udids });
}

export async function enrollLink(client: Client, serial: string): Promise<string> {
  const link = await client.post('/enroll-links', { serial_number: serial });
  return z.object({ url: z.string() }).parse(link).url;
}

export async function newEnrollSecret(client: Client): Promise<string> {
  const answer = await client.post('/osquery/enroll-secrets', {});
  return z.object({ enroll_secret: z.string() }).parse(answer).enroll_secret;
}

/** Back into the team the demo declares for, should somebody have moved it since. */
export async function setTeam(client: Client, udid: string): Promise<void> {
  const { team } = z.object({ team: z.string() }).parse(await client.get(`/hosts/${udid}`));
  if (team !== TEAM) await client.put(`/hosts/${udid}/team`, { team: TEAM });
}

/** What an admin declared beside the demo, on both channels: the judge has no opinion about these. */
export async function declaredByOthers(client: Client): Promise<ReadonlySet<string>> {
  const { profiles } = Profiles.parse(await client.get('/profiles'));
  return new Set(
    profiles
      .map(({ identifier }) => identifier)
      .filter((identifier) => !DEMO_PROFILES.some((profile) => profile.identifier === identifier)),
  );
}

/** What a Mac with these labels should have, with the PayloadUUID of each current version. */
export async function wantedBy(client: Client): Promise<(labels: readonly DemoLabel[]) => readonly Wanted[]> {
  const { profiles } = Profiles.parse(await client.get('/profiles'));
  const uuids = new Map(profiles.map((profile) => [profile.identifier, profile.version.payload_uuid]));
  return (labels) =>
    DEMO_PROFILES.filter(({ label }) => label === undefined || labels.includes(label)).map((profile) => ({
      identifier: profile.identifier,
      uuid: uuids.get(profile.identifier) ?? '',
      channel: profile.scope === 'User' ? 'user' : 'device',
    }));
}

export async function pairsOf(client: Client, udid: string): Promise<readonly ServerPair[]> {
  return Pairs.parse(await client.get(`/hosts/${udid}/profiles`)).profiles;
}
