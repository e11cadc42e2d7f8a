import path from 'node:path';
import type { Client } from '../client.ts';
import { printable, table } from '../table.ts';
import { isA, type Membership, memberOf, noteOf, type Part } from './cast.ts';
import { DEMO_LABELS, FINDER, MUNKI, PASSWORD } from './content.ts';
import { nameOf } from './story.ts';
import type { Verdict } from './verdict.ts';

const MARK: Readonly<Record<Membership, string>> = { yes: '', no: '', unknown: '?' };

/** One row per Mac: who it is, what it should have, and how that stands. */
export function verdictTable(verdicts: readonly Verdict[], told: boolean): string {
  const rows = verdicts.map(({ member, pairs, faults }) => {
    const { identity } = member.mac;
    const labels = DEMO_LABELS.map(({ name }) => ({ name, member: memberOf(name, member, told) }))
      .filter((label) => label.member !== 'no')
      .map((label) => `${label.name}${MARK[label.member]}`);
    const note = faults.length > 0 ? `✗ ${faults[0]}` : noteOf(member.number);
    const { serialNumber, modelName, osVersion } = identity;
    return [nameOf(member), serialNumber, modelName, osVersion, labels.join(' '), states(pairs), note];
  });
  return table(['mac', 'serial', 'model', 'OS', 'labels (? unknown)', 'profiles', ''], rows);
}

function states(pairs: Verdict['pairs']): string {
  const counts = new Map<string, number>();
  for (const { state } of pairs) if (state !== 'not_in_scope') counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${count} ${state}`).join(', ');
}

/** Of all that is not verified, one pair for each state and reason, in the server's own sentence. */
export function reasonsTable(verdicts: readonly Verdict[]): string {
  const examples = new Map<string, readonly [state: string, pair: string, reason: string]>();
  for (const { member, pairs } of verdicts) {
    for (const pair of pairs) {
      const state = pair.waiting === null ? pair.state : `${pair.state}: ${pair.waiting}`;
      if (pair.state === 'verified' || pair.state === 'not_in_scope' || examples.has(state)) continue;
      examples.set(state, [state, `${nameOf(member)} × ${pair.identifier}`, pair.reason]);
    }
  }
  const lines = [...examples.values()].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return lines.map(([state, pair, reason]) => `${state.padEnd(30)} ${pair}\n    ${printable(reason)}`).join('\n');
}

interface Question {
  readonly part: Part;
  readonly identifier: string;
}

/** Worth asking: a label nobody can answer, a lie, a push certificate's victim, a profile that moves. */
const QUESTIONS: readonly Question[] = [
  { part: 'noExtension', identifier: MUNKI },
  { part: 'lying', identifier: PASSWORD },
  { part: 'lidShut', identifier: FINDER },
  { part: 'phone', identifier: PASSWORD },
];

const serverFolder = (dataFolder: string): string =>
  path.relative(process.cwd(), path.join(dataFolder, 'server')) || '.';

/** Where everything is; all of it can be used from now on. */
export function addresses(client: Client, dataFolder: string): string {
  return [
    `Admin API   ${client.adminUrl}/api/v1   token in ${path.join(serverFolder(dataFolder), 'admin.token')}`,
    `Macs        ${client.publicUrl}`,
    `Metrics     ${client.adminUrl}/metrics`,
  ].join('\n');
}

/** Commands whose answers are worth seeing. */
export function nextSteps(verdicts: readonly Verdict[], dataFolder: string): string {
  const folder = serverFolder(dataFolder);
  const why = QUESTIONS.flatMap(({ part, identifier }) => {
    const verdict = verdicts.find(({ member }) => isA(part, member.number));
    return verdict === undefined ? [] : [`why ${verdict.member.mac.identity.serialNumber} ${identifier}`];
  });
  return [
    'Try, in another terminal:',
    ...[...why, 'get labels', 'get drift', 'get profiles'].map(
      (command) => `  npx espalier ${command} --data ${folder}`,
    ),
    '',
    `Everything is in ${path.relative(process.cwd(), dataFolder) || '.'}; delete that folder to start anew.`,
  ].join('\n');
}
