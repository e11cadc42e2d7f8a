import type { Command } from 'commander';
import { z } from 'zod';
import { type Client, clientFor } from './client.ts';
import { printable } from './table.ts';

const Moved = z.object({ display_name: z.string(), team: z.string() });

export function addHosts(program: Command): void {
  program
    .command('host')
    .description('Move hosts between teams.')
    .command('move')
    .description('It gets the profiles of the other team, and loses those of its own.')
    .argument('<host>', 'id, serial number, UDID or name')
    .requiredOption('--team <name>', 'the team it goes to')
    .option('--data <folder>', 'data folder of the running server', 'espalier-data')
    .action(async (host: string, options: { data: string; team: string }) => {
      console.log(await moveHost(clientFor(options.data), host, options.team));
    });
}

/** Errors: ApiError. */
export async function moveHost(client: Client, host: string, team: string): Promise<string> {
  const moved = Moved.parse(await client.put(`/hosts/${encodeURIComponent(host)}/team`, { team }));
  return printable(`${moved.display_name} is in team ${moved.team}.`);
}
