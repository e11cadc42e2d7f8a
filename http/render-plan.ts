import type { Preview } from '../reconciler/types.ts';

/** A dry run's `plan`, the same for every request that has one. */
export function renderedPlan(preview: Preview) {
  return {
    as_of: preview.asOf.toISOString(),
    hosts: preview.hosts,
    changed: preview.changed,
    counts: preview.counts,
    lines: preview.lines.map(({ hostId, hostName, channel, identifier, action }) => ({
      host_id: hostId,
      host_name: hostName,
      channel,
      identifier,
      action,
    })),
    truncated: preview.truncated,
  };
}
