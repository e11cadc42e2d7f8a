import { z } from 'zod';
import type { Client } from './client.ts';
import { Failure } from './failure.ts';

const Listed = z.object({
  profiles: z.array(z.object({ id: z.number(), identifier: z.string(), channel: z.string() })),
});

/** A profile as people name it. */
export interface ProfileRef {
  /** Id, or PayloadIdentifier. */
  readonly text: string;
  readonly team: string;
}

/** Errors: Failure where no profile, or several, are meant; ApiError. */
export async function profileId(client: Client, { text, team }: ProfileRef, deleted: boolean): Promise<number> {
  if (/^\d+$/.test(text)) return Number(text);
  const query = new URLSearchParams({ team, deleted: String(deleted) });
  const { profiles } = Listed.parse(await client.get(`/profiles?${query}`));
  const found = profiles.filter(({ identifier }) => identifier === text);
  const [only, another] = found;
  if (only === undefined) throw new Failure(`team ${team} has no ${deleted ? 'deleted ' : ''}profile ${text}`);
  if (another === undefined) return only.id;
  const ids = found.map(({ id, channel }) => `${id} (${channel} channel)`).join(', ');
  throw new Failure(
    `team ${team} has several ${deleted ? 'deleted ' : ''}profiles ${text}: name one by its id, ${ids}`,
  );
}
