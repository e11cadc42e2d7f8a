import { z } from 'zod';
import type { Client } from '../client.ts';
import { DEMO_LABELS, DEMO_PROFILES, type DemoLabel, type DemoProfile, mobileconfig, scopeOf } from './content.ts';
import type { Current, ServerPair } from './judge.ts';

const Certificates = z.object({ push_certificates: z.array(z.object({ topic: z.string(), not_after: z.string() })) });
const Labels = z.object({ labels: z.array(z.object({ name: z.string() })) });
const Profiles = z.object({
  profiles: z.array(
    z.object({
      identifier: z.string(),
      version: z.object({ payload_uuid: z.string() }),
    }),
  ),
});
const Pairs = z.object({
  profiles: z.array(
    z.object({
      identifier: z.string(),
      channel: z.enum(['device', 'user']),
      state: z.string(),
      waiting: z.string().nullable(),
      reason: z.string(),
    }),
  ),
});

/** The team every server begins with. */
const TEAM = 'Default';

interface PushCertificate {
  readonly certificate: string;
  readonly key: string;
  readonly topic: string;
}

/** Everything the demo asks of the server, over the API an admin has. Saying it twice changes nothing. */
export async function declare(client: Client, push: PushCertificate, told: boolean): Promise<void> {
  const { push_certificates } = Certificates.parse(await client.get('/push-certificates'));
  const isValid = push_certificates.some(
    ({ topic, not_after }) => topic === push.topic && new Date(not_after) > new Date(),
  );
  if (!isValid) {
    await uploadPushCertificate(client, push);
  }
  const { labels } = Labels.parse(await client.get('/labels'));
  for (const label of DEMO_LABELS) {
    if (!labels.some(({ name }) => name === label.name)) await client.post('/labels', label);
  }
  for (const profile of DEMO_PROFILES) await uploadProfile(client, profile, told);
}

/** Replaces the one of its topic. */
export async function uploadPushCertificate(client: Client, push: PushCertificate): Promise<void> {
  await client.put('/push-certificates', { certificate: push.certificate, private_key: push.key });
}

export async function uploadProfile(client: Client, profile: DemoProfile, told: boolean): Promise<void> {
  const query = new URLSearchParams();
  if (profile.label !== undefined) query.set('label', profile.label);
  if (profile.minOs !== undefined) query.set('min_os', profile.minOs);
  const body = mobileconfig({ ...profile, scope: scopeOf(profile, told) });
  await client.upload(`/profiles?${query}`, body, 'application/x-apple-aspen-config');
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

/** What the server wants now of each profile. */
export async function currentVersions(client: Client): Promise<Current> {
  const { profiles } = Profiles.parse(await client.get('/profiles'));
  return new Map(profiles.map(({ identifier, version }) => [identifier, version.payload_uuid]));
}

export async function pairsOf(client: Client, udid: string): Promise<readonly ServerPair[]> {
  return Pairs.parse(await client.get(`/hosts/${udid}/profiles`)).profiles;
}
