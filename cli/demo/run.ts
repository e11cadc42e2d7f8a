import { setTimeout as delay } from 'node:timers/promises';
import { Failure } from '../failure.ts';
import type { DemoOptions } from './options.ts';
import { createProgress, type Progress } from './progress.ts';
import { addresses, nextSteps, reasonsTable, verdictTable } from './report.ts';
import { type DemoState, openDemoFolder, saveDemoState } from './state.ts';
import { nameOf, tellStory } from './story.ts';
import { judgeFleet, type Verdict } from './verdict.ts';
import { enrolFleet, startWorld, TICK_MS, type World } from './world.ts';

const LOOK_EVERY_MS = 500;
/** A fleet that has not converged by then will not. */
const GIVE_UP_AFTER_MS = 180_000;

/** Runs the demo; answers the exit code. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const startedAt = Date.now();
  const { state, isNew } = await openDemoFolder(options.data, options.macs);
  if (state.macs !== options.macs && !isNew)
    console.log(`This folder was made with ${state.macs} Macs and keeps them.`);
  if (options.faults)
    console.log(`Faults: 20 % NotNow, 5 % lost acknowledgements, 5 % duplicate reports; seed ${options.seed}`);
  const progress = createProgress();
  const world = await startWorld(options, state, progress);
  const told = untilTold();
  try {
    console.log(
      `Espalier runs (${seconds(startedAt)} s). ${state.macs} simulated Macs, nothing leaves this machine.\n\n${addresses(world.client, options.data)}\n`,
    );
    const judged: Judged = { right: 0 };
    const hide = progress.show(() => ` → as expected ${judged.right}/${state.macs}`);
    const failures = await enrolFleet(world, options, state);
    const verdicts = await play(world, options, state, judged, told).finally(hide);
    const convergedAt = Date.now();
    summarise(progress, verdicts, failures, { startedAt, convergedAt, options, state });
    const isAsExpected = failures.length === 0 && verdicts.every(isRight);
    if (options.once || told.signal.aborted) return isAsExpected ? 0 : 1;
    console.log('\nCtrl-C stops everything.');
    const ended = await Promise.race([told.promise, world.server.gone]);
    if (ended !== 'told') throw new Failure(`the server process ended with ${ended}\n${world.server.stderr()}`);
    return 0;
  } finally {
    await world.stop();
  }
}

/** All is well first; then the story, in a folder that has not heard it; then all is well again, in another way. */
async function play(
  world: World,
  options: DemoOptions,
  state: DemoState,
  judged: Judged,
  told: Told,
): Promise<readonly Verdict[]> {
  const before = await converge(world, state.told, judged, told);
  if (state.told || told.signal.aborted || !before.every(isRight)) return before;
  console.log('');
  await tellStory(world, (line) => console.log(line), told.signal);
  console.log('');
  state.told = true;
  saveDemoState(options.data, state);
  return converge(world, true, judged, told);
}

interface Judged {
  right: number;
}

/** Looks until every Mac is in its expected end state, or until it is plain that this will not happen. */
async function converge(world: World, afterStory: boolean, judged: Judged, told: Told): Promise<readonly Verdict[]> {
  const until = Date.now() + GIVE_UP_AFTER_MS;
  const { client, server, fleet } = world;
  const latest = new Map<number, Verdict>();
  let looked = fleet.macs;
  for (;;) {
    for (const verdict of await judgeFleet(client, looked, afterStory)) latest.set(verdict.member.number, verdict);
    const verdicts = fleet.macs.flatMap(({ number }) => latest.get(number) ?? []);
    judged.right = verdicts.filter(isRight).length;
    const gone = await Promise.race([server.gone, delay(0, undefined)]);
    if (gone !== undefined) throw new Failure(`the server process ended with ${gone}\n${server.stderr()}`);
    const isOver = Date.now() > until || told.signal.aborted;
    if (isOver || (judged.right === verdicts.length && looked.length === verdicts.length)) return verdicts;
    // Those that are right are looked at once more when all are: looking costs the server more than most of what it does.
    const wrong = verdicts.filter((verdict) => !isRight(verdict)).map(({ member }) => member);
    looked = wrong.length === 0 ? fleet.macs : wrong;
    if (wrong.length > 0) await delay(LOOK_EVERY_MS);
  }
}

const isRight = ({ faults }: Verdict): boolean => faults.length === 0;

interface Course {
  readonly startedAt: number;
  readonly convergedAt: number;
  readonly options: DemoOptions;
  readonly state: DemoState;
}

function summarise(
  progress: Progress,
  verdicts: readonly Verdict[],
  failures: readonly string[],
  { startedAt, convergedAt, options, state }: Course,
): void {
  const { enrolments, commands, faults } = progress.totals;
  const lastFault = progress.lastFaultAt();
  console.log(`\n${verdictTable(verdicts, state.told)}\n`);
  console.log(`Not verified, and why (one of each):\n\n${reasonsTable(verdicts)}\n`);
  console.log(`${enrolments} enrolments and ${commands} commands in this start, ${seconds(startedAt)} s.`);
  if (options.faults && lastFault !== undefined) {
    const ticks = (convergedAt - lastFault) / TICK_MS;
    console.log(`${faults} faults were played; everything was right ${ticks.toFixed(1)} ticks after the last one.`);
  }
  for (const failure of failures) console.log(`✗ ${failure}`);
  for (const { member, faults: wrong } of verdicts) {
    for (const fault of wrong) console.log(`✗ ${nameOf(member)}: ${fault}`);
  }
  if (!options.once) console.log(`\n${nextSteps(verdicts, options.data)}`);
}

interface Told {
  readonly promise: Promise<'told'>;
  readonly signal: AbortSignal;
}

/** The first Ctrl-C ends the demo in order; a second one is not caught and ends it at once. */
function untilTold(): Told {
  const abort = new AbortController();
  const promise = new Promise<'told'>((resolve) => {
    const tell = () => {
      abort.abort();
      resolve('told');
    };
    process.once('SIGINT', tell);
    process.once('SIGTERM', tell);
  });
  return { promise, signal: abort.signal };
}

function seconds(since: number): string {
  return ((Date.now() - since) / 1000).toFixed(1);
}
