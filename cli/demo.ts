import path from 'node:path';
import type { Command } from 'commander';
import { LEAST_MACS, MOST_MACS } from './demo/cast.ts';
import { runDemo } from './demo/run.ts';
import { wholeNumber } from './whole-number.ts';

export function addDemo(program: Command): void {
  program
    .command('demo')
    .description('Run Espalier with simulated Macs, agents and a simulated push service. Nothing leaves this machine.')
    .option('--data <folder>', 'where everything is kept; delete it to start anew', 'espalier-demo')
    .option('--macs <count>', 'how many simulated Macs', wholeNumber(LEAST_MACS, MOST_MACS), 25)
    .option('--once', 'stop when every Mac is in its expected end state; exit code 0 says that it is')
    .option('--faults', '20 % NotNow, 5 % lost acknowledgements, 5 % duplicate reports')
    .option('--seed <text>', 'of the faults', String(Date.now()))
    .action(async (options: { data: string; macs: number; once?: boolean; faults?: boolean; seed: string }) => {
      process.exitCode = await runDemo({
        data: path.resolve(options.data),
        macs: options.macs,
        once: options.once === true,
        faults: options.faults === true,
        seed: options.seed,
      });
    });
}
