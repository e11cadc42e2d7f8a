import type { Command } from 'commander';
import { z } from 'zod';
import { authorOf } from './author.ts';
import { type Client, clientFor } from './client.ts';
import { Findings, findingLine, located } from './findings.ts';
import { notDone, Plan, planTable } from './plan-table.ts';
import { readSet } from './profile-folder.ts';
import { table } from './table.ts';
import { wholeNumber } from './whole-number.ts';

const Entry = z.object({
  file: z.string().nullable(),
  identifier: z.string(),
  channel: z.string(),
  changes: z.array(z.string()),
  moved_from: z.object({ channel: z.string() }).nullable(),
  lines_of: z.string(),
  warnings: Findings,
});
const Answer = z.object({
  created: z.array(Entry),
  updated: z.array(Entry),
  moved: z.array(Entry),
  unchanged: z.array(Entry),
  deleted: z.array(z.object({ identifier: z.string(), channel: z.string() })),
  plan: Plan.optional(),
});

export interface ApplyOptions {
  readonly team: string;
  readonly dryRun?: boolean;
  readonly allowEmpty?: boolean;
  readonly maxRemovals?: number;
  readonly author?: string;
}

export interface Applied {
  /** For standard output. */
  readonly said: string;
  /** Warnings with their places. */
  readonly warnings: readonly string[];
  readonly raw: unknown;
}

export function addApply(program: Command): void {
  const common = (command: Command) =>
    command
      .argument('<path>', 'a folder of .mobileconfig files, with an espalier.json if you like, or such a JSON file')
      .option('--team <name>', 'the team whose set it is', 'Default')
      .option('--allow-empty', 'an empty folder means no profiles at all')
      .option('--max-removals <count>', 'refuse when more profiles would be deleted', wholeNumber(0))
      .option('--author <name>', 'who does it, for the history; the account where absent')
      .option('--data <folder>', 'data folder of the running server', 'espalier-data')
      .option('--json', 'as JSON');
  const run = async (folder: string, options: ApplyOptions & { data: string; json?: boolean }) => {
    const { said, warnings, raw } = await apply(clientFor(options.data), folder, options);
    for (const warning of warnings) console.error(warning);
    console.log(options.json === true ? JSON.stringify(raw, null, 2) : said);
  };
  common(program.command('apply').description("Make a team's profiles those of a folder, and no others."))
    .option('--dry-run', 'change nothing, say what would')
    .action(run);
  common(program.command('plan').description('What apply would do, profile by profile and Mac by Mac.')).action(
    (folder: string, options: ApplyOptions & { data: string; json?: boolean }) =>
      run(folder, { ...options, dryRun: true }),
  );
}

/** Errors: Failure with a line for every finding, ApiError. */
export async function apply(client: Client, folder: string, options: ApplyOptions): Promise<Applied> {
  const profiles = readSet(folder);
  const query = new URLSearchParams({ author: authorOf(options.author) });
  if (options.dryRun === true) query.set('dry_run', 'true');
  const body = {
    profiles,
    allow_empty: options.allowEmpty === true,
    ...(options.maxRemovals === undefined ? {} : { max_removals: options.maxRemovals }),
  };
  let raw: unknown;
  try {
    raw = await client.put(`/teams/${encodeURIComponent(options.team)}/profiles?${query}`, body);
  } catch (error) {
    throw located(error, folder);
  }
  const answer = Answer.parse(raw);
  const { created, updated, moved, unchanged, plan } = answer;
  const warnings = [...created, ...updated, ...moved, ...unchanged].flatMap((entry) =>
    entry.warnings.map((finding) => findingLine(entry.file ?? entry.identifier, entry.lines_of, finding)),
  );
  const said = [
    ...changesTable(answer),
    countsOf(answer),
    ...(plan === undefined ? [] : ['', planTable(plan), notDone(`Team ${options.team} would have this set.`)]),
  ];
  return { said: said.join('\n'), warnings, raw };
}

function changesTable({ created, updated, moved, deleted }: z.output<typeof Answer>): string[] {
  const of = (action: string, entries: readonly z.output<typeof Entry>[]) =>
    entries.map(({ identifier, channel, file, changes, moved_from }) => [
      action,
      identifier,
      moved_from === null ? channel : `${moved_from.channel} → ${channel}`,
      changes.join(', '),
      file ?? '',
    ]);
  const gone = deleted.map(({ identifier, channel }) => ['delete', identifier, channel, '', '']);
  const rows = [...of('create', created), ...of('update', updated), ...of('move', moved), ...gone];
  return rows.length === 0 ? [] : [table(['action', 'identifier', 'channel', 'changes', 'file'], rows)];
}

function countsOf({ created, updated, moved, unchanged, deleted, plan }: z.output<typeof Answer>): string {
  const mood = plan === undefined ? '' : 'would be: ';
  const counts = [
    `${created.length} created`,
    `${updated.length} updated`,
    `${moved.length} moved`,
    `${deleted.length} deleted`,
    `${unchanged.length} unchanged`,
  ];
  return `${mood}${counts.join(', ')}`;
}
