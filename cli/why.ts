import type { Command } from 'commander';
import { z } from 'zod';
import { clientFor } from './client.ts';
import { printable } from './table.ts';

const Why = z.object({
  host: z.string(),
  identifier: z.string(),
  channels: z.array(
    z.object({
      channel: z.string(),
      state: z.string(),
      reason: z.string(),
      evidence: z.array(z.object({ about: z.string(), says: z.string(), age_seconds: z.number().nullable() })),
    }),
  ),
});

export function addWhy(program: Command): void {
  program
    .command('why')
    .description('Why a Mac has, or has not, a profile.')
    .argument('<host>', 'id, serial number, UDID or name')
    .argument('<profile>', 'PayloadIdentifier')
    .option('--data <folder>', 'data folder of the running server', 'espalier-data')
    .option('--json', 'as JSON')
    .action(async (host: string, profile: string, options: { data: string; json?: boolean }) => {
      const route = `/hosts/${encodeURIComponent(host)}/profiles/${encodeURIComponent(profile)}/why`;
      const raw = await clientFor(options.data).get(route);
      if (options.json === true) {
        console.log(JSON.stringify(raw, null, 2));
        return;
      }
      const { host: name, identifier, channels } = Why.parse(raw);
      for (const { channel, state, reason, evidence } of channels) {
        console.log(`${printable(name)} × ${printable(identifier)} (${channel} channel): ${state}`);
        console.log(printable(reason));
        for (const { about, says, age_seconds } of evidence) {
          console.log(`  ${about.padEnd(12)} ${age(age_seconds).padStart(8)}  ${printable(says)}`);
        }
      }
    });
}

function age(seconds: number | null): string {
  if (seconds === null) return '';
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}
