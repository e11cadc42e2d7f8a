import type { Command } from 'commander';
import { migrateDatabase } from '../server/migrate.ts';
import { readSettings } from '../server/settings.ts';
import { startServer } from '../server/start.ts';

/** Milliseconds for running requests and jobs to end after the first signal. */
const STOP_WITHIN_MS = 10_000;

export function addServerCommands(program: Command): void {
  program
    .command('up')
    .description('Run the server. Settings come from ESPALIER_* and ESPALIER_CONFIG (docs/settings.md).')
    .option('--demo', 'make what a real installation must bring: a key-encryption key and a TLS certificate')
    .action(async (options: { demo?: boolean }) => {
      const settings = readSettings(process.env, { demo: options.demo === true });
      const server = await startServer(settings);
      console.log(`Espalier ${server.publicUrl} (Macs and agents), ${server.adminUrl} (admin API)`);
      // A parent that started us waits for this word.
      if (process.send !== undefined) process.send({ ready: true, adminUrl: server.adminUrl });
      await untilTold();
      const limit = setTimeout(() => process.exit(1), STOP_WITHIN_MS);
      await server.stop();
      clearTimeout(limit);
      process.exit(0);
    });

  program
    .command('migrate')
    .description('Bring the database to this version and stop. Works without a running server.')
    .action(async () => {
      const applied = await migrateDatabase(process.env);
      console.log(applied.length === 0 ? 'The database is up to date.' : `Applied ${applied.join(', ')}.`);
    });
}

/** SIGINT, SIGTERM, or a parent that is gone: an orphaned server would hold its port and its data folder. */
function untilTold(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve());
    process.once('SIGINT', () => resolve());
    process.once('disconnect', () => resolve());
  });
}
