import type { Command } from 'commander';
import { z } from 'zod';
import { clientFor } from './client.ts';
import { wholeNumber } from './whole-number.ts';

const Link = z.object({ url: z.string(), expires_at: z.string() });

export function addEnrollLink(program: Command): void {
  program
    .command('enroll-link')
    .description('Make a link that enrols Macs.')
    .option('--data <folder>', 'data folder of the running server', 'espalier-data')
    .option('--serial <serial>', 'only the Mac with this serial number')
    .option('--uses <count>', 'how many Macs may use it', wholeNumber(1), 1)
    .option('--ttl <seconds>', 'how long it is valid', wholeNumber(1), 86_400)
    .option('--team <name>', 'the team the Macs join', 'Default')
    .action(async (options: { data: string; serial?: string; uses: number; ttl: number; team: string }) => {
      const link = await clientFor(options.data).post('/enroll-links', {
        uses: options.uses,
        ttl_seconds: options.ttl,
        team: options.team,
        ...(options.serial === undefined ? {} : { serial_number: options.serial }),
      });
      const { url, expires_at } = Link.parse(link);
      console.log(url);
      console.error(`valid until ${expires_at}`);
    });
}
