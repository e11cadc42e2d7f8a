import type { Command } from 'commander';
import { z } from 'zod';
import { clientFor } from './client.ts';
import { printable } from './table.ts';

const Why = z.object({
  host: z.string(),
  identifier: z.string(),
  state: z.string(),
  reason: z.string(),
  evidence: z.array(z.object({ what: z.string(), age_seconds: z.number().nullable(), detail: z.string() })),
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
      const why = Why.parse(raw);
      console.log(`${printable(why.host)} × ${printable(why.identifier)}: ${why.state}`);
      console.log(printable(why.reason));
      for (const { what, age_seconds, detail } of why.evidence) {
        console.log(`  ${what.padEnd(12)} ${age(age_seconds).padStart(8)}  ${printable(detail)}`);
      }
    });
}

function age(seconds: number | null): string {
  if (seconds === null) return '';
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}
