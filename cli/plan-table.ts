import { z } from 'zod';
import { printable, table } from './table.ts';

const Counts = z.object({ install: z.number(), replace: z.number(), remove: z.number(), hold: z.number() });
/** `plan` of every answer to a dry run. */
export const Plan = z.object({
  as_of: z.string(),
  hosts: z.number(),
  changed: z.number(),
  counts: Counts,
  lines: z.array(
    z.object({
      host_id: z.string(),
      host_name: z.string(),
      channel: z.string(),
      identifier: z.string(),
      action: z.string(),
    }),
  ),
  truncated: z.boolean(),
});

const HOLD =
  'hold: stays as it is, because something that decides is not known of this Mac yet (`espalier why HOST PROFILE`)';

/** A plan as a table, with one line that sums it up. */
export function planTable({ hosts, changed, counts, lines, truncated }: z.output<typeof Plan>): string {
  const summed = Object.entries(counts).flatMap(([action, count]) => (count === 0 ? [] : [`${count} ${action}`]));
  const sum = `${changed} of ${hosts} channels would change${summed.length === 0 ? '' : `: ${summed.join(', ')}`}`;
  if (lines.length === 0) return sum;
  const rows = lines.map((line) => [line.host_name || line.host_id, line.channel, line.identifier, line.action]);
  const held = lines.some(({ action }) => action === 'hold') ? [HOLD] : [];
  const rest = truncated ? ['… and more; the sums are of all.'] : [];
  return [table(['host', 'channel', 'identifier', 'action'], rows), ...held, ...rest, sum].join('\n');
}

/** What nothing has been done of yet, in one line for people. */
export function notDone(what: string): string {
  return `${printable(what)} Nothing has been changed; without --dry-run it is.`;
}
