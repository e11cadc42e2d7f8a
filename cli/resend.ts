import type { Command } from 'commander';
import { z } from 'zod';
import { clientFor } from './client.ts';
import { Failure } from './failure.ts';
import { profileId } from './profile-ref.ts';
import { printable } from './table.ts';

const Resent = z.object({ channels: z.array(z.object({ channel: z.string(), says: z.string() })) });
const ResentMany = z.object({ resent: z.number(), left: z.number() });

interface Options {
  readonly data: string;
  readonly channel?: string;
  readonly failed?: string;
  readonly team: string;
}

export function addResend(program: Command): void {
  program
    .command('resend')
    .description('Send a profile to a Mac again, whatever its state; or to all where it failed.')
    .argument('[host]', 'id, serial number, UDID or name')
    .argument('[profile]', 'PayloadIdentifier')
    .option('--channel <channel>', 'device or user, where it is on both')
    .option('--failed <profile>', 'id or PayloadIdentifier: to every host where it failed')
    .option('--team <name>', 'the team whose profile it is', 'Default')
    .option('--data <folder>', 'data folder of the running server', 'espalier-data')
    .action(async (host: string | undefined, profile: string | undefined, options: Options) => {
      const client = clientFor(options.data);
      if (options.failed !== undefined) {
        const id = await profileId(client, { text: options.failed, team: options.team }, false);
        const route = `/profiles/${id}/resend?state=failed`;
        const { resent, left } = ResentMany.parse(await client.post(route, {}));
        console.log(`${resent} sent again, ${left} left as they are`);
        return;
      }
      if (host === undefined || profile === undefined)
        throw new Failure('name a host and a profile, or --failed and a profile');
      const query = options.channel === undefined ? '' : `?channel=${encodeURIComponent(options.channel)}`;
      const route = `/hosts/${encodeURIComponent(host)}/profiles/${encodeURIComponent(profile)}/resend${query}`;
      for (const { channel, says } of Resent.parse(await client.post(route, {})).channels)
        console.log(`${channel} channel: ${printable(says)}`);
    });
}
