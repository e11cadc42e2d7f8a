import path from 'node:path';
import type { Client } from '../client.ts';
import { table } from '../table.ts';
import { conductOf, labelsOf, partOf } from './cast.ts';
import type { Verdict } from './verdict.ts';

/** One row per Mac: who it is, what it should have, and how that stands. */
export function verdictTable(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ member, pairs, faults }) => {
    const { identity } = member.mac;
    const name = `mac-${String(member.number + 1).padStart(3, '0')}`;
    const labels = labelsOf(member).join(', ');
    const note = faults.length > 0 ? `✗ ${faults[0]}` : partOf(member.number);
    return [name, identity.serialNumber, identity.modelName, identity.osVersion, labels, states(pairs), note];
  });
  return table(['mac', 'serial', 'model', 'macOS', 'labels', 'profiles', ''], rows);
}

function states(pairs: Verdict['pairs']): string {
  const counts = new Map<string, number>();
  for (const { state } of pairs) if (state !== 'not_in_scope') counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${count} ${state}`).join(', ');
}

/** Where everything is, and three commands whose answers are worth seeing. */
export function nextSteps(client: Client, verdicts: readonly Verdict[], dataFolder: string): string {
  const folder = path.relative(process.cwd(), path.join(dataFolder, 'server')) || '.';
  const liar = verdicts.find(({ member }) => conductOf(member.number) === 'lying');
  const serial = liar?.member.mac.identity.serialNumber ?? '';
  const identifier = liar?.pairs.find(({ state }) => state === 'failed')?.identifier ?? 'com.example.password';
  return [
    `Admin API   ${client.adminUrl}/api/v1   token in ${path.join(folder, 'admin.token')}`,
    `Macs        ${client.publicUrl}`,
    `Metrics     ${client.adminUrl}/metrics`,
    '',
    'Try, in another terminal:',
    `  npx espalier why ${serial} ${identifier} --data ${folder}`,
    `  npx espalier get profiles --data ${folder}`,
    `  npx espalier get hosts --data ${folder}`,
    '',
    `Everything is in ${path.relative(process.cwd(), dataFolder) || '.'}; delete that folder to start anew.`,
  ].join('\n');
}
