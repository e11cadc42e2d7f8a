import { existsSync, writeFileSync } from 'node:fs';
import { Argument, type Command } from 'commander';
import { clientFor } from './client.ts';
import { Failure } from './failure.ts';
import type { ProfileRef } from './profile-ref.ts';
import {
  diffLines,
  downloadOf,
  editOf,
  removalOf,
  restoreOf,
  showLines,
  type TargetsWish,
  uploadOf,
} from './profile-requests.ts';
import { readNamedFile } from './read-file.ts';

interface Common {
  readonly data: string;
  readonly team: string;
  readonly json?: boolean;
  readonly dryRun?: boolean;
  readonly author?: string;
}

const VERSION = 'version id: the number that `espalier profile show` lists first';
const PROFILE = () => new Argument('<profile>', 'id, or PayloadIdentifier in the team');

/** Prints what the answer says, or all of it. */
function print(raw: unknown, lines: readonly string[], { json }: Common): void {
  console.log(json === true ? JSON.stringify(raw, null, 2) : lines.join('\n'));
}

export function addProfile(program: Command): void {
  const profile = program.command('profile').description('Upload, compare, restore and delete profiles.');
  const common = (command: Command) =>
    command
      .option('--team <name>', 'the team whose profile it is', 'Default')
      .option('--data <folder>', 'data folder of the running server', 'espalier-data')
      .option('--json', 'as JSON');
  const changing = (command: Command) =>
    common(command)
      .option('--author <name>', 'who does it, for the history; the account where absent')
      .option('--dry-run', 'change nothing, say what would');
  const targeting = (command: Command) =>
    command
      .option('--include <mode>', 'none (everyone), any or all of the labels')
      .option('--label <name>', 'only Macs with this label; may be repeated', several)
      .option('--exclude-label <name>', 'not Macs with this label; may be repeated', several);
  const several = (value: string, before: readonly string[] = []) => [...before, value];

  changing(profile.command('upload').description('A new profile, or a new version of one.').argument('<file>'))
    .option('--name <name>', 'what to call it here')
    .option('--label <name>', 'only Macs with this label; may be repeated', several)
    .option('--include <mode>', 'none, any or all of the labels')
    .option('--exclude-label <name>', 'not Macs with this label; may be repeated', several)
    .option('--min-os <version>', 'from this macOS on')
    .option('--max-os <version>', 'up to this macOS')
    .option('--delivery <how>', 'of a signed file: verbatim, or resign')
    .action(async (file: string, options: Common & Readonly<Record<string, string | string[]>>) => {
      const { raw, lines, warnings } = await uploadOf(clientFor(options.data), file, readNamedFile(file), options);
      for (const warning of warnings) console.error(warning);
      print(raw, lines, options);
    });
  common(profile.command('show').description('A profile with its versions and history.').addArgument(PROFILE())).action(
    async (ref: string, options: Common) => {
      const { raw, lines } = await showLines(clientFor(options.data), refOf(ref, options));
      print(raw, lines, options);
    },
  );
  common(
    profile
      .command('diff')
      .description('What differs between two versions, key by key; without versions: the last change.')
      .addArgument(PROFILE())
      .argument('[from]', VERSION)
      .argument('[to]', VERSION),
  ).action(async (ref: string, from: string | undefined, to: string | undefined, options: Common) => {
    const { raw, lines } = await diffLines(clientFor(options.data), refOf(ref, options), from, to);
    print(raw, lines, options);
  });
  targeting(
    changing(
      profile
        .command('restore')
        .description('Make an older version the current one; without a version: bring a deleted profile back.')
        .addArgument(PROFILE())
        .argument('[version]', VERSION),
    ),
  ).action(async (ref: string, version: string | undefined, options: Common & TargetsWish) => {
    const { raw, lines } = await restoreOf(clientFor(options.data), refOf(ref, options), version, options);
    print(raw, lines, options);
  });
  targeting(
    changing(
      profile.command('edit').description('Its name, and whom it is for; the content stays.').addArgument(PROFILE()),
    ),
  )
    .option('--name <name>', 'what to call it here')
    .option('--min-os <version>', 'from this macOS on; none takes the bound away')
    .option('--max-os <version>', 'up to this macOS; none takes the bound away')
    .action(async (ref: string, options: Common & TargetsWish) => {
      const { raw, lines } = await editOf(clientFor(options.data), refOf(ref, options), options);
      print(raw, lines, options);
    });
  profile
    .command('download')
    .description('The file of a version as it was uploaded; of a deleted profile too, by its id.')
    .addArgument(PROFILE())
    .argument('<version>', VERSION)
    .argument('<file>', 'where to write it')
    .option('--team <name>', 'the team whose profile it is', 'Default')
    .option('--data <folder>', 'data folder of the running server', 'espalier-data')
    .action(async (ref: string, version: string, file: string, options: Common) => {
      const bytes = await downloadOf(clientFor(options.data), refOf(ref, options), version);
      if (existsSync(file)) throw new Failure(`${file} exists already`);
      writeFileSync(file, bytes, { flag: 'wx' });
      console.log(`${bytes.length} bytes are in ${file}.`);
    });
  changing(
    profile.command('delete').description('Every Mac that has it loses it; it can be restored.').addArgument(PROFILE()),
  ).action(async (ref: string, options: Common) => {
    const { raw, lines } = await removalOf(clientFor(options.data), refOf(ref, options), options);
    print(raw, lines, options);
  });
}

function refOf(text: string, { team }: Common): ProfileRef {
  return { text, team };
}
