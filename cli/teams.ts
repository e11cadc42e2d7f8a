import type { Command } from 'commander';
import { z } from 'zod';
import { clientFor } from './client.ts';
import { notDone, Plan, planTable } from './plan-table.ts';
import { printable } from './table.ts';

const Deletion = z.object({ moved_to: z.string(), hosts: z.number(), profiles: z.number() });
const Rehearsed = Deletion.extend({ plan: Plan });

export function addTeams(program: Command): void {
  const team = program.command('team').description('Make, rename and delete teams.');
  const data = ['--data <folder>', 'data folder of the running server', 'espalier-data'] as const;
  team
    .command('create')
    .argument('<name>')
    .option(...data)
    .action(async (name: string, options: { data: string }) => {
      await clientFor(options.data).post('/teams', { name });
      console.log(`${printable(name)} is a team.`);
    });
  team
    .command('rename')
    .argument('<name>')
    .argument('<new-name>')
    .option(...data)
    .action(async (name: string, newName: string, options: { data: string }) => {
      await clientFor(options.data).patch(`/teams/${encodeURIComponent(name)}`, { name: newName });
      console.log(`${printable(name)} is now ${printable(newName)}.`);
    });
  team
    .command('delete')
    .description('Its hosts move to another team, its profiles, enrolment links and agents’ secrets end.')
    .argument('<name>')
    .option('--move-to <team>', 'where its hosts go', 'Default')
    .option('--dry-run', 'say what it would do')
    .option(...data)
    .action(async (name: string, options: { data: string; moveTo: string; dryRun?: boolean }) => {
      const query = `move_to=${encodeURIComponent(options.moveTo)}&dry_run=${options.dryRun === true}`;
      const answer = await clientFor(options.data).delete(`/teams/${encodeURIComponent(name)}?${query}`);
      const { moved_to, hosts, profiles } = Deletion.parse(answer);
      if (options.dryRun !== true) {
        console.log(printable(`${name} is deleted: ${hosts} hosts are in ${moved_to}, ${profiles} profiles are gone.`));
        return;
      }
      console.log(planTable(Rehearsed.parse(answer).plan));
      console.error(notDone(`${name} would be deleted, ${hosts} hosts go to ${moved_to}, ${profiles} profiles end.`));
    });
}
