import { type Command, Option } from 'commander';
import { z } from 'zod';
import { clientFor } from './client.ts';
import { Failure } from './failure.ts';
import { changeMembers, type MembersWish, showLabel } from './label-requests.ts';
import { notDone, Plan, planTable } from './plan-table.ts';
import { readNamedFile } from './read-file.ts';
import { printable } from './table.ts';

const Label = z.object({ name: z.string(), kind: z.string() });
const Uses = z.array(z.object({ id: z.number(), name: z.string(), identifier: z.string(), team: z.string() }));
const Deleted = z.object({ detached: Uses, deleted_profiles: Uses });
const Rehearsed = Deleted.extend({ plan: Plan });

interface Source {
  readonly data: string;
  readonly query?: string;
  readonly criteria?: string;
}

export function addLabels(program: Command): void {
  const label = program.command('label').description('Make, change and delete labels.');
  const withSource = (command: Command) =>
    command
      .addOption(
        new Option('--query <sql>', 'osquery SQL: a host is a member when it gives a row').conflicts('criteria'),
      )
      .option('--criteria <file>', 'JSON file with {"match", "rules"} over what the server knows of a host')
      .option('--data <folder>', 'data folder of the running server', 'espalier-data');

  withSource(label.command('create'))
    .description('Without a query or criteria its members are a list.')
    .argument('<name>')
    .action(async (name: string, options: Source) => {
      const made = Label.parse(await clientFor(options.data).post('/labels', { name, ...sourceOf(options) }));
      console.log(`${printable(made.name)} is a ${made.kind} label.`);
    });
  withSource(label.command('edit'))
    .description('Its kind never changes.')
    .argument('<name>')
    .option('--name <name>', 'another name')
    .action(async (name: string, options: Source & { name?: string }) => {
      const change = { ...(options.name === undefined ? {} : { name: options.name }), ...sourceOf(options) };
      const edited = Label.parse(await clientFor(options.data).patch(`/labels/${encodeURIComponent(name)}`, change));
      console.log(`${printable(edited.name)} is changed.`);
    });
  label
    .command('show')
    .description('How many hosts, since when, and where its query failed and why.')
    .argument('<name>')
    .option('--data <folder>', 'data folder of the running server', 'espalier-data')
    .option('--json', 'as JSON')
    .action(async (name: string, options: { data: string; json?: boolean }) => {
      const { raw, lines } = await showLabel(clientFor(options.data), name);
      console.log(options.json === true ? JSON.stringify(raw, null, 2) : lines.join('\n'));
    });
  label
    .command('hosts')
    .description('Change the list of hosts of a label; all of them or none.')
    .argument('<name>')
    .option('--add <host...>', 'hosts that join, by id, serial number, UDID or name')
    .option('--remove <host...>', 'hosts that leave')
    .option('--set <host...>', 'exactly these, and no others')
    .option('--data <folder>', 'data folder of the running server', 'espalier-data')
    .action(async (name: string, { data, ...wish }: MembersWish & { data: string }) => {
      console.log(await changeMembers(clientFor(data), name, wish));
    });
  label
    .command('delete')
    .description('A label that profiles name is not deleted without --detach.')
    .argument('<name>')
    .option('--detach', 'take it out of the targets of profiles first')
    .option('--dry-run', 'say what it would do')
    .option('--data <folder>', 'data folder of the running server', 'espalier-data')
    .action(async (name: string, options: { data: string; detach?: boolean; dryRun?: boolean }) => {
      const query = `detach=${options.detach === true}&dry_run=${options.dryRun === true}`;
      const answer = await clientFor(options.data).delete(`/labels/${encodeURIComponent(name)}?${query}`);
      for (const profile of Deleted.parse(answer).deleted_profiles) {
        console.error(
          printable(
            `warning: the deleted profile ${profile.identifier} (${profile.id}, team ${profile.team}) aimed by ${name}: restoring it will take other targets`,
          ),
        );
      }
      if (options.dryRun !== true) {
        console.log(`${printable(name)} is deleted.`);
        return;
      }
      const { detached, plan } = Rehearsed.parse(answer);
      for (const profile of detached) {
        console.log(printable(`${profile.name} (${profile.identifier}, team ${profile.team}) would lose it.`));
      }
      console.log(planTable(plan));
      console.error(notDone(`${name} would be deleted.`));
    });
}

function sourceOf({ query, criteria }: Source): { query?: string; criteria?: unknown } {
  if (criteria !== undefined) return { criteria: readCriteria(criteria) };
  return query === undefined ? {} : { query };
}

function readCriteria(file: string): unknown {
  try {
    return JSON.parse(readNamedFile(file).toString('utf8'));
  } catch (cause) {
    if (cause instanceof Failure) throw cause;
    throw new Failure(`${file} cannot be read as JSON: ${(cause as Error).message}`);
  }
}
